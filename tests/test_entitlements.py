"""From a Stripe subscription to the rights that it gives: each status, each end, each planned change."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.entitlements import GRACE, Plan, UnknownPrice, entitlement

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENDS = datetime(2026, 4, 1, 12, tzinfo=UTC)
NOW = datetime(2026, 3, 10, tzinfo=UTC)
PLANS = {"price_pro": Plan(3, "month"), "price_all": Plan(4, "year")}


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def subscription(status: str = "active", **changes: Any) -> dict[str, Any]:
    item = {
        "id": "si_1",
        "quantity": 1,
        "price": {"id": "price_pro", "unit_amount": 1899, "currency": "eur"},
        "current_period_start": seconds(BEGAN),
        "current_period_end": seconds(ENDS),
    }
    base = {
        "id": "sub_1", "customer": "cus_1", "status": status,
        "start_date": seconds(BEGAN), "items": {"data": [item]}, "cancel_at_period_end": False,
        "cancel_at": None, "canceled_at": None, "ended_at": None, "trial_end": None, "schedule": None,
        "latest_invoice": {"id": "in_1", "created": seconds(BEGAN), "due_date": None},
    }  # fmt: skip
    return copy.deepcopy({**base, **changes})


@pytest.mark.parametrize(
    ("found", "ends"),
    [
        (subscription("active"), ENDS + GRACE),
        (subscription("trialing"), ENDS + GRACE),
        (subscription("active", cancel_at_period_end=True), ENDS),
        (subscription("active", cancel_at=seconds(ENDS - timedelta(days=2))), ENDS - timedelta(days=2)),
        (subscription("past_due"), BEGAN + GRACE),
        (subscription("past_due", latest_invoice={"id": "in_2", "created": seconds(NOW)}), NOW + GRACE),
        (subscription("past_due", latest_invoice="in_2"), BEGAN + GRACE),
        (subscription("past_due", cancel_at=seconds(BEGAN + timedelta(days=1))), BEGAN + timedelta(days=1)),
        (subscription("unpaid"), BEGAN + GRACE),
        (subscription("unpaid", latest_invoice={"id": "in_2", "created": seconds(NOW)}), NOW),
        (subscription("canceled", ended_at=seconds(NOW - timedelta(days=1))), NOW - timedelta(days=1)),
        (subscription("canceled", ended_at=seconds(ENDS)), NOW),  # by a clock that is ahead: it is over all the same
        (subscription("paused", trial_end=seconds(NOW - timedelta(days=2))), NOW - timedelta(days=2)),
        (subscription("incomplete"), BEGAN),
        (subscription("incomplete_expired"), BEGAN),
    ],
)
def test_p34_rights_last_as_the_table_says(found: dict[str, Any], ends: datetime) -> None:
    given = entitlement(found, PLANS, NOW)
    assert (given.starts_at, given.ends_at) == (BEGAN, ends)
    assert (given.tier_id, given.interval, given.amount, given.currency) == (3, "month", Decimal("18.99"), "eur")


def test_it_takes_no_notice_of_an_end_that_is_over() -> None:
    assert not entitlement(subscription("canceled", ended_at=seconds(NOW), cancel_at_period_end=True), PLANS, NOW).cancel_at_period_end


def test_it_reads_a_test_clock_that_is_ahead() -> None:
    """In a month by Stripe's clock is now by ours."""
    ahead = timedelta(days=31)
    given = entitlement(subscription("past_due"), PLANS, NOW, ahead)
    assert (given.starts_at, given.ends_at, given.period_ends_at) == (BEGAN - ahead, BEGAN + GRACE - ahead, ENDS - ahead)


def test_it_knows_what_comes_next() -> None:
    phases = [
        {"start_date": seconds(BEGAN), "items": [{"price": "price_pro"}]},
        {"start_date": seconds(ENDS), "items": [{"price": {"id": "price_all"}}]},
    ]
    schedule = {"id": "sub_sched_1", "status": "active", "phases": phases}
    given = entitlement(subscription(schedule=schedule), PLANS, NOW)
    assert (given.next_tier_id, given.next_interval, given.schedule_id) == (4, "year", "sub_sched_1")
    for nothing in (None, "sub_sched_1", {**schedule, "status": "released"}, {**schedule, "phases": phases[:1]}):
        given = entitlement(subscription(schedule=nothing), PLANS, NOW)
        assert (given.next_tier_id, given.next_interval) == (None, "")
        assert given.schedule_id == ("sub_sched_1" if isinstance(nothing, dict) and nothing["status"] == "active" else "")


def test_it_gives_nothing_for_a_price_that_is_not_ours() -> None:
    found = subscription()
    found["items"]["data"][0]["price"]["id"] = "price_of_another_shop"
    with pytest.raises(UnknownPrice, match=r"sub_1: price_of_another_shop"):
        entitlement(found, PLANS, NOW)
