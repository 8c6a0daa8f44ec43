"""The pages on which somebody takes everything along, or has everything forgotten."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import normalise_email
from billing import clock, rates
from billing.errors import PaymentUnavailable
from triforce.privacy.deletion import delete_account, holdings, obstacle
from triforce.privacy.export import export

EXPORTS, EXPORT_SECONDS = 5, 3600
LOOKS = 20  # of the staff at the account, the newest


@never_cache
@login_required
@require_safe
def privacy(request: HttpRequest) -> HttpResponse:
    """GET /account/privacy"""
    user: Any = request.user
    context = {
        "holdings": [line for line in holdings(user) if line.count],
        "obstacle": obstacle(user),
        "is_shown": did_recently_reauthenticate(request),
        "looks": user.impersonations.all()[:LOOKS],
    }
    return render(request, "pages/privacy.html", context)


@login_required
@require_POST
def take_along(request: HttpRequest) -> HttpResponseBase:
    """POST /account/privacy/export: a ZIP of everything."""
    user: Any = request.user
    if not did_recently_reauthenticate(request):
        return _first_who_you_are(request)
    if not rates.hit(f"export:{user.subject}", EXPORTS, EXPORT_SECONDS).allowed:
        messages.error(request, _("That was %(most)s exports within the hour. Please wait a little.") % {"most": EXPORTS})
        return redirect("privacy")
    response = StreamingHttpResponse(export(user), content_type="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="triforce-{clock.now():%Y-%m-%d}.zip"'
    response.headers["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def forget(request: HttpRequest) -> HttpResponse:
    """POST /account/privacy/delete with the account's address as `email`; answers with the report."""
    user: Any = request.user
    if not did_recently_reauthenticate(request):
        return _first_who_you_are(request)
    if normalise_email(request.POST.get("email", "")) != user.email:
        messages.error(request, _("That is not this account's address; nothing was deleted."))
        return redirect("privacy")
    if why := obstacle(user):
        messages.error(request, why)
        return redirect("privacy")
    try:
        report = delete_account(user)
    except PaymentUnavailable as error:
        messages.error(request, str(error))
        return redirect("privacy")
    logout(request)
    return render(request, "pages/deleted.html", {"report": report})


def _first_who_you_are(request: HttpRequest) -> HttpResponse:
    messages.info(request, _("First show once more that it is you."))
    return redirect("privacy")
