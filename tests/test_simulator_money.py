"""The payment simulator's arithmetic: periods, prorations by the second, taxes; and what changing a plan costs with them."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
import stripe

from billing.simulator import money
from tests.shop import Shop

DAY = 86_400


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("anchor", "interval", "start", "end"),
    [
        ("2026-01-31T10:00", "month", "2026-01-31T10:00", "2026-02-28T10:00"),
        ("2026-01-31T10:00", "month", "2026-02-28T10:00", "2026-03-31T10:00"),
        ("2026-01-31T10:00", "month", "2026-03-31T10:00", "2026-04-30T10:00"),
        ("2028-02-29T00:00", "year", "2028-02-29T00:00", "2029-02-28T00:00"),
        ("2028-02-29T00:00", "year", "2031-02-28T00:00", "2032-02-29T00:00"),
        ("2026-12-15T00:00", "month", "2026-12-15T00:00", "2027-01-15T00:00"),
        ("2026-11-26T08:30", "week", "2026-11-26T08:30", "2026-12-03T08:30"),
        ("2026-11-26T08:30", "day", "2026-11-28T09:00", "2026-11-29T08:30"),
    ],
)
def test_a_period_ends_on_the_anchors_day(anchor: str, interval: str, start: str, end: str) -> None:
    assert money.period_end(at(anchor), interval, 1, at(start)) == at(end)


def test_a_share_is_rounded_half_away_from_zero() -> None:
    assert money.share(1899, 15, 0, 30) == 950
    assert money.share(1899, 0, 0, 30) == 1899
    assert money.share(1899, 30, 0, 30) == 0
    assert money.share(100, 1, 0, 3) == 67
    assert [money.rounded(Fraction(value, 2)) for value in (1, -1, 3, -3)] == [1, -1, 2, -2]


def test_taxes_are_taken_out_or_put_on_top() -> None:
    assert (money.tax_within(1899, 19), money.tax_within(-1899, 19), money.tax_upon(1000, 19)) == (303, -303, 190)
    assert (money.percentage("DE", True), money.percentage("AT", True), money.percentage("US", False)) == (19, 0, 0)


def expected(shop: Shop, subscription: Any, moment: int, old: int, new: int) -> tuple[int, int]:
    """What credit and charge must be, worked out here once more."""
    item = shop.item(subscription)
    left = Fraction(item.current_period_end - moment, item.current_period_end - item.current_period_start)
    return -round(old * left), round(new * left)


def test_an_upgrade_credits_and_charges_by_the_second(shop: Shop) -> None:
    subscription = shop.subscribed()
    moment = shop.fake.move_clock(days=10)
    change = {"items": [{"id": shop.item(subscription).id, "price": shop.prices["unlimited_month"]}], "proration_date": moment}
    changed = shop.v1.subscriptions.update(subscription.id, {**change, "proration_behavior": "always_invoice"})
    credit, charge = expected(shop, subscription, moment, 1899, 5999)
    invoice = shop.v1.invoices.retrieve(changed.latest_invoice)
    assert [line.amount for line in invoice.lines.data] == [credit, charge]
    assert all(line.parent.subscription_item_details.proration for line in invoice.lines.data)
    assert [line.pricing.price_details.price for line in invoice.lines.data] == [shop.prices["pro_month"], shop.prices["unlimited_month"]]
    assert (invoice.billing_reason, invoice.status, invoice.amount_paid) == ("subscription_update", "paid", credit + charge)
    assert shop.item(changed).id == shop.item(subscription).id
    assert shop.item(changed).current_period_end == shop.item(subscription).current_period_end
    event = next(event for event in shop.events("customer.subscription.updated") if "items" in event.data.previous_attributes)
    assert event.data.previous_attributes["items"].data[0].price.id == shop.prices["pro_month"]


def test_prorations_wait_for_the_next_invoice_by_default(shop: Shop) -> None:
    subscription = shop.subscribed()
    moment = shop.fake.move_clock(days=10)
    item = {"id": shop.item(subscription).id, "price": shop.prices["unlimited_month"]}
    shop.v1.subscriptions.update(subscription.id, {"items": [item], "proration_date": moment})
    credit, charge = expected(shop, subscription, moment, 1899, 5999)
    assert [row.amount for row in shop.v1.invoice_items.list({"pending": True}).data] == [charge, credit]
    assert len(shop.invoices(subscription)) == 1
    shop.fake.move_clock(past_period_end=subscription.id)
    assert shop.invoices(subscription)[1].total == credit + charge + 5999
    assert shop.v1.invoice_items.list({"pending": True}).data == []


def test_a_change_without_proration_costs_nothing_now(shop: Shop) -> None:
    subscription = shop.subscribed()
    item = {"id": shop.item(subscription).id, "price": shop.prices["unlimited_month"]}
    shop.v1.subscriptions.update(subscription.id, {"items": [item], "proration_behavior": "none"})
    shop.fake.move_clock(past_period_end=subscription.id)
    assert [row.total for row in shop.invoices(subscription)] == [1899, 5999]


def test_another_interval_begins_a_new_period_at_once(shop: Shop) -> None:
    subscription = shop.subscribed()
    moment = shop.fake.move_clock(days=10)
    item = {"id": shop.item(subscription).id, "price": shop.prices["unlimited_year"]}
    changed = shop.v1.subscriptions.update(subscription.id, {"items": [item], "proration_date": moment})
    credit, _ = expected(shop, subscription, moment, 1899, 0)
    assert shop.v1.invoices.retrieve(changed.latest_invoice).total == credit + 59999
    new = shop.item(changed)
    assert 365 * DAY <= new.current_period_end - new.current_period_start <= 366 * DAY
    assert changed.billing_cycle_anchor == new.current_period_start


def test_a_credit_that_is_left_pays_the_next_invoices(shop: Shop) -> None:
    subscription = shop.subscribed("unlimited_year")
    item = {"id": shop.item(subscription).id, "price": shop.prices["pro_month"]}
    changed = shop.v1.subscriptions.update(subscription.id, {"items": [item]})
    invoice = shop.v1.invoices.retrieve(changed.latest_invoice)
    assert invoice.total < -57_000 and (invoice.amount_due, invoice.status) == (0, "paid")
    assert shop.v1.customers.retrieve(subscription.customer).balance == invoice.total == invoice.ending_balance
    shop.fake.move_clock(past_period_end=subscription.id)
    renewal = shop.invoices(subscription)[-1]
    assert (renewal.total, renewal.amount_due, renewal.status) == (1899, 0, "paid")
    assert shop.v1.customers.retrieve(subscription.customer).balance == invoice.total + 1899


def test_a_preview_tells_the_cost_and_changes_nothing(shop: Shop) -> None:
    subscription = shop.subscribed()
    moment = shop.fake.move_clock(days=10)
    before = len(shop.events())
    item = {"id": shop.item(subscription).id, "price": shop.prices["unlimited_month"]}
    details = {"items": [item], "proration_behavior": "always_invoice", "proration_date": moment}
    preview = shop.v1.invoices.create_preview({"subscription": subscription.id, "subscription_details": details})
    assert preview.amount_due == sum(expected(shop, subscription, moment, 1899, 5999))
    assert shop.price_of(shop.subscription(subscription.id)) == "pro_month"
    assert len(shop.events()) == before and len(shop.invoices(subscription)) == 1
    plain = shop.v1.invoices.create_preview({"subscription": subscription.id})
    assert (plain.amount_due, plain.billing_reason) == (1899, "upcoming")
    changed = shop.v1.subscriptions.update(
        subscription.id, {"items": [item], "proration_behavior": "always_invoice", "proration_date": moment}
    )
    assert shop.v1.invoices.retrieve(changed.latest_invoice).total == preview.amount_due


def test_a_percentage_off_is_carried_by_prorations(shop: Shop) -> None:
    coupon = shop.v1.coupons.create({"percent_off": 50, "duration": "forever"})
    subscription = shop.subscribed(discounts=[{"coupon": coupon.id}])
    moment = shop.fake.move_clock(days=10)
    item = {"id": shop.item(subscription).id, "price": shop.prices["unlimited_month"]}
    change = {"items": [item], "proration_behavior": "always_invoice", "proration_date": moment}
    changed = shop.v1.subscriptions.update(subscription.id, change)
    credit, charge = expected(shop, subscription, moment, 949, 2999)
    total = shop.v1.invoices.retrieve(changed.latest_invoice).total
    assert total == credit + charge


def test_quantities_are_prorated_and_refused_at_zero(shop: Shop) -> None:
    subscription = shop.subscribed()
    item = {"id": shop.item(subscription).id, "quantity": 3}
    changed = shop.v1.subscriptions.update(subscription.id, {"items": [item], "proration_behavior": "always_invoice"})
    assert shop.item(changed).quantity == 3
    assert shop.v1.invoices.retrieve(changed.latest_invoice).total == pytest.approx(2 * 1899, abs=2)
    with pytest.raises(stripe.InvalidRequestError, match="at least one"):
        shop.v1.subscriptions.update(subscription.id, {"items": [{"id": shop.item(subscription).id, "deleted": True}]})


def test_a_failed_upgrade_may_be_refused_whole(shop: Shop) -> None:
    subscription = shop.subscribed()
    shop.fake.next_charges("declined")
    change = {
        "items": [{"id": shop.item(subscription).id, "price": shop.prices["unlimited_month"]}],
        "proration_behavior": "always_invoice",
    }
    with pytest.raises(stripe.CardError):
        shop.v1.subscriptions.update(subscription.id, {**change, "payment_behavior": "error_if_incomplete"})
    assert shop.price_of(shop.subscription(subscription.id)) == "pro_month"
    shop.fake.next_charges("declined")
    assert shop.v1.subscriptions.update(subscription.id, change).status == "past_due"
    assert shop.price_of(shop.subscription(subscription.id)) == "unlimited_month"


def test_cancelling_now_can_give_the_rest_back(shop: Shop) -> None:
    subscription = shop.subscribed()
    shop.fake.move_clock(days=10)
    ended = shop.v1.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True})
    assert ended.status == "canceled" and ended.ended_at
    last = shop.invoices(subscription)[-1]
    assert -1899 < last.total < 0 and shop.v1.customers.retrieve(subscription.customer).balance == last.total
