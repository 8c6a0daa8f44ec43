"""What we ask of Stripe on somebody's behalf. Nothing here gives rights: those come with what Stripe then tells billing.webhooks."""

from __future__ import annotations

from typing import Any

import stripe
from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _
from djstripe.models import Customer

from billing import portal, rates
from billing.entitlements import UNPAID
from billing.errors import InvalidRequest
from billing.letters import language_of
from billing.models import Order, Subscription, TierPrice
from billing.stripe_api import asking_stripe, client, id_of, plain
from billing.subscriptions import live_subscription, lock, refresh

BILLING_PAGE = "/account/billing"
WELCOME_PAGE = "/account/billing/welcome"
MOST, SECONDS = 30, 600  # presses of one account


def count_press(user: Any) -> None:
    """Each press asks Stripe. Raises RateLimited where one account presses without end."""
    rates.require(f"stripe:{user.pk}", MOST, SECONDS)


def start_checkout(order: Order) -> str:
    """The address where the order is paid. The same order, or the same price once more, leads to the same page.

    Who has a subscription is led to the change of their plan instead of a second one, or to their card where that did not pay.
    Raises PaymentUnavailable, InvalidRequest.
    """
    with asking_stripe():
        customer = customer_for(order.user)
        refresh(customer.id)  # an event may be on its way that says they have one
        live = live_subscription(order.user)
        if live is not None and live.customer_id != customer.id:  # of an earlier customer, perhaps of test mode
            refresh(live.customer_id)
            live = live_subscription(order.user)
        if live is not None:
            return _card_page(customer) if live.status in UNPAID else _change_plan(customer, live, order.price)
        with transaction.atomic():
            lock(customer.id)  # of two presses at the same moment the second finds the first one's page
            session = _open_session(customer, order.price)
            if session is None and order.checkout_id:  # its page is over, and the same key would bring it back
                raise InvalidRequest(_("This page is too old. Load it anew and order again."))
            session = session or client().checkout.sessions.create(_session(customer, order), {"idempotency_key": f"order-{order.pk}"})
            Order.objects.filter(pk=order.pk).update(checkout_id=session.id)
        return str(session.url)


def look_again(user: Any) -> None:
    """Fetch what Stripe knows of the account, where its events may be lost. Raises PaymentUnavailable."""
    with asking_stripe():
        for customer_id in Customer.objects.filter(subscriber=user, livemode=settings.STRIPE_LIVE_MODE).values_list("id", flat=True):
            refresh(customer_id)


def open_portal(user: Any, *, to_pay: bool = False) -> str:
    """The address of Stripe's pages for card, invoices and plan; `to_pay` leads straight to the card. Raises PaymentUnavailable."""
    with asking_stripe():
        return _card_page(customer_for(user)) if to_pay else _portal(customer_for(user))


def customer_for(user: Any) -> Customer:
    """The account's customer at Stripe, made where there is none; the newest where a restored database knows two.

    Raises stripe.StripeError.
    """
    known = Customer.objects.filter(subscriber=user, livemode=settings.STRIPE_LIVE_MODE, date_purged=None)
    if found := known.order_by("-djstripe_created", "-pk").first():
        return found
    return Customer.get_or_create(
        subscriber=user,
        livemode=settings.STRIPE_LIVE_MODE,
        api_key=settings.STRIPE_SECRET_KEY,
        preferred_locales=[language_of(user)],
    )[0]


def cancel(subscription: Subscription) -> None:
    """It ends with the period that is paid. Raises PaymentUnavailable."""
    with asking_stripe():
        found = _released(subscription)
        if not found["cancel_at_period_end"] and not found.get("cancel_at"):
            client().subscriptions.update(subscription.stripe_id, {"cancel_at_period_end": True})
        refresh(id_of(found["customer"]))


def resume(subscription: Subscription) -> None:
    """It goes on as it is: neither an end nor a change is planned any longer. Raises PaymentUnavailable."""
    with asking_stripe():
        found = _released(subscription)
        if found["cancel_at_period_end"]:
            client().subscriptions.update(subscription.stripe_id, {"cancel_at_period_end": False})
        elif found.get("cancel_at"):  # so the portal cancels; Stripe takes one of the two alone
            client().subscriptions.update(subscription.stripe_id, {"cancel_at": ""})
        refresh(id_of(found["customer"]))


def forget_customer(user: Any) -> None:
    """Delete the account's customer at Stripe, which ends what still runs there; invoices stay there, as the law has it.

    Raises PaymentUnavailable.
    """
    for customer in Customer.objects.filter(subscriber=user) if settings.STRIPE_SECRET_KEY else ():
        with asking_stripe():
            try:
                client().customers.delete(customer.id)
            except stripe.InvalidRequestError as error:
                if error.code != "resource_missing":  # it was deleted there before
                    raise


def _released(subscription: Subscription) -> dict[str, Any]:
    """The subscription as it stands at Stripe, out of the hands of a schedule: Stripe changes nothing that one holds."""
    found = plain(client().subscriptions.retrieve(subscription.stripe_id))
    if schedule := id_of(found.get("schedule")):
        client().subscription_schedules.release(schedule)
    return found


def _open_session(customer: Customer, price: TierPrice) -> Any:
    """A page for this price that is still open. Pages for other prices are closed, so that nobody pays twice in two tabs."""
    found = None
    for session in client().checkout.sessions.list({"customer": customer.id, "status": "open", "limit": 100}):
        if found is None and plain(session).get("metadata", {}).get("price") == price.stripe_id:
            found = session
        else:
            client().checkout.sessions.expire(session.id)
    return found


def _session(customer: Customer, order: Order) -> dict[str, Any]:
    """What is asked of Stripe's checkout."""
    extra: dict[str, Any] = {}
    if settings.STRIPE_TAX_RATE and not settings.STRIPE_AUTOMATIC_TAX:
        extra["default_tax_rates"] = [settings.STRIPE_TAX_RATE]
    if settings.STRIPE_TRIAL_DAYS and not Subscription.objects.filter(user=order.user, source=Subscription.Source.STRIPE).exists():
        extra["trial_period_days"] = settings.STRIPE_TRIAL_DAYS
    names = {"order": str(order.pk), "price": order.price.stripe_id}
    return {
        "mode": "subscription",
        "customer": customer.id,
        "customer_update": {"name": "auto", "address": "auto"},
        "client_reference_id": str(order.pk),
        "line_items": [{"price": order.price.stripe_id, "quantity": 1}],
        "allow_promotion_codes": True,
        "automatic_tax": {"enabled": settings.STRIPE_AUTOMATIC_TAX},
        "tax_id_collection": {"enabled": settings.STRIPE_TAX_IDS},
        "billing_address_collection": "required",  # an invoice over 250 EUR must name its recipient in full
        "subscription_data": {"metadata": names, **extra},
        "metadata": names,
        "locale": translation.get_language() or settings.LANGUAGE_CODE,
        "success_url": f"{settings.PUBLIC_URL}{WELCOME_PAGE}",
        "cancel_url": f"{settings.PUBLIC_URL}/prices",
    }


def _change_plan(customer: Customer, live: Subscription, price: TierPrice) -> str:
    """The portal's page that shows what the change costs and asks for a yes."""
    if live.price_id == price.stripe_id and not live.cancel_at_period_end:
        raise InvalidRequest(_("You have this plan already."))
    if live.next_tier_id or live.cancel_at_period_end:
        raise InvalidRequest(_("An end or a change of your plan is planned already. Call that off first, then choose anew."))
    item = _released(live)["items"]["data"][0]
    change = {"subscription": live.stripe_id, "items": [{"id": item["id"], "price": price.stripe_id, "quantity": 1}]}
    flow = {"type": "subscription_update_confirm", "subscription_update_confirm": change, "after_completion": _back()}
    return _portal(customer, flow, portal.PLAN)


def _card_page(customer: Customer) -> str:
    return _portal(customer, {"type": "payment_method_update", "after_completion": _back()})


def _portal(customer: Customer, flow: dict[str, Any] | None = None, purpose: str = portal.ACCOUNT) -> str:
    asked: dict[str, Any] = {
        "customer": customer.id,
        "configuration": portal.configuration_id(purpose),
        "return_url": f"{settings.PUBLIC_URL}{BILLING_PAGE}",
        "locale": translation.get_language() or settings.LANGUAGE_CODE,
    }
    if flow:
        asked["flow_data"] = flow
    return str(client().billing_portal.sessions.create(asked).url)


def _back() -> dict[str, Any]:
    return {"type": "redirect", "redirect": {"return_url": f"{settings.PUBLIC_URL}{BILLING_PAGE}"}}
