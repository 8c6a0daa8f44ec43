"""As the payment simulator's clock moves: renewals, retries over two weeks, trials, cancellations, schedules, test clocks."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.fakes.stripe import CARD_CONFIRM, CARD_FAILS_LATER, CARD_OK
from tests.shop import Shop

DAY = 86_400


def period(shop: Shop, subscription: Any) -> tuple[int, int]:
    item = shop.item(shop.subscription(subscription.id))
    return item.current_period_start, item.current_period_end


def test_it_renews_period_after_period(shop: Shop) -> None:
    subscription = shop.subscribed()
    first = period(shop, subscription)
    shop.fake.move_clock(months=3, days=1)
    invoices = shop.invoices(subscription)
    assert [(row.billing_reason, row.status, row.total) for row in invoices] == [
        ("subscription_create", "paid", 1899),
        *[("subscription_cycle", "paid", 1899)] * 3,
    ]
    numbers = [row.number for row in invoices]
    assert [number.rpartition("-")[2] for number in numbers] == ["0001", "0002", "0003", "0004"]
    assert invoices[1].lines.data[0].period.start == first[1] == invoices[1].created == invoices[1].period_end
    assert period(shop, subscription)[0] > first[1] and shop.subscription(subscription.id).latest_invoice == invoices[-1].id


def test_a_renewals_invoice_is_a_draft_for_an_hour(shop: Shop) -> None:
    subscription = shop.subscribed()
    end = period(shop, subscription)[1]
    shop.fake.control("clock", to=end + 60)
    draft = shop.invoices(subscription)[1]
    assert (draft.status, draft.number, draft.hosted_invoice_url) == ("draft", None, None)
    assert shop.subscription(subscription.id).status == "active" and period(shop, subscription)[0] == end
    shop.fake.control("clock", to=end + 3660)
    paid = shop.invoices(subscription)[1]
    assert (paid.status, paid.status_transitions.finalized_at - end) == ("paid", 3600)


def test_it_tells_of_an_invoice_to_come(shop: Shop) -> None:
    subscription = shop.subscribed()
    shop.fake.move_clock(past_period_end=subscription.id)
    upcoming = shop.events("invoice.upcoming")
    assert len(upcoming) == 1 and "id" not in upcoming[0].data.object
    assert (upcoming[0].data.object.total, upcoming[0].data.object.billing_reason) == (1899, "upcoming")
    assert upcoming[0].created == shop.invoices(subscription)[1].created - 7 * DAY


def test_retries_run_for_two_weeks_and_then_it_ends(shop: Shop) -> None:
    subscription = shop.subscribed(card=CARD_FAILS_LATER)
    end = period(shop, subscription)[1]
    shop.fake.move_clock(months=1, days=17)
    failures = shop.events("invoice.payment_failed")
    assert [round((event.created - end - 3600) / DAY) for event in failures] == [0, 3, 8, 15]
    assert [event.data.object.attempt_count for event in failures] == [1, 2, 3, 4]
    assert [event.data.object.next_payment_attempt is None for event in failures] == [False, False, False, True]
    ended = shop.subscription(subscription.id)
    assert (ended.status, ended.cancellation_details.reason, ended.ended_at) == ("canceled", "payment_failed", failures[-1].created)
    assert shop.v1.customers.retrieve(subscription.customer).delinquent is False
    statuses = [event.data.object.status for event in shop.events("customer.subscription.updated", "customer.subscription.deleted")]
    assert statuses[-2:] == ["past_due", "canceled"]
    charge = shop.v1.charges.list({"customer": subscription.customer}).data[0]
    assert (charge.status, charge.outcome.reason) == ("failed", "generic_decline")


@pytest.mark.parametrize("ends", ["unpaid", "past_due"])
def test_failed_retries_may_end_otherwise(shop: Shop, ends: str) -> None:
    shop.fake.control("dunning", ends=ends)
    subscription = shop.subscribed(card=CARD_FAILS_LATER)
    shop.fake.move_clock(months=1, days=17)
    assert shop.subscription(subscription.id).status == ends
    assert shop.v1.customers.retrieve(subscription.customer).delinquent is True
    shop.fake.move_clock(months=1)
    assert shop.invoices(subscription)[2].status == ("draft" if ends == "unpaid" else "open")


def test_a_retry_may_succeed(shop: Shop) -> None:
    subscription = shop.subscribed()
    shop.fake.next_charges("insufficient_funds", "succeeded")
    shop.fake.move_clock(past_period_end=subscription.id)
    assert shop.subscription(subscription.id).status == "past_due"
    assert shop.v1.customers.retrieve(subscription.customer).delinquent is True
    shop.fake.move_clock(days=3)
    assert shop.subscription(subscription.id).status == "active"
    assert shop.v1.customers.retrieve(subscription.customer).delinquent is False
    invoice = shop.v1.invoices.retrieve(shop.invoices(subscription)[1].id, {"expand": ["payments.data.payment.payment_intent"]})
    assert (invoice.status, invoice.attempt_count) == ("paid", 2)
    assert [row.status for row in invoice.payments.data] == ["paid"]
    assert invoice.payments.data[0].payment.payment_intent.status == "succeeded"


def test_a_person_can_pay_an_open_invoice(shop: Shop) -> None:
    subscription = shop.subscribed(card=CARD_FAILS_LATER)
    shop.fake.move_clock(past_period_end=subscription.id)
    url = shop.invoices(subscription)[1].hosted_invoice_url
    assert shop.fake.pay_invoice(url, "4000000000000002").status_code == 402
    assert shop.subscription(subscription.id).status == "past_due"
    asked = shop.fake.pay_invoice(url, CARD_CONFIRM)
    assert asked.status_code == 200 and 'value="confirm"' in asked.text
    assert shop.fake.http.post(url, data={"action": "confirm"}).status_code == 303
    assert shop.subscription(subscription.id).status == "active"
    assert shop.fake.pay_invoice(url, CARD_OK).status_code == 303  # it is paid: nothing happens
    assert len(shop.v1.charges.list({"customer": subscription.customer}).data) == 3
    shop.fake.move_clock(past_period_end=subscription.id)
    assert shop.subscription(subscription.id).status == "active"


def test_an_operator_can_have_it_charged_voided_or_given_up(shop: Shop) -> None:
    subscription = shop.subscribed(card=CARD_FAILS_LATER)
    shop.fake.move_clock(past_period_end=subscription.id)
    invoice = shop.invoices(subscription)[1]
    with pytest.raises(stripe.CardError):
        shop.v1.invoices.pay(invoice.id)
    assert shop.v1.invoices.retrieve(invoice.id).attempt_count == 2  # the attempt is kept
    assert shop.v1.invoices.pay(invoice.id, {"payment_method": "pm_card_visa"}).status == "paid"
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.invoices.void_invoice(invoice.id)
    shop.fake.move_clock(past_period_end=subscription.id)
    assert shop.v1.invoices.mark_uncollectible(shop.invoices(subscription)[2].id).status == "uncollectible"
    assert shop.v1.invoices.void_invoice(shop.invoices(subscription)[2].id).status == "void"


def test_a_trial_ends_in_the_first_payment(shop: Shop) -> None:
    subscription = shop.subscribed(subscription_data={"trial_period_days": 14})
    shop.fake.move_clock(days=12)
    assert len(shop.events("customer.subscription.trial_will_end")) == 1
    assert shop.subscription(subscription.id).status == "trialing"
    shop.fake.move_clock(days=3)
    assert shop.subscription(subscription.id).status == "active"
    assert [(row.total, row.status) for row in shop.invoices(subscription)] == [(0, "paid"), (1899, "paid")]
    assert len(shop.events("customer.subscription.trial_will_end")) == 1


def test_a_trial_with_a_bad_card_ends_past_due(shop: Shop) -> None:
    subscription = shop.subscribed(card=CARD_FAILS_LATER, subscription_data={"trial_period_days": 7})
    shop.fake.move_clock(days=8)
    assert shop.subscription(subscription.id).status == "past_due"


def test_a_trial_without_a_card_can_end_the_subscription(shop: Shop) -> None:
    ending = {"end_behavior": {"missing_payment_method": "cancel"}}
    given = {"customer": shop.customer(), "items": [{"price": shop.prices["pro_month"]}], "trial_period_days": 7, "trial_settings": ending}
    subscription = shop.v1.subscriptions.create(given)
    assert subscription.status == "trialing"
    shop.fake.move_clock(days=8)
    assert shop.subscription(subscription.id).status == "canceled"


def test_it_ends_at_the_periods_end_unless_resumed(shop: Shop) -> None:
    subscription = shop.subscribed()
    ends = period(shop, subscription)[1]
    found = shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert (found.cancel_at_period_end, found.cancel_at, found.status) == (True, ends, "active") and found.canceled_at
    found = shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    assert (found.cancel_at_period_end, found.cancel_at, found.canceled_at) == (False, None, None)
    shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    shop.fake.move_clock(past_period_end=subscription.id)
    ended = shop.subscription(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", ends) and len(shop.invoices(subscription)) == 1
    assert len(shop.events("customer.subscription.deleted")) == 1
    with pytest.raises(stripe.InvalidRequestError, match="has ended"):
        shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False})


def test_a_first_payment_that_fails_leaves_an_incomplete_one_for_23_hours(shop: Shop) -> None:
    customer = shop.customer("pm_card_chargeCustomerFail")
    given = {"customer": customer, "items": [{"price": shop.prices["pro_month"]}]}
    with pytest.raises(stripe.CardError):
        shop.v1.subscriptions.create({**given, "payment_behavior": "error_if_incomplete"})
    subscription = shop.v1.subscriptions.create(given)
    assert subscription.status == "incomplete"
    shop.fake.move_clock(seconds=23 * 3600 + 60)
    assert shop.subscription(subscription.id).status == "incomplete_expired"
    assert [row.status for row in shop.invoices(subscription)] == ["void"]


def test_an_incomplete_one_comes_to_life_when_it_is_paid(shop: Shop) -> None:
    given = {"customer": shop.customer("pm_card_visa"), "items": [{"price": shop.prices["pro_month"]}]}
    subscription = shop.v1.subscriptions.create({**given, "payment_behavior": "default_incomplete", "expand": ["latest_invoice.payments"]})
    assert (subscription.status, subscription.latest_invoice.status) == ("incomplete", "open")
    assert subscription.latest_invoice.payments.data[0].status == "open"
    shop.v1.invoices.pay(subscription.latest_invoice.id)
    assert shop.subscription(subscription.id).status == "active"


def test_a_schedule_changes_the_price_at_the_periods_end(shop: Shop) -> None:
    subscription = shop.subscribed("unlimited_month")
    schedule = shop.v1.subscription_schedules.create({"from_subscription": subscription.id})
    assert schedule.status == "active" and shop.subscription(subscription.id).schedule == schedule.id
    phase = schedule.phases[0]
    now = {"items": [{"price": phase["items"][0].price, "quantity": 1}], "start_date": phase.start_date, "end_date": phase.end_date}
    later = {"items": [{"price": shop.prices["pro_month"], "quantity": 1}], "duration": {"interval": "month"}}
    updated = shop.v1.subscription_schedules.update(schedule.id, {"phases": [now, later], "end_behavior": "release"})
    assert [row["items"][0].price for row in updated.phases] == [shop.prices["unlimited_month"], shop.prices["pro_month"]]
    assert shop.price_of(shop.subscription(subscription.id)) == "unlimited_month"
    shop.fake.move_clock(past_period_end=subscription.id)
    assert shop.price_of(shop.subscription(subscription.id)) == "pro_month"
    assert [row.total for row in shop.invoices(subscription)] == [5999, 1899]
    shop.fake.move_clock(past_period_end=subscription.id)
    done = shop.v1.subscription_schedules.retrieve(schedule.id)
    assert (done.status, done.released_subscription) == ("released", subscription.id)
    assert shop.subscription(subscription.id).schedule is None
    assert [row.total for row in shop.invoices(subscription)] == [5999, 1899, 1899]


def test_a_schedule_can_be_released_before_and_guards_the_items(shop: Shop) -> None:
    subscription = shop.subscribed()
    schedule = shop.v1.subscription_schedules.create({"from_subscription": subscription.id})
    with pytest.raises(stripe.InvalidRequestError, match="schedule"):
        shop.v1.subscription_schedules.create({"from_subscription": subscription.id})
    with pytest.raises(stripe.InvalidRequestError, match="schedule"):
        item = {"id": shop.item(subscription).id, "price": shop.prices["unlimited_month"]}
        shop.v1.subscriptions.update(subscription.id, {"items": [item]})
    assert shop.v1.subscription_schedules.release(schedule.id).status == "released"
    assert shop.subscription(subscription.id).schedule is None


def test_a_test_clock_moves_its_own_customers_alone(shop: Shop) -> None:
    start = shop.fake.now()
    clock = shop.v1.test_helpers.test_clocks.create({"frozen_time": start, "name": "mine"})
    mine = shop.customer("pm_card_visa", test_clock=clock.id)
    given = {"items": [{"price": shop.prices["pro_month"]}]}
    frozen = shop.v1.subscriptions.create({"customer": mine, **given})
    common = shop.subscribed()
    moved = shop.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": start + 40 * DAY})
    assert (moved.status, moved.frozen_time) == ("ready", start + 40 * DAY)
    assert len(shop.invoices(frozen)) == 2 and len(shop.invoices(common)) == 1
    assert frozen.test_clock == clock.id and shop.invoices(frozen)[1].created > start + 27 * DAY
    shop.fake.move_clock(months=1, days=2)
    assert len(shop.invoices(frozen)) == 2 and len(shop.invoices(common)) == 2
    assert len(shop.events("test_helpers.test_clock.ready")) == 1
    with pytest.raises(stripe.InvalidRequestError, match="after the clock"):
        shop.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": start})
    shop.v1.test_helpers.test_clocks.delete(clock.id)
    assert shop.v1.customers.retrieve(mine).deleted


def test_the_clock_never_goes_back(shop: Shop) -> None:
    answer = shop.fake.http.post("/simulator/clock", json={"seconds": -5})
    assert answer.status_code == 400 and "forward only" in answer.json()["error"]["message"]


def test_its_answers_carry_its_time(shop: Shop) -> None:
    from email.utils import parsedate_to_datetime

    now = shop.fake.move_clock(days=40)
    header = shop.fake.http.get("/simulator/state").headers["Date"]
    assert abs(parsedate_to_datetime(header).timestamp() - now) < 30


def test_refunds_and_disputes(shop: Shop) -> None:
    subscription = shop.subscribed()
    charge = shop.v1.charges.list({"customer": subscription.customer}).data[0]
    part = shop.v1.refunds.create({"charge": charge.id, "amount": 899, "reason": "requested_by_customer"})
    assert (part.status, part.amount) == ("succeeded", 899)
    found = shop.v1.charges.retrieve(charge.id, {"expand": ["refunds", "balance_transaction"]})
    assert (found.amount_refunded, found.refunded, len(found.refunds.data), found.balance_transaction.amount) == (899, False, 1, 1899)
    with pytest.raises(stripe.InvalidRequestError, match="at most"):
        shop.v1.refunds.create({"payment_intent": charge.payment_intent, "amount": 1001})
    shop.fake.control("refund", charge=charge.id)
    assert shop.v1.charges.retrieve(charge.id).refunded
    assert [event.data.object.amount_refunded for event in shop.events("charge.refunded")] == [899, 1899]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.refunds.create({"charge": charge.id})
    assert caught.value.code == "charge_already_refunded"


def test_a_dispute_takes_the_money_and_is_closed(shop: Shop) -> None:
    subscription = shop.subscribed()
    charge = shop.v1.charges.list({"customer": subscription.customer}).data[0]
    dispute = shop.fake.control("dispute", charge=charge.id, reason="fraudulent")
    assert shop.v1.charges.retrieve(charge.id).disputed
    found = shop.v1.disputes.retrieve(dispute["id"])
    assert (found.status, found.amount, found.reason) == ("needs_response", 1899, "fraudulent")
    shop.fake.control("dispute", dispute=found.id, status="lost")
    assert [event.type for event in shop.events() if event.type.startswith("charge.dispute")] == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
    ]
