"""From a Stripe subscription to the row that gives the rights. Pure: no database, no network, no clock of its own.

| Stripe's status | rights last until |
|---|---|
| active, trialing | the period's end and three days, so that a renewal whose event was lost locks nobody out, and a lost end ends |
| active or trialing, cancelled | the day it was cancelled to, usually the period's end |
| past_due | three days after the payment that failed was due |
| canceled, unpaid, paused | then |
| incomplete, incomplete_expired | never began |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

GRACE = timedelta(days=3)
RUNNING = ("active", "trialing")
UNPAID = ("past_due", "unpaid")
NEVER_BEGAN = ("incomplete", "incomplete_expired")
OVER = ("canceled", "incomplete_expired")  # Stripe never wakes these up again
NOT_RUNNING = (*OVER, *NEVER_BEGAN)
CENTS = Decimal("0.01")  # of the currencies sold in; every one of them has hundredths


class UnknownPrice(Exception):
    """A subscription to a price that `sync_stripe` did not write down: nobody knows which tier it gives."""


@dataclass(frozen=True)
class Plan:
    """What a price sells: a tier for a `month` or a `year`."""

    tier_id: int
    interval: str


@dataclass(frozen=True)
class Entitlement:
    """What one Stripe subscription gives. Each field is a column of billing.Subscription, and `starts_at`, `ends_at` are the rights."""

    stripe_id: str
    customer_id: str
    status: str
    tier_id: int
    interval: str
    price_id: str
    amount: Decimal
    currency: str
    starts_at: datetime
    ends_at: datetime
    period_ends_at: datetime
    cancel_at_period_end: bool
    cancelled_at: datetime | None
    next_tier_id: int | None
    next_interval: str
    schedule_id: str


def entitlement(subscription: Mapping[str, Any], plans: Mapping[str, Plan], now: datetime, ahead: timedelta = timedelta()) -> Entitlement:
    """What a subscription gives, as fetched from Stripe with `latest_invoice` and `schedule` expanded.

    plans: by Stripe's id of the price. now: ours, in whole seconds. ahead: how much Stripe's clock runs ahead of ours, which only its
    test clocks do; every moment of the result is on our clock. Raises UnknownPrice.
    """
    item = _item(subscription, plans)
    plan, price = plans[item["price"]["id"]], item["price"]
    customer, schedule = subscription["customer"], subscription.get("schedule") or {}
    upcoming = _next_plan(schedule, item, plans)
    started = min(moment(subscription["start_date"]) - ahead, now)
    return Entitlement(
        stripe_id=subscription["id"],
        customer_id=customer["id"] if isinstance(customer, Mapping) else str(customer),
        status=subscription["status"],
        tier_id=plan.tier_id,
        interval=plan.interval,
        price_id=price["id"],
        amount=(Decimal(price.get("unit_amount") or 0) * (item.get("quantity") or 1) / 100).quantize(CENTS),
        currency=price["currency"],
        starts_at=started,
        ends_at=max(started, _ends_at(subscription, item, started, now, ahead)),
        period_ends_at=moment(item["current_period_end"]) - ahead,
        cancel_at_period_end=_cancelled_to(subscription, item) is not None,
        cancelled_at=moment(subscription["canceled_at"]) - ahead if subscription.get("canceled_at") else None,
        next_tier_id=upcoming.tier_id if upcoming else None,
        next_interval=upcoming.interval if upcoming else "",
        schedule_id=schedule["id"] if _holds(schedule) else "",
    )


def _item(subscription: Mapping[str, Any], plans: Mapping[str, Plan]) -> Mapping[str, Any]:
    """The line that sells a tier; a subscription of ours has no other."""
    items = subscription["items"]["data"]
    for item in items:
        if item["price"]["id"] in plans:
            return item
    raise UnknownPrice(f"{subscription['id']}: {', '.join(item['price']['id'] for item in items)}")


def _ends_at(subscription: Mapping[str, Any], item: Mapping[str, Any], started: datetime, now: datetime, ahead: timedelta) -> datetime:
    status = subscription["status"]
    if status in NEVER_BEGAN:
        return started
    cancelled_to = _cancelled_to(subscription, item)
    if status in RUNNING:
        return (cancelled_to or moment(item["current_period_end"]) + GRACE) - ahead
    if status == "past_due":
        grace = _due(subscription, item) + GRACE
        return min(grace, cancelled_to or grace) - ahead
    if status == "unpaid":
        return min(_due(subscription, item) + GRACE - ahead, now)
    ended = subscription.get("ended_at") or subscription.get("canceled_at") or subscription.get("trial_end")
    return min(moment(ended) - ahead if ended else now, now)


def _cancelled_to(subscription: Mapping[str, Any], item: Mapping[str, Any]) -> datetime | None:
    """When it ends by its owner's will; Stripe says it in one of two ways."""
    if subscription["status"] not in (*RUNNING, "past_due"):
        return None
    if subscription.get("cancel_at"):
        return moment(subscription["cancel_at"])
    return moment(item["current_period_end"]) if subscription.get("cancel_at_period_end") else None


def _due(subscription: Mapping[str, Any], item: Mapping[str, Any]) -> datetime:
    """When the payment that failed was due."""
    invoice = subscription.get("latest_invoice")
    if isinstance(invoice, Mapping) and invoice.get("created"):
        return moment(invoice.get("due_date") or invoice["created"])
    return moment(item["current_period_start"])


def _holds(schedule: Any) -> bool:
    """Is a schedule in charge? It stays so through its last phase, when nothing more is to come."""
    return isinstance(schedule, Mapping) and schedule.get("status") in ("active", "not_started")


def _next_plan(schedule: Any, item: Mapping[str, Any], plans: Mapping[str, Plan]) -> Plan | None:
    """What a schedule turns it into when the period is over; None where it stays what it is."""
    if not _holds(schedule):
        return None
    for phase in schedule.get("phases", ()):
        price = phase["items"][0]["price"] if phase.get("items") else ""
        price_id = str(price["id"] if isinstance(price, Mapping) else price)
        if phase["start_date"] >= item["current_period_end"] and price_id in plans and price_id != item["price"]["id"]:
            return plans[price_id]
    return None


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
