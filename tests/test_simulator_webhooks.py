"""What the payment simulator sends: signed events, at least once, with retries; and held, dropped, doubled, shuffled, late, at once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.fakes.inbox import Inbox
from tests.fakes.stripe import WEBHOOK_SECRET, Simulator
from tests.shop import Shop


@pytest.fixture
def inbox(shop: Shop) -> Iterator[Inbox]:
    """An endpoint that gets everything."""
    with Inbox(WEBHOOK_SECRET) as inbox:
        shop.fake.webhook(inbox.url)
        yield inbox


def make_events(shop: Shop, count: int = 6) -> list[str]:
    """As many events, oldest first."""
    known = len(shop.events())
    for number in range(count):
        shop.v1.customers.create({"email": f"{number}@example.org"})
    return [event.id for event in shop.events()[known:]]


def test_it_signs_events_as_stripe_does(shop: Shop, inbox: Inbox) -> None:
    subscription = shop.subscribed()
    shop.fake.settle()
    assert inbox.ids == [event.id for event in shop.events()]
    event = next(event for event in inbox.events if event["type"] == "customer.subscription.created")
    assert (event["object"], event["api_version"], event["livemode"]) == ("event", stripe.api_version, False)
    assert event["data"]["object"]["id"] == subscription.id and "items" in event["data"]["object"]
    assert not any(name.startswith("_") for name in event["data"]["object"])
    found = shop.v1.events.retrieve(event["id"])
    assert found.type == event["type"] and found.pending_webhooks == 0
    header = dict(part.split("=") for part in inbox.headers[0]["Stripe-Signature"].split(","))
    assert header.keys() == {"t", "v1"} and abs(int(header["t"]) - time.time()) < 60
    created = next(event for event in inbox.events if event["type"] == "product.created")
    assert created["request"]["id"].startswith("req_") and created["request"]["idempotency_key"]


def test_a_signature_is_made_when_it_is_sent_whatever_the_clock_says(shop: Shop, inbox: Inbox) -> None:
    shop.fake.move_clock(months=3)
    make_events(shop, 1)
    shop.fake.settle()
    assert len(inbox.events) == 1 and inbox.events[0]["created"] > time.time() + 80 * 86_400


def test_another_secret_is_refused_and_tried_again(shop: Shop) -> None:
    with Inbox("whsec_another") as inbox:
        shop.fake.webhook(inbox.url)
        make_events(shop, 1)
        inbox.wait(lambda _: len((shop.fake.deliveries() or [{"attempts": []}])[0]["attempts"]) >= 2)
        assert inbox.events == [] and {attempt["status"] for attempt in shop.fake.deliveries()[0]["attempts"]} == {400}
        shop.fake.mode("drop")


def test_it_tries_again_with_growing_pauses(shop: Shop, inbox: Inbox) -> None:
    inbox.answers = [500, 404, 302]
    wanted = make_events(shop, 1)
    shop.fake.settle()
    assert inbox.ids == wanted * 4
    row = shop.fake.deliveries()[-1]
    assert row["state"] == "delivered" and [attempt["status"] for attempt in row["attempts"]] == [500, 404, 302, 200]


def test_it_gives_up_after_eight_tries(shop: Shop) -> None:
    shop.fake.stop()
    shop.fake.arguments[-1] = "0.001"
    shop.fake.start()
    shop = Shop(shop.fake)
    shop.fake.webhook("http://127.0.0.1:9/nobody")
    make_events(shop, 1)
    shop.fake.settle()
    row = shop.fake.deliveries()[-1]
    assert row["state"] == "failed" and len(row["attempts"]) == 8 and "Connect" in row["attempts"][0]["error"]


def test_only_what_an_endpoint_wants_is_sent(shop: Shop) -> None:
    with Inbox(WEBHOOK_SECRET) as inbox:
        endpoint = shop.v1.webhook_endpoints.create({"url": inbox.url, "enabled_events": ["product.created"], "description": "ours"})
        assert endpoint.secret == WEBHOOK_SECRET  # the one that the program was given
        assert "secret" not in shop.v1.webhook_endpoints.retrieve(endpoint.id)
        make_events(shop, 2)
        shop.v1.products.create({"name": "Pro"})
        shop.fake.settle()
        assert [event["type"] for event in inbox.events] == ["product.created"]
        shop.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
        shop.v1.products.create({"name": "Max"})
        shop.fake.settle()
        assert len(inbox.events) == 1
        assert shop.v1.webhook_endpoints.delete(endpoint.id).deleted and shop.v1.webhook_endpoints.list().data == []


def test_an_endpoint_may_be_named_at_the_start(tmp_path: Path) -> None:
    with Inbox(WEBHOOK_SECRET) as inbox, Simulator(tmp_path, "--webhook", inbox.url) as fake:
        wanted = make_events(Shop(fake), 2)
        fake.settle()
        assert inbox.ids == wanted
        fake.stop()
        fake.start()
        assert len(Shop(fake).v1.webhook_endpoints.list().data) == 1  # the same one again


def test_it_sends_to_this_machine_alone(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="this machine only"):
        shop.v1.webhook_endpoints.create({"url": "https://example.com/hook", "enabled_events": ["*"]})


def test_it_holds_and_releases_in_any_order(shop: Shop, inbox: Inbox) -> None:
    shop.fake.hold()
    wanted = make_events(shop)
    held = shop.fake.deliveries("held")
    assert [row["event"] for row in held] == wanted and inbox.events == []
    order = [held[3]["id"], held[0]["id"], held[0]["id"], held[5]["id"]]
    shop.fake.release(order)
    shop.fake.settle()
    assert inbox.ids == [wanted[3], wanted[0], wanted[0], wanted[5]]
    shop.fake.release()
    make_events(shop, 1)
    shop.fake.settle()
    assert inbox.ids[4:7] == [wanted[1], wanted[2], wanted[4]] and len(inbox.ids) == 8


def test_it_drops_and_sends_again_on_request(shop: Shop, inbox: Inbox) -> None:
    shop.fake.mode("drop")
    wanted = make_events(shop, 2)
    shop.fake.settle()
    assert inbox.events == []
    shop.fake.release([row["id"] for row in shop.fake.deliveries("dropped")])
    shop.fake.settle()
    assert inbox.ids == wanted


def test_it_doubles(shop: Shop, inbox: Inbox) -> None:
    shop.fake.mode("duplicate")
    wanted = make_events(shop, 3)
    shop.fake.settle()
    assert Counter(inbox.ids) == dict.fromkeys(wanted, 2)


def test_it_shuffles(shop: Shop, inbox: Inbox) -> None:
    shop.fake.mode("reorder")
    shop.subscribed()
    wanted = [event.id for event in shop.events()]
    inbox.wait(lambda box: len(box.ids) == len(wanted))
    assert sorted(inbox.ids) == sorted(wanted) and inbox.ids != wanted


def test_it_delays(shop: Shop, inbox: Inbox) -> None:
    shop.fake.mode("delay", delay=0.3)
    begun = time.monotonic()
    wanted = make_events(shop, 1)
    shop.fake.settle()
    assert inbox.ids == wanted and time.monotonic() - begun >= 0.3


@pytest.mark.parametrize(("mode", "most"), [("normal", 1), ("concurrent", 2)])
def test_it_sends_one_by_one_or_all_at_once(shop: Shop, inbox: Inbox, mode: str, most: int) -> None:
    shop.prices  # noqa: B018  its events come one by one
    session = shop.checkout()
    shop.fake.settle()
    inbox.pause = 0.05
    shop.fake.mode(mode)
    shop.fake.complete_checkout(session.url)  # a dozen events in one step
    shop.fake.settle()
    assert (inbox.most_busy >= most) if most > 1 else (inbox.most_busy == 1)
    assert sorted(inbox.ids) == sorted(event.id for event in shop.events())


def test_what_was_not_sent_survives_a_kill(shop: Shop, inbox: Inbox) -> None:
    inbox.answers = [500] * 20
    wanted = make_events(shop, 2)
    shop.fake.process.kill()
    shop.fake.process.wait()
    shop.fake.stop()
    inbox.answers = []
    shop.fake.start()
    shop.fake.settle()
    assert set(inbox.ids) >= set(wanted)


def test_a_failing_endpoint_does_not_hold_the_others_up(shop: Shop, inbox: Inbox) -> None:
    shop.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/nobody", "enabled_events": ["*"]})
    wanted = make_events(shop, 3)
    inbox.wait(lambda box: box.ids == wanted)
    shop.fake.mode("drop")


def test_events_can_be_listed_by_type(shop: Shop) -> None:
    make_events(shop, 2)
    shop.v1.products.create({"name": "Pro"})

    def types(**given: Any) -> list[str]:
        return [event.type for event in shop.v1.events.list(given).data]

    assert types(type="product.*") == ["product.created"]
    assert types(types=["product.created", "customer.created"]) == ["product.created", "customer.created", "customer.created"]
    assert types(limit=2) == ["product.created", "customer.created"]
