"""Putting an announcement away."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from triforce.announcements import COOKIE, MOST_KEPT, put_away

YEAR = 365 * 24 * 3600


@require_POST
def dismiss(request: HttpRequest, announcement_id: int) -> HttpResponse:
    """POST /announcements/<id>/dismiss with `next`: not shown to this browser again."""
    back = request.POST.get("next", "")
    response = HttpResponseRedirect(back if url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure()) else "/")
    away = [pk for pk in put_away(request) if pk != announcement_id] + [announcement_id]
    value = ".".join(map(str, away[-MOST_KEPT:]))
    response.set_cookie(COOKIE, value, max_age=YEAR, httponly=True, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE)
    return response
