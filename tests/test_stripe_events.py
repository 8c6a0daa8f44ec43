"""What Stripe tells of people who left, of other businesses, after a key was rolled, all at once, and at night."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.db import transaction
from djstripe.models import APIKey, Charge, Customer, Event, Session, WebhookEventTrigger

from accounts.models import User
from billing import checkout, subscriptions, views, webhooks
from billing.models import Invoice, OutboxMail, Subscription, TierPrice
from billing.reconcile import reconcile
from billing.stripe_api import client
from billing.tiers import tier_for
from tests.fakes.stripe import Simulator
from tests.processes import wait_until
from tests.simulated import simulator
from tests.test_p33_events import event, signed
from tests.test_subscriptions import order, subscribe
from triforce.privacy.deletion import delete_account

__all__ = ["simulator"]


@pytest.mark.parametrize("is_told_first", [True, False])
def test_whoever_left_is_not_copied_again_by_what_stripe_tells_then(
    is_told_first: bool, simulator: Simulator, make_user: Callable[..., User]
) -> None:
    """Their customer's end may be told before the account is gone here, or after."""
    user = make_user()
    row = subscribe(simulator, user)
    checkout.cancel(row)
    simulator.settle()
    if is_told_first:
        client().customers.delete(row.customer_id)
        simulator.settle()
        assert not Customer.objects.exclude(subscriber=None).exists()
    else:
        simulator.hold()
    delete_account(User.objects.get())
    simulator.release()
    simulator.settle()
    for model in (Customer, Charge, Session, WebhookEventTrigger, Event):
        assert not [row for row in model._base_manager.values() if user.email in str(row)], model


def test_a_customer_of_another_business_is_not_copied(simulator: Simulator, make_user: Callable[..., User], settings: Any) -> None:
    settings.OPERATOR_EMAILS = ["root@example.org"]
    price = TierPrice.objects.get(tier__slug="pro", interval="month", is_sold=True).stripe_id
    theirs = client().customers.create({"email": "theirs@example.org"}).id
    method = client().payment_methods.attach("pm_card_visa", {"customer": theirs})
    client().subscriptions.create({"customer": theirs, "items": [{"price": price}], "default_payment_method": method.id})
    simulator.settle()
    assert all(one["state"] == "delivered" for one in simulator.deliveries())
    assert not Customer.objects.exists() and not Subscription.objects.exists() and not OutboxMail.objects.exists()
    assert all(data == {} for data in Event.objects.values_list("data", flat=True))
    assert not WebhookEventTrigger.objects.exclude(body="").exists()
    assert reconcile() == (0, 0)


@pytest.mark.parametrize("new", ["sk_test_theNewKeyOfTheTests0123456789", "rk_test_theNewKeyOfTheTests0123456789"])
def test_a_rolled_key_is_the_one_that_is_used(new: str, simulator: Simulator, make_user: Callable[..., User], settings: Any) -> None:
    user, old = make_user(), settings.STRIPE_SECRET_KEY
    page = checkout.start_checkout(order(user))
    simulator.complete_checkout(page)
    simulator.settle()
    settings.STRIPE_SECRET_KEY = settings.STRIPE_TEST_SECRET_KEY = new
    simulator.control("keys", expired=[old])
    simulator.move_clock(past_period_end=True)
    simulator.settle()
    assert all(one["state"] == "delivered" for one in simulator.deliveries()), simulator.deliveries()[-1]
    assert Invoice.objects.filter(user=user, status="paid").count() == 2
    assert [key.secret for key in APIKey.objects.all()] in ([new], [])


def test_more_events_at_once_than_fit_are_asked_for_again(simulator: Simulator, http: httpx.Client, settings: Any) -> None:
    body = event()
    with contextlib.ExitStack() as taken:
        for _ in range(views.MOST_AT_ONCE):
            assert views._places.acquire(blocking=False)
            taken.callback(views._places.release)
        answer = http.post("/stripe/webhook", content=body, headers=signed(body, settings.STRIPE_WEBHOOK_SECRET))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert http.get("/health").status_code == 200
    assert http.post("/stripe/webhook", content=body, headers=signed(body, settings.STRIPE_WEBHOOK_SECRET)).status_code != 503


@pytest.mark.only_on("postgresql")
def test_an_event_does_not_wait_for_ever(simulator: Simulator, make_user: Callable[..., User], monkeypatch: pytest.MonkeyPatch) -> None:
    row = subscribe(simulator, make_user())
    monkeypatch.setattr(webhooks, "LOCK_SECONDS", 1)
    with transaction.atomic():
        subscriptions.lock(row.customer_id)
        client().subscriptions.update(row.stripe_id, {"cancel_at_period_end": True})
        wait_until(lambda: any(one["attempts"] for one in simulator.deliveries() if one["state"] != "delivered"))
    simulator.settle()
    row.refresh_from_db()
    assert row.cancel_at_period_end


def test_what_is_wrong_with_one_does_not_end_the_night(
    simulator: Simulator, make_user: Callable[..., User], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OPERATOR_EMAILS = ["root@example.org"]
    rows = [subscribe(simulator, make_user(email=f"{name}@example.org")) for name in ("ada", "bob")]
    looked = []

    def broken(customer_id: str) -> None:
        looked.append(customer_id)
        raise KeyError("items")

    monkeypatch.setattr("billing.reconcile.refresh", broken)
    reconcile()
    assert sorted(looked) == sorted(row.customer_id for row in rows)
    body = OutboxMail.objects.get(to="root@example.org", subject__contains="cannot be read").body
    assert all(row.customer_id in body for row in rows)


def test_at_a_price_that_is_not_ours_an_end_is_an_end(simulator: Simulator, make_user: Callable[..., User]) -> None:
    user = make_user()
    row = subscribe(simulator, user)
    TierPrice.objects.filter(stripe_id=row.price_id).update(stripe_id="price_forgotten")
    client().subscriptions.update(row.stripe_id, {"cancel_at_period_end": True})
    simulator.settle()
    row.refresh_from_db()
    assert (row.cancel_at_period_end, tier_for(user).slug) == (True, "pro")
    client().subscriptions.cancel(row.stripe_id)
    simulator.settle()
    row.refresh_from_db()
    assert (row.status, tier_for(user).slug) == ("canceled", "registered")


def test_what_was_bought_in_test_mode_is_over_where_stripe_does_not_know_it(
    simulator: Simulator, make_user: Callable[..., User], settings: Any
) -> None:
    settings.OPERATOR_EMAILS = ["root@example.org"]
    user = make_user()
    row = subscribe(simulator, user)
    simulator.mode("drop")
    client().subscriptions.cancel(row.stripe_id)
    Subscription.objects.update(stripe_id="sub_of_test_mode", customer_id="cus_of_test_mode")
    Customer.objects.create(id="cus_of_test_mode", subscriber=user, livemode=True)
    assert "/c/pay/" in checkout.start_checkout(order(user, "enterprise"))
    row.refresh_from_db()
    assert (row.status, tier_for(user).slug) == ("canceled", "registered")
    reconcile()
    subjects = OutboxMail.objects.filter(to="root@example.org").values_list("subject", flat=True)
    assert [subject for subject in subjects if "not at Stripe" in subject] and not [one for one in subjects if "cannot be read" in one]


def test_of_two_customers_the_newest_orders(simulator: Simulator, make_user: Callable[..., User]) -> None:
    user = make_user()
    checkout.start_checkout(order(user))
    second = client().customers.create({"metadata": {subscriptions.OWNER: str(user.pk)}}).id
    subscriptions.refresh(second)
    assert Customer.objects.filter(subscriber=user).count() == 2
    assert checkout.customer_for(user).id == second


def test_what_is_told_of_a_customer_after_its_end_does_not_bind_the_account(simulator: Simulator, make_user: Callable[..., User]) -> None:
    user = make_user()
    row = subscribe(simulator, user)
    simulator.hold()
    client().customers.update(row.customer_id, {"name": "Alice"})
    client().customers.delete(row.customer_id)
    held = simulator.deliveries("held")
    for kind in ("customer.deleted", "customer.updated"):
        simulator.release([one["id"] for one in held if one["type"] == kind])
        simulator.settle()
    assert not Customer.objects.filter(subscriber=user).exists()
    simulator.mode("normal")
    assert simulator.complete_checkout(checkout.start_checkout(order(user))).status_code == 303
