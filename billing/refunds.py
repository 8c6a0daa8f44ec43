"""Money that goes back, and what ends with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import stripe

from billing import clock
from billing.entitlements import OVER
from billing.models import Subscription
from billing.stripe_api import asking_stripe, client, id_of, plain
from billing.subscriptions import ahead, refresh

WITHDRAWAL = timedelta(days=14)  # within it all that was paid goes back; after it, what the running period cost
EARLIER = timedelta(minutes=1)  # that an invoice may be older than the period that it pays


@dataclass(frozen=True)
class Payment:
    """One payment of a subscription; `left` is what was not given back of it."""

    intent: str
    left: Decimal
    currency: str


def refundable(subscription: Subscription) -> list[Payment]:
    """What refund_and_end() would give back. Raises PaymentUnavailable."""
    with asking_stripe():
        return [payment for payment in _payments(*_fetched(subscription)) if payment.left]


def refund_and_end(subscription: Subscription, told: Callable[[Payment], object] = lambda payment: None) -> list[Payment]:
    """Give back what was paid for the running period and end it now, as after a withdrawal. Returns what went back.

    `told` hears of each payment as soon as it is back. It ends when all are, so what broke off is finished by asking once more.
    Raises PaymentUnavailable.
    """
    back = []
    with asking_stripe():
        found, since = _fetched(subscription)
        for payment in list(_payments(found, since)):
            if payment.left and _give_back(payment):
                back.append(payment)
                told(payment)
        _end(found)
        refresh(id_of(found["customer"]))
    return back


def end_refunded(charge_id: str) -> None:
    """Where all that was paid for a subscription's running period is given back, it ends. Raises stripe.StripeError."""
    charge = plain(client().charges.retrieve(charge_id))
    intent = id_of(charge.get("payment_intent"))
    if not charge["refunded"] or not intent:
        return
    running = client().subscriptions.list({"customer": id_of(charge["customer"]), "limit": 100})  # all but the cancelled
    for one in map(plain, running.auto_paging_iter()):
        payments = list(_payments(one, _since(one, running)))
        if intent in {payment.intent for payment in payments} and not any(payment.left for payment in payments):
            _end(one)
    refresh(id_of(charge["customer"]))


def _fetched(subscription: Subscription) -> tuple[dict[str, Any], float]:
    answer = client().subscriptions.retrieve(subscription.stripe_id)
    found = plain(answer)
    return found, _since(found, answer)


def _since(subscription: dict[str, Any], answer: Any) -> float:
    """From when on payments go back, in Unix time: the running period's start, or the contract's while a withdrawal is possible."""
    now = clock.now() + ahead(subscription, answer.last_response.headers.get("date", ""))
    began = float(subscription["start_date"])
    if now.timestamp() - began > WITHDRAWAL.total_seconds():
        began = min(item["current_period_start"] for item in subscription["items"]["data"])
    return began - EARLIER.total_seconds()


def _payments(subscription: Mapping[str, Any], since: float) -> Iterator[Payment]:
    """Of every invoice since then: an upgrade in the midst of a period has one of its own."""
    invoices = client().invoices.list({"subscription": subscription["id"], "status": "paid", "limit": 100})
    for invoice in map(plain, invoices.auto_paging_iter()):
        if invoice["created"] < since:
            continue
        for paid in plain(client().invoice_payments.list({"invoice": invoice["id"]}))["data"]:
            if paid["status"] == "paid" and (intent := id_of(paid["payment"].get("payment_intent"))):
                charge = plain(client().payment_intents.retrieve(intent, {"expand": ["latest_charge"]}))["latest_charge"]
                yield Payment(intent, Decimal(charge["amount_captured"] - charge["amount_refunded"]) / 100, charge["currency"])


def _give_back(payment: Payment) -> bool:
    """False where somebody was quicker."""
    try:
        client().refunds.create({"payment_intent": payment.intent}, {"idempotency_key": f"withdraw-{payment.intent}-{payment.left}"})
    except stripe.InvalidRequestError as error:
        if error.code != "charge_already_refunded":
            raise
        return False
    return True


def _end(subscription: Mapping[str, Any]) -> None:
    if subscription["status"] not in OVER:
        client().subscriptions.cancel(subscription["id"])
