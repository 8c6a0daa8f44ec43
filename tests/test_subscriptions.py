"""A paid subscription from the order to its end, against the payment simulator and over real sockets."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import httpx
import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, transaction

from accounts.models import User
from billing import checkout, clock, price_list, refunds, subscriptions, tasks
from billing import mails as mailing
from billing.entitlements import GRACE
from billing.errors import InvalidRequest, PaymentUnavailable
from billing.models import Invoice, Order, OutboxMail, Subscription, Tier, TierPrice
from billing.reconcile import reconcile
from billing.stripe_api import client, plain
from billing.tiers import tier_for
from tests.fakes.stripe import CARD_FAILS_LATER, Simulator
from tests.simulated import simulator
from triforce.privacy.deletion import delete_account, obstacle

__all__ = ["simulator"]


def order(user: User, tier: str = "pro", interval: str = "month") -> Order:
    price = TierPrice.objects.get(tier__slug=tier, interval=interval, is_sold=True)
    return Order.objects.create(id=uuid.uuid4(), user=user, price=price, consent="I agree.")


def subscribe(simulator: Simulator, user: User, tier: str = "pro", interval: str = "month", card: str = "4242424242424242") -> Subscription:
    """Order it, pay it, and wait for what Stripe tells."""
    answer = simulator.complete_checkout(checkout.start_checkout(order(user, tier, interval)), card)
    assert answer.status_code == 303, answer.text
    simulator.settle()
    return Subscription.objects.get(user=user)


def mails(to: User) -> list[str]:
    """The kinds of mails posted to them, oldest first."""
    return [dedupe.partition(":")[0] for dedupe in OutboxMail.objects.filter(to=to.email).order_by("pk").values_list("dedupe", flat=True)]


def test_paying_gives_the_tier_at_once(simulator: Simulator, make_user: Callable[..., User]) -> None:
    user = make_user()
    row = subscribe(simulator, user)
    assert (row.status, row.tier.slug, row.interval, str(row.amount), row.currency) == ("active", "pro", "month", "18.99", "eur")
    assert tier_for(user).slug == "pro"
    assert sorted(mails(user)) == ["paid", "welcome"]
    invoice = Invoice.objects.get(user=user)
    assert (invoice.status, str(invoice.total)) == ("paid", "18.99")
    assert invoice.number and invoice.page and invoice.pdf
    assert Tier.objects.get(slug="pro").prices.filter(is_sold=True).count() == 2
    assert all(one["state"] == "delivered" for one in simulator.deliveries()), simulator.deliveries()


def test_p34_a_cancelled_plan_stays_to_the_end_of_its_period(simulator: Simulator, make_user: Callable[..., User]) -> None:
    user = make_user()
    row = subscribe(simulator, user)
    checkout.cancel(row)
    row.refresh_from_db()
    assert row.cancel_at_period_end and row.ends_at == row.period_ends_at
    assert tier_for(user).slug == "pro"
    checkout.resume(row)
    row.refresh_from_db()
    assert not row.cancel_at_period_end and row.ends_at == row.period_ends_at + GRACE
    checkout.cancel(row)
    simulator.move_clock(past_period_end=True)
    simulator.settle()
    row.refresh_from_db()
    assert (row.status, tier_for(user).slug) == ("canceled", "registered")
    assert mails(user)[-2:] == ["ending", "ended"]


def test_p34_a_failing_card_walks_through_grace_and_mails(simulator: Simulator, make_user: Callable[..., User]) -> None:
    user = make_user()
    row = subscribe(simulator, user, card=CARD_FAILS_LATER)
    assert tier_for(user).slug == "pro"
    simulator.move_clock(past_period_end=True)
    simulator.settle()
    row.refresh_from_db()
    assert (row.status, tier_for(user).slug) == ("past_due", "pro")
    assert "failed" in mails(user)
    assert row.ends_at and clock.now() + timedelta(days=2) < row.ends_at <= clock.now() + GRACE
    assert mailing.remind() == 0
    Subscription.objects.update(ends_at=clock.now() + timedelta(hours=5))
    assert [mailing.remind(), mailing.remind()] == [1, 1]
    Subscription.objects.update(ends_at=clock.now() - timedelta(hours=5))
    assert mailing.remind() == 1
    assert mails(user)[-2:] == ["grace", "paused"]
    assert tier_for(user).slug == "registered"
    simulator.move_clock(days=4)
    simulator.settle()
    row.refresh_from_db()
    assert (row.status, tier_for(user).slug) == ("past_due", "registered")  # the next try failed too, and the grace is over
    simulator.move_clock(days=30)
    simulator.settle()
    row.refresh_from_db()
    assert (row.status, tier_for(user).slug) == ("canceled", "registered")
    assert mails(user)[-1] == "ended"


def test_a_lost_renewal_locks_nobody_out_and_a_lost_end_ends(simulator: Simulator, make_user: Callable[..., User]) -> None:
    user = make_user()
    row = subscribe(simulator, user)
    assert row.ends_at and row.period_ends_at and row.ends_at - row.period_ends_at == GRACE
    simulator.mode("drop")
    checkout.cancel(row)
    row.refresh_from_db()
    assert row.ends_at == row.period_ends_at  # no event is needed for this


def test_what_never_came_is_found_at_night(simulator: Simulator, make_user: Callable[..., User], settings: Any) -> None:
    settings.OPERATOR_EMAILS = ["root@example.org"]
    user = make_user()
    page = checkout.start_checkout(order(user))
    simulator.mode("drop")
    simulator.complete_checkout(page)
    simulator.settle()
    assert not Subscription.objects.exists()
    found, _looked = reconcile()
    assert found > 3
    assert tier_for(user).slug == "pro"
    assert sorted(mails(user)) == ["paid", "welcome"]
    assert OutboxMail.objects.filter(to="root@example.org", subject__contains="never came").exists()
    assert reconcile()[0] == 0


def test_one_broken_thing_does_not_stand_before_all_others(simulator: Simulator, make_user: Callable[..., User], settings: Any) -> None:
    settings.OPERATOR_EMAILS = ["root@example.org"]
    users = [make_user(email=f"{name}@example.org") for name in ("ada", "bob", "eve")]
    for user in users:
        assert simulator.complete_checkout(checkout.start_checkout(order(user))).status_code == 303
        simulator.settle()
    Subscription.objects.update(ends_at=clock.now(), status="past_due")
    Subscription.objects.filter(user=users[0]).update(customer_id="cus_that_is_not_there")
    reconcile()
    assert [tier_for(user).slug for user in users] == ["registered", "pro", "pro"]
    assert "cus_that_is_not_there" in OutboxMail.objects.get(subject__contains="cannot be read").body


def press(simulator: Simulator, user: User, tier: str, interval: str) -> Subscription:
    """Order another plan, and say yes on the portal's page."""
    wanted = order(user, tier, interval)
    portal = checkout.start_checkout(wanted)
    assert "/p/session/" in portal  # no second subscription
    assert simulator.portal(portal, "update", price=wanted.price.stripe_id).status_code == 303
    simulator.settle()
    return Subscription.objects.get(user=user)


def test_more_costs_at_once_and_less_waits_for_the_periods_end(simulator: Simulator, make_user: Callable[..., User]) -> None:
    user = make_user()
    subscribe(simulator, user)
    with pytest.raises(InvalidRequest, match=r"already|schon"):
        checkout.start_checkout(order(user))
    row = press(simulator, user, "enterprise", "month")
    assert (tier_for(user).slug, row.next_tier) == ("enterprise", None)
    assert Invoice.objects.filter(user=user, status="paid").count() == 2
    row = press(simulator, user, "pro", "month")
    assert (tier_for(user).slug, row.next_tier.slug, row.next_interval) == ("enterprise", "pro", "month")
    with pytest.raises(InvalidRequest, match=r"planned|geplant"):
        checkout.start_checkout(order(user, "enterprise", "year"))
    checkout.resume(row)
    row.refresh_from_db()
    assert (row.next_tier, row.schedule_id) == (None, "")
    press(simulator, user, "pro", "month")
    simulator.move_clock(past_period_end=True)
    simulator.settle()
    row.refresh_from_db()
    assert (row.status, tier_for(user).slug, row.next_tier) == ("active", "pro", None)
    assert row.schedule_id  # Stripe's is still in charge, through its last phase
    checkout.cancel(row)
    row.refresh_from_db()
    assert (row.cancel_at_period_end, row.schedule_id) == (True, "")


def test_what_was_cancelled_in_the_portal_goes_on_at_a_press(simulator: Simulator, make_user: Callable[..., User]) -> None:
    user = make_user()
    row = subscribe(simulator, user)
    assert simulator.portal(checkout.open_portal(user), "cancel").status_code == 303
    simulator.settle()
    row.refresh_from_db()
    assert row.cancel_at_period_end and row.ends_at == row.period_ends_at
    checkout.resume(row)
    row.refresh_from_db()
    assert not row.cancel_at_period_end and row.ends_at == row.period_ends_at + GRACE


def test_another_plan_is_confirmed_only_by_who_comes_from_the_order_page(simulator: Simulator, make_user: Callable[..., User]) -> None:
    user = make_user()
    row = subscribe(simulator, user)
    price = TierPrice.objects.get(tier__slug="enterprise", interval="month", is_sold=True).stripe_id
    assert simulator.portal(checkout.open_portal(user), "update", price=price).status_code == 400
    simulator.settle()
    row.refresh_from_db()
    assert row.tier.slug == "pro"


def test_who_owes_is_led_to_the_card_and_not_to_another_plan(simulator: Simulator, make_user: Callable[..., User]) -> None:
    user = make_user()
    row = subscribe(simulator, user, card=CARD_FAILS_LATER)
    simulator.move_clock(past_period_end=True)
    simulator.settle()
    row.refresh_from_db()
    ends, wanted = row.ends_at, order(user, "enterprise")
    page = checkout.start_checkout(wanted)
    assert 'name="number"' in httpx.get(page).text
    assert simulator.portal(page, "update", price=wanted.price.stripe_id).status_code == 400
    price = [{"id": plain(client().subscriptions.retrieve(row.stripe_id))["items"]["data"][0]["id"], "price": wanted.price.stripe_id}]
    simulator.move_clock(seconds=7200)
    client().subscriptions.update(row.stripe_id, {"items": price, "proration_behavior": "always_invoice"})
    simulator.settle()
    row.refresh_from_db()
    assert row.status == "past_due" and ends and row.ends_at and row.ends_at <= ends


def test_a_planned_change_does_not_stand_in_the_way_of_cancelling(simulator: Simulator, make_user: Callable[..., User]) -> None:
    user = make_user()
    subscribe(simulator, user, "enterprise", "year")
    row = press(simulator, user, "pro", "month")
    assert row.next_interval == "month"
    checkout.cancel(row)
    row.refresh_from_db()
    assert (row.cancel_at_period_end, row.next_tier, tier_for(user).slug) == (True, None, "enterprise")


def test_a_trial_gives_the_tier_before_the_first_payment_and_once(
    simulator: Simulator, make_user: Callable[..., User], settings: Any
) -> None:
    settings.STRIPE_TRIAL_DAYS = 7
    user = make_user()
    row = subscribe(simulator, user)
    assert (row.status, tier_for(user).slug, mails(user)) == ("trialing", "pro", ["welcome"])
    client().subscriptions.cancel(row.stripe_id)
    simulator.settle()
    simulator.complete_checkout(checkout.start_checkout(order(user)))
    simulator.settle()
    assert sorted(Subscription.objects.values_list("status", flat=True)) == ["active", "canceled"]


def test_the_invoice_shows_the_vat(simulator: Simulator, make_user: Callable[..., User], settings: Any) -> None:
    settings.STRIPE_AUTOMATIC_TAX = True
    user = make_user()
    subscribe(simulator, user)
    invoice = Invoice.objects.get()
    assert (str(invoice.total), str(invoice.tax)) == ("18.99", "3.03")
    assert "3,03 EUR" in OutboxMail.objects.get(dedupe__startswith="paid:").body


def test_the_operators_tax_rate_is_on_the_invoice(simulator: Simulator, make_user: Callable[..., User], settings: Any) -> None:
    rate = client().tax_rates.create({"display_name": "USt.", "percentage": 19, "inclusive": True, "country": "DE"})
    settings.STRIPE_TAX_RATE = rate.id
    subscribe(simulator, make_user())
    assert str(Invoice.objects.get().tax) == "3.03"


def test_a_full_refund_ends_the_rights(simulator: Simulator, make_user: Callable[..., User]) -> None:
    user = make_user()
    row = subscribe(simulator, user)
    charge = client().charges.list({"limit": 1}).data[0].id
    simulator.control("refund", charge=charge, amount=500)
    simulator.settle()
    assert tier_for(user).slug == "pro"
    simulator.control("refund", charge=charge)
    simulator.settle()
    row.refresh_from_db()
    assert (row.status, tier_for(user).slug) == ("canceled", "registered")


def test_a_refund_leaves_the_rights_where_the_operator_wants_it_so(
    simulator: Simulator, make_user: Callable[..., User], settings: Any
) -> None:
    settings.REFUND_ENDS_RIGHTS = False
    user = make_user()
    subscribe(simulator, user)
    simulator.control("refund", charge=client().charges.list({"limit": 1}).data[0].id)
    simulator.settle()
    assert tier_for(user).slug == "pro"


def test_a_withdrawal_gives_the_money_back_and_ends_it(simulator: Simulator, make_user: Callable[..., User]) -> None:
    user = make_user()
    row = subscribe(simulator, user)
    for _twice in range(2):
        refunds.refund_and_end(row)
    row.refresh_from_db()
    assert (row.status, tier_for(user).slug) == ("canceled", "registered")
    assert client().charges.list({"limit": 1}).data[0].amount_refunded == 1899


def test_a_dispute_is_told_to_the_operators(simulator: Simulator, make_user: Callable[..., User], settings: Any) -> None:
    settings.OPERATOR_EMAILS = ["root@example.org"]
    subscribe(simulator, make_user())
    simulator.control("dispute", charge=client().charges.list({"limit": 1}).data[0].id)
    simulator.settle()
    assert "18.99 EUR" in OutboxMail.objects.get(to="root@example.org").subject


def test_stripe_away_is_one_clear_error(simulator: Simulator, make_user: Callable[..., User], settings: Any) -> None:
    user = make_user()
    row = subscribe(simulator, user)
    simulator.fail_next("500", count=20)
    with pytest.raises(PaymentUnavailable):
        checkout.cancel(row)
    settings.STRIPE_API_HOST = "http://127.0.0.1:1"
    with pytest.raises(PaymentUnavailable):
        checkout.open_portal(user)
    row.refresh_from_db()
    assert not row.cancel_at_period_end


def test_sync_stripe_changes_nothing_the_second_time_and_a_price_once(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_list, "is_behind", lambda: False)  # the task would be quicker now and then

    def run() -> list[str]:
        told = StringIO()
        call_command("sync_stripe", stdout=told)
        return told.getvalue().splitlines()[:-1]

    assert run() == []
    old = TierPrice.objects.get(tier__slug="pro", interval="month", is_sold=True)
    Tier.objects.filter(slug="pro").update(price_monthly="20.00")
    try:
        assert run() == ["pro month: 20.00 EUR", "pro month: 18.99 archived"]
        assert run() == []
        assert TierPrice.objects.get(pk=old.pk).is_sold is False
        assert str(TierPrice.objects.get(tier__slug="pro", interval="month", is_sold=True).amount) == "20.00"
        assert client().prices.retrieve(old.stripe_id).active is False
    finally:
        Tier.objects.filter(slug="pro").update(price_monthly="18.99")


def test_a_price_that_changes_in_the_admin_is_sold_by_a_task(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not price_list.is_behind()
    try:
        Tier.objects.filter(slug="pro").update(price_monthly="20.00")
        assert price_list.is_behind()
        tasks.sync_stripe()
        assert str(TierPrice.objects.get(tier__slug="pro", interval="month", is_sold=True).amount) == "20.00"
        Tier.objects.filter(slug="pro").update(name="Profi")
        assert price_list.is_behind()
        tasks.sync_stripe()
        assert not price_list.is_behind()
        assert client().products.retrieve("triforce_pro").name == "TriForce Profi"
        monkeypatch.setattr("billing.price_list.sync_prices", lambda: pytest.fail("nothing has changed"))
        tasks.sync_stripe()
    finally:
        Tier.objects.filter(slug="pro").update(price_monthly="18.99", name="Pro")


def test_without_a_first_sync_the_task_sells_nothing(db: None) -> None:
    assert not TierPrice.objects.exists() and not price_list.is_behind()
    tasks.sync_stripe()


def test_an_old_price_still_gives_its_tier(simulator: Simulator, make_user: Callable[..., User]) -> None:
    user = make_user()
    row = subscribe(simulator, user)
    Tier.objects.filter(slug="pro").update(price_monthly="20.00")
    try:
        call_command("sync_stripe", stdout=StringIO())
        simulator.move_clock(past_period_end=True)
        simulator.settle()
    finally:
        Tier.objects.filter(slug="pro").update(price_monthly="18.99")
    before, row = row.period_ends_at, Subscription.objects.get(pk=row.pk)
    assert (row.status, tier_for(user).slug, str(row.amount)) == ("active", "pro", "18.99")
    assert before is not None and Invoice.objects.filter(user=user, status="paid").count() == 2
    assert mails(user).count("paid") == 2 and mails(user).count("welcome") == 1


def test_whoever_leaves_is_forgotten_at_stripe_too(simulator: Simulator, make_user: Callable[..., User], settings: Any) -> None:
    settings.OPERATOR_EMAILS = ["root@example.org"]
    user = make_user()
    row = subscribe(simulator, user)
    simulator.control("dispute", charge=client().charges.list({"limit": 1}).data[0].id)
    assert obstacle(user)
    checkout.cancel(row)
    simulator.settle()
    assert not obstacle(user)
    settings.STRIPE_API_HOST = "http://127.0.0.1:1"
    with pytest.raises(PaymentUnavailable):
        delete_account(user)
    settings.STRIPE_API_HOST = simulator.url
    delete_account(User.objects.get())
    simulator.settle()
    assert client().customers.list({}).data == []
    assert client().subscriptions.list({"status": "all"}).data[0].status == "canceled"
    kept = Invoice.objects.get()
    assert (kept.user, kept.page, str(kept.total)) == (None, "", "18.99")
    assert reconcile() == (0, 0)  # what Stripe told before they left is not taken for something that never came
    assert not OutboxMail.objects.filter(subject__contains="never came").exists()
    for model in apps.get_app_config("djstripe").get_models():
        assert not [row for row in model._base_manager.values() if user.email in str(row) or row.get("data") or row.get("body")], model


def test_leaving_waits_for_an_event_at_work(simulator: Simulator, make_user: Callable[..., User]) -> None:
    """Which holds the customer's row, and may yet need the account's: who leaves must not hold that one and wait for the other."""
    row = subscribe(simulator, make_user())
    checkout.cancel(row)
    has_it, failed = threading.Event(), list[Exception]()

    def leave() -> None:
        has_it.wait(10)
        try:
            delete_account(User.objects.get())
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    leaving = threading.Thread(target=leave)
    leaving.start()
    with transaction.atomic():
        subscriptions.lock(row.customer_id)
        has_it.set()
        leaving.join(1)
        assert leaving.is_alive()
        Invoice.objects.create(user=row.user, stripe_id="in_at_work", status="paid", total=1, tax=0, currency="eur", created=clock.now())
    leaving.join(30)
    assert not leaving.is_alive() and not failed and not User.objects.exists()
    assert Invoice.objects.get(stripe_id="in_at_work").user is None


@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_customer_deleted_at_stripe_has_no_rights_and_may_come_back(
    is_reversed: bool, simulator: Simulator, make_user: Callable[..., User]
) -> None:
    user = make_user()
    row = subscribe(simulator, user)
    simulator.hold()
    client().customers.delete(row.customer_id)
    held = [one["id"] for one in simulator.deliveries("held")]
    for one in reversed(held) if is_reversed else held:
        simulator.release([one])
        simulator.settle()
    simulator.mode("normal")
    row.refresh_from_db()
    assert (row.status, tier_for(user).slug) == ("canceled", "registered")
    again = simulator.complete_checkout(checkout.start_checkout(order(user)))
    assert again.status_code == 303
    simulator.settle()
    assert tier_for(user).slug == "pro"
