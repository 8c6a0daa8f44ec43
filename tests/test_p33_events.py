"""P33: Stripe's events may come twice, in any order, late, all at once or never; the subscription, tier and rights end the same. And
whoever is not Stripe is refused."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
import stripe
from django.db import connection
from djstripe.models import Event, WebhookEventTrigger

from accounts.models import User
from billing import checkout, clock, subscriptions
from billing.entitlements import Entitlement, Plan, entitlement
from billing.models import Subscription, TierPrice
from billing.reconcile import purge_events, reconcile
from billing.stripe_api import client, plain
from billing.subscriptions import EXPAND
from billing.tiers import tier_for
from tests.fakes.stripe import Simulator
from tests.simulated import simulator
from tests.test_subscriptions import mails, order, subscribe

__all__ = ["simulator"]
SCHEDULES, A_TEST = 200, 25
SAME = ("stripe_id", "status", "tier_id", "interval", "price_id", "amount", "period_ends_at", "cancel_at_period_end", "next_tier_id")


@pytest.mark.parametrize("first", range(0, SCHEDULES, A_TEST))
def test_p33_any_schedule_of_events_ends_the_same(first: int, simulator: Simulator, make_user: Callable[..., User]) -> None:
    waits = []
    for seed in range(first, first + A_TEST):
        dice, user = random.Random(seed), make_user(email=f"{seed}@example.org")
        simulator.hold()
        post = Post(simulator, dice)
        _live(simulator, user, dice, post)
        post.finish()
        if post.lost:
            waits.append(user)
        else:
            _agrees(user, seed)
    simulator.mode("drop")
    reconcile()
    for user in waits:
        _agrees(user, int(user.email.partition("@")[0]))


class Post:
    """A postman who brings events shuffled, some twice, some late, some at once, some never; while things go on happening."""

    def __init__(self, simulator: Simulator, dice: random.Random) -> None:
        self.simulator, self.dice = simulator, dice
        self.seen = {one["id"] for one in simulator.deliveries()}
        self.bag: list[str] = []
        self.lost = False

    def collect(self) -> None:
        """Take what is new; some of it falls out of the bag."""
        for one in self.simulator.deliveries("held"):
            if one["id"] in self.seen:
                continue
            self.seen.add(one["id"])
            if self.dice.random() < 0.12:
                self.lost = True
            else:
                self.bag += [one["id"]] * self.dice.choice([1, 1, 1, 2, 3])
        self.dice.shuffle(self.bag)

    def deliver(self, most: int) -> None:
        """Hand over some of it, and do not wait until it is read."""
        wave, self.bag = self.bag[:most], self.bag[most:]
        if wave:
            self.simulator.release(wave, concurrent=self.dice.random() < 0.6)

    def finish(self) -> None:
        self.collect()
        while self.bag:
            self.deliver(self.dice.randint(1, 6))
            if self.dice.random() < 0.3:
                self.simulator.settle()
        self.simulator.settle()


def _live(simulator: Simulator, user: User, dice: random.Random, post: Post) -> None:
    """Somebody subscribes, and up to three more things happen, while the first events are on their way."""
    plan = dice.choice([("pro", "month"), ("pro", "year"), ("enterprise", "month")])
    assert simulator.complete_checkout(checkout.start_checkout(order(user, *plan))).status_code == 303
    customer = user.djstripe_customers.get().id
    for _ in range(dice.randrange(4)):
        post.collect()
        post.deliver(dice.randrange(5))
        one = plain(client().subscriptions.list({"customer": customer, "status": "all"}))["data"][0]
        if one["status"] == "canceled":
            return
        _something(dice.choice(["cancel", "resume", "upgrade", "end", "refund"]), one, customer)


def _something(what: str, one: dict[str, Any], customer: str) -> None:
    if what in ("cancel", "resume"):
        client().subscriptions.update(one["id"], {"cancel_at_period_end": what == "cancel"})
    elif what == "upgrade":
        price = TierPrice.objects.get(tier__slug="enterprise", interval="year", is_sold=True).stripe_id
        change = {"items": [{"id": one["items"]["data"][0]["id"], "price": price}], "proration_behavior": "always_invoice"}
        client().subscriptions.update(one["id"], change)
    elif what == "end":
        client().subscriptions.cancel(one["id"])
    else:
        charge = client().charges.list({"customer": customer}).data[0]
        if not charge.refunded:
            client().refunds.create({"charge": charge.id})


def _agrees(user: User, seed: int) -> None:
    """The row is what Stripe says now, and so are the tier and the mails."""
    customer = user.djstripe_customers.get().id
    plans = {row.stripe_id: Plan(row.tier_id, row.interval) for row in TierPrice.objects.all()}
    found = client().subscriptions.list({"customer": customer, "status": "all", "expand": EXPAND})
    true: Entitlement = entitlement(plain(found)["data"][0], plans, clock.now().replace(microsecond=0))
    row = Subscription.objects.get(user=user)
    assert {name: getattr(row, name) for name in SAME} == {name: getattr(true, name) for name in SAME}, seed
    is_over = true.status == "canceled"
    assert row.ends_at and (row.ends_at <= clock.now()) == is_over, seed
    assert tier_for(user).slug == ("registered" if is_over else row.tier.slug), seed
    assert mails(user).count("ended") <= 1 and mails(user).count("welcome") <= 1, seed


def test_p33_what_was_fetched_last_is_written_last(
    simulator: Simulator, make_user: Callable[..., User], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two handlers of one customer: the first has fetched, and writes late. The second, which saw more, must not be overwritten."""
    user = make_user()
    row = subscribe(simulator, user)
    simulator.mode("drop")
    has_fetched, may_write = threading.Event(), threading.Event()

    def slow(*args: Any) -> Entitlement:
        if threading.current_thread().name == "first":
            has_fetched.set()
            assert may_write.wait(20)
        return entitlement(*args)

    def run() -> None:
        try:
            subscriptions.refresh(row.customer_id)
        finally:
            connection.close()

    monkeypatch.setattr(subscriptions, "entitlement", slow)
    first, second = (threading.Thread(target=run, name=name) for name in ("first", "second"))
    first.start()
    assert has_fetched.wait(20)
    client().subscriptions.cancel(row.stripe_id)
    second.start()
    second.join(1)
    assert second.is_alive()  # it waits for the customer's row
    may_write.set()
    for thread in (first, second):
        thread.join(20)
    row.refresh_from_db()
    assert (row.status, tier_for(user).slug) == ("canceled", "registered")


# -- who is not Stripe ------------------------------------------------------------------------------------------------


def event() -> str:
    thing = {"object": "subscription", "id": "sub_forged", "customer": "cus_forged", "status": "active"}
    return json.dumps({"id": f"evt_{uuid.uuid4().hex}", "object": "event", "livemode": False, "type": "customer.subscription.updated",
                       "api_version": "2026-08-26.dahlia", "data": {"object": thing}})  # fmt: skip


def signed(body: str, secret: str, moment: float | None = None) -> dict[str, str]:
    stamp = int(moment or time.time())
    signature = stripe.WebhookSignature._compute_signature(f"{stamp}.{body}", secret)
    return {"Stripe-Signature": f"t={stamp},v1={signature}"}


def test_p33_forged_stale_and_unsigned_events_are_refused_and_not_kept(http: httpx.Client, settings: Any) -> None:
    body, secret = event(), settings.STRIPE_WEBHOOK_SECRET
    good = signed(body, secret)["Stripe-Signature"]
    for headers in (
        {},
        {"Stripe-Signature": ""},
        {"Stripe-Signature": "nonsense"},
        signed(body, ""),
        signed(body, "whsec_another0123456789abcdefghijkl"),
        signed(body, secret, time.time() - 301),
        signed(body + " ", secret),
        {"Stripe-Signature": good.replace("v1=", "v0=")},
        {**signed(body, "chosen"), "X-DjStripe-Webhook-Secret": "chosen"},
    ):
        assert http.post("/stripe/webhook", content=body, headers=headers).status_code == 400, headers
    settings.DEBUG = True
    chosen = {**signed(body, "chosen"), "X-DjStripe-Webhook-Secret": "chosen"}
    assert http.post("/stripe/webhook", content=body, headers=chosen).status_code == 400
    assert http.post("/stripe/webhook", content=b"\xff", headers={"Stripe-Signature": good}).status_code == 400
    assert not WebhookEventTrigger.objects.exists() and not Event.objects.exists()


def test_p33_without_a_secret_nothing_is_taken(http: httpx.Client, settings: Any) -> None:
    settings.STRIPE_WEBHOOK_SECRET = ""
    body = event()
    assert http.post("/stripe/webhook", content=body, headers=signed(body, "")).status_code == 404


def test_p33_a_true_event_about_a_forged_thing_gives_nothing(simulator: Simulator, http: httpx.Client, settings: Any) -> None:
    """Its content counts for nothing: Stripe is asked, and knows no such customer."""
    body = event()
    assert http.post("/stripe/webhook", content=body, headers=signed(body, settings.STRIPE_WEBHOOK_SECRET)).status_code == 500
    assert not Subscription.objects.exists() and not Event.objects.exists()


def test_raw_events_are_forgotten_after_thirty_days(simulator: Simulator, make_user: Callable[..., User]) -> None:
    simulator.complete_checkout(checkout.start_checkout(order(make_user())))
    simulator.settle()
    assert purge_events() == 0 and Event.objects.exists()
    long_ago = clock.now() - timedelta(days=31)
    Event.objects.update(djstripe_created=long_ago)
    WebhookEventTrigger.objects.update(created=long_ago)
    assert purge_events() > 0
    assert not Event.objects.exists() and not WebhookEventTrigger.objects.exists()
    assert Subscription.objects.exists()
