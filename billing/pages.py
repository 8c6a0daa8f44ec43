"""The pages of somebody's plan: what it is, what it costs, how it ends. They only tell; Stripe's events change it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from billing import checkout, clock, quota
from billing.errors import ApiError
from billing.models import Invoice, Subscription, UsageClass
from billing.subscriptions import live_subscription
from billing.tiers import default_tier, tier_for

INVOICES = 24
WAIT_SECONDS, LONGEST_WAIT = 2, 30  # looks of the welcome page, and how many


@never_cache
@login_required
@require_safe
def plan(request: HttpRequest) -> HttpResponse:
    """GET /account/billing"""
    user: Any = request.user
    tier, day = tier_for(user), clock.now().date()
    balance = quota.balance(user.subject, UsageClass.CLOUD, day, tier.enforced_tokens)
    context = {
        "tier": tier,
        "free": default_tier(),
        "subscription": live_subscription(user),
        "granted": Subscription.objects.filter(user=user, source=Subscription.Source.GRANT, tier=tier).order_by("-starts_at").first(),
        "invoices": Invoice.objects.filter(user=user).exclude(status__in=("draft", "void"))[:INVOICES],
        "balance": balance,
        "percent": balance.percent,
        "resets_at": clock.resets_at(day),
    }
    return render(request, "pages/billing.html", context)


@login_required
@require_POST
def change_plan(request: HttpRequest) -> HttpResponse:
    """POST /account/billing/change with `action`: cancel, resume, portal, card."""
    user: Any = request.user
    action, contract = request.POST.get("action"), live_subscription(user)
    try:
        checkout.count_press(user)
        if action in ("portal", "card"):
            return redirect(checkout.open_portal(user, to_pay=action == "card"))
        if contract is None:
            messages.error(request, _("No paid subscription is running."))
        elif action == "cancel":
            checkout.cancel(contract)
            messages.success(request, _("Cancelled. It stays yours to the end of the period that is paid."))
        elif action == "resume":
            checkout.resume(contract)
            messages.success(request, _("It goes on as it is."))
    except ApiError as error:
        messages.error(request, str(error))
    return redirect("billing")


@never_cache
@login_required
@require_safe
def welcome(request: HttpRequest) -> HttpResponse:
    """GET /account/billing/welcome: where Stripe sends who has paid. It proves nothing: the page waits for the row."""
    user: Any = request.user
    contract = live_subscription(user)
    looks = request.GET.get("looks", "0")
    looked = int(looks) if looks.isdecimal() and len(looks) < 4 else 0
    waits = contract is None and looked < LONGEST_WAIT
    if contract is None and not waits:
        contract = _asked_of_stripe(user)
    response = render(request, "pages/welcome.html", {"subscription": contract, "tier": tier_for(user), "waits": waits})
    if waits:
        response.headers["Refresh"] = f"{WAIT_SECONDS}; url={request.path}?looks={looked + 1}"
    return response


def _asked_of_stripe(user: Any) -> Subscription | None:
    """Its event may be lost: the last look asks Stripe itself."""
    try:
        checkout.count_press(user)
        checkout.look_again(user)
    except ApiError:
        return None
    return live_subscription(user)
