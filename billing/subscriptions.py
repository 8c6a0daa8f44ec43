"""Our rows of what Stripe holds: fetched anew whenever something changed there, one customer at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

import stripe
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q
from djstripe.models import Customer

from billing import clock, mails, outbox
from billing.entitlements import OVER, Entitlement, Plan, UnknownPrice, entitlement, moment
from billing.models import Invoice, Subscription, TierPrice
from billing.stripe_api import client, id_of, plain

log = logging.getLogger(__name__)
EXPAND = ["data.latest_invoice", "data.schedule"]
CLOCKS_DIFFER = timedelta(minutes=10)  # no more than this between two that are both right
OWNER = "djstripe_subscriber"  # what dj-stripe writes into a customer's metadata: the account's id


def live_subscription(user: Any) -> Subscription | None:
    """The account's contract at Stripe, paid or not; the newest where there are two."""
    return next(iter(live_subscriptions(user)), None)


def live_subscriptions(user: Any) -> list[Subscription]:
    """All contracts of the account at Stripe, newest first; more than one is an accident."""
    return list(Subscription.live().filter(user=user).select_related("tier", "next_tier").order_by("-starts_at", "-id"))


def customer_row(customer_id: str) -> Customer | None:
    """dj-stripe's row of a customer, bound to the account that it names; fetched where we have none yet, which asks Stripe.

    None where it is nobody's here: of those nothing is copied. Raises stripe.StripeError.
    """
    customer = Customer.objects.filter(id=customer_id).first()
    if customer is None:
        found = client().customers.retrieve(customer_id)
        if _named(plain(found)) is None:
            return None
        customer = Customer.sync_from_stripe_data(found, api_key=settings.STRIPE_SECRET_KEY)
    if customer.subscriber_id is None and customer.date_purged is None:
        customer.subscriber = _named({"metadata": customer.metadata})
        customer.save(update_fields=["subscriber"])
    return customer


def _named(customer: dict[str, Any]) -> Any:
    """The account that a customer's metadata name; None where there is none, or no longer."""
    owner = str((customer.get("metadata") or {}).get(OWNER, ""))
    return get_user_model().objects.filter(pk=int(owner)).first() if owner.isdecimal() else None


def customers_of(user: Any) -> list[str]:
    """The ids of all customers that the account has or had, those that were deleted at Stripe too."""
    known = Q(subscriber=user) | Q(**{f"metadata__{OWNER}": str(user.pk)})
    had = Subscription.objects.filter(user=user).exclude(customer_id="").values("customer_id")
    return list(Customer.objects.filter(known | Q(id__in=had)).values_list("id", flat=True))


def is_ours(customer_id: str) -> bool:
    """Does an account here own that customer, or did one before it was deleted at Stripe?"""
    return Customer.objects.filter(id=customer_id, subscriber__isnull=False).exists() or _owner(customer_id) is not None


def lock(*customer_ids: str) -> None:
    """Until the transaction ends nobody else handles these customers: what is fetched last must be written last.

    Whoever needs the account's row too locks it after this one: Stripe's events take the two in that order.
    Without the key: receipts point at the account, not at this row, and what points here may go on being written.
    """
    list(Customer.objects.select_for_update(no_key=True).filter(id__in=customer_ids).order_by("pk").values_list("pk"))


@transaction.atomic
def refresh(customer_id: str) -> None:
    """Fetch every subscription of the customer, write the rows that give the rights, and post the mails that are due.

    Raises stripe.StripeError.
    """
    customer = customer_row(customer_id)
    lock(customer_id)
    owner = (customer and customer.subscriber_id) or _owner(customer_id)
    if owner is None:
        log.info("Customer %s belongs to no account here.", customer_id)
        return
    plans = {row.stripe_id: Plan(row.tier_id, row.interval) for row in TierPrice.objects.all()}
    live = 0
    for one, dated in _fetched(customer_id):
        given = _given(one, plans, ahead(one, dated))
        if given is None:
            continue
        before, after = Subscription.sync(owner, given)
        mails.announce(before, after, is_discounted=_is_discounted(one))
        live += after.is_live
    if live > 1:
        words = f"{customer} ({customer_id}) pays for {live} subscriptions. End and refund one of them at Stripe.\n"
        outbox.tell_operators("An account pays twice", words, f"twice:{customer_id}:{clock.now():%Y-%m-%d}")


def _given(one: dict[str, Any], plans: dict[str, Plan], ahead: timedelta) -> Entitlement | None:
    """What a subscription gives; None for one that was sold by hand, at a price that we do not know.

    Where we know the subscription, its tier stays and all else is taken over: it may end, too.
    """
    now = clock.now().replace(microsecond=0)
    try:
        return entitlement(one, plans, now, ahead)
    except UnknownPrice as error:
        outbox.tell_operators("A subscription to an unknown price", f"Run `manage.py sync_stripe`.\n\n{error}\n", f"price:{one['id']}")
    row = Subscription.objects.filter(stripe_id=one["id"]).first()
    if row is None:
        return None
    price = one["items"]["data"][0]["price"]["id"]
    return entitlement(one, {**plans, price: Plan(row.tier_id, row.interval)}, now, ahead)


def _is_discounted(one: dict[str, Any]) -> bool:
    invoice = one.get("latest_invoice")
    return isinstance(invoice, dict) and any(discount["amount"] for discount in invoice.get("total_discount_amounts") or ())


def _owner(customer_id: str) -> int | None:
    """Whose the customer was before it was deleted at Stripe, by the rows that it left."""
    return Subscription.objects.filter(customer_id=customer_id).values_list("user", flat=True).first()


def _fetched(customer_id: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Each subscription, with the date of the answer. Those of a deleted customer are in no list, and fetched one by one; what Stripe does
    not know at all has ended."""
    listed = set()
    try:
        found = client().subscriptions.list({"customer": customer_id, "status": "all", "limit": 100, "expand": EXPAND})
    except stripe.InvalidRequestError as error:
        if error.code != "resource_missing":
            raise
    else:
        for one in map(plain, found.auto_paging_iter()):
            listed.add(one["id"])
            yield one, found.last_response.headers.get("date", "")
    unlisted = Subscription.objects.filter(customer_id=customer_id).exclude(status__in=OVER).exclude(stripe_id__in=listed)
    for row in unlisted:
        try:
            one = client().subscriptions.retrieve(row.stripe_id, {"expand": ["latest_invoice", "schedule"]})
        except stripe.InvalidRequestError as error:
            if error.code != "resource_missing":
                raise
            _end_missing(row)
        else:
            yield plain(one), one.last_response.headers.get("date", "")


def _end_missing(row: Subscription) -> None:
    """Stripe knows no such subscription: it was bought in test mode, or at another account. Nobody pays for it."""
    now = clock.now()
    Subscription.objects.filter(pk=row.pk).update(status="canceled", ends_at=min(row.ends_at or now, now))
    words = f"{row} ({row.stripe_id}) gives no rights any more. It was bought in test mode, or the key is another account's.\n"
    outbox.tell_operators("A subscription is not at Stripe", words, f"missing:{row.stripe_id}")


def record_invoice(invoice_id: str) -> Invoice | None:
    """Fetch an invoice and write down what is shown of it; None where it is nobody's here. Raises stripe.StripeError."""
    one = plain(client().invoices.retrieve(invoice_id))
    customer = customer_row(id_of(one["customer"]))
    if customer is None or customer.subscriber_id is None:
        return None
    paid = (one.get("status_transitions") or {}).get("paid_at")
    row, _made = Invoice.objects.update_or_create(
        stripe_id=one["id"],
        defaults={
            "user_id": customer.subscriber_id,
            "number": one.get("number") or "",
            "status": one["status"] or "draft",
            "total": _money(one["total"]),
            "amount_paid": _money(one.get("amount_paid") or 0),
            "tax": _money(sum(tax["amount"] for tax in one.get("total_taxes") or ())),
            "currency": one["currency"],
            "created": moment(one["created"]),
            "paid_at": moment(paid) if paid else None,
            "page": one.get("hosted_invoice_url") or "",
            "pdf": one.get("invoice_pdf") or "",
        },
    )
    return row


def ahead(subscription: dict[str, Any], dated: str) -> timedelta:
    """How far ahead of ours the clock is that this subscription runs by: a test clock of Stripe's, or that of the payment simulator, which
    dates its answers by it."""
    if subscription["livemode"]:
        return timedelta()
    name, now = id_of(subscription.get("test_clock")), clock.now().replace(microsecond=0)
    if name:
        return moment(client().test_helpers.test_clocks.retrieve(name).frozen_time) - now
    ahead = parsedate_to_datetime(dated) - now if dated else timedelta()
    return ahead if abs(ahead) > CLOCKS_DIFFER else timedelta()


def _money(cents: int) -> Decimal:
    return Decimal(cents) / 100
