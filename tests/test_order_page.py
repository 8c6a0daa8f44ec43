"""Ordering a plan: what stands beside the button, what is kept of the order, and that two presses are one order."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.core.cache import cache
from django.db import connection

from accounts.models import User
from billing import checkout, clock
from billing.models import Order, Subscription, Tier
from billing.stripe_api import client
from billing.tiers import tier_for
from tests.conftest import PASSWORD
from tests.fakes.stripe import CARD_DECLINED, Simulator
from tests.server import LiveServer
from tests.simulated import simulator
from tests.test_subscriptions import order, subscribe
from triforce.models import Text
from triforce.privacy.deletion import obstacle

__all__ = ["simulator"]
PAGE = "/order/pro/month"


@pytest.fixture
def ursula(simulator: Simulator, make_user: Callable[..., User]) -> User:
    return make_user(email="ursula@example.org", name="Ursula")


@pytest.fixture
def at_home(live: LiveServer, ursula: User) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live.url, headers={"Accept-Language": "en"}, timeout=30) as browser:
        browser.get("/accounts/login/")
        browser.headers["X-CSRFToken"] = browser.cookies["csrftoken"]
        assert browser.post("/accounts/login/", data={"login": ursula.email, "password": PASSWORD}).is_redirect
        browser.headers["X-CSRFToken"] = browser.cookies["csrftoken"]
        yield browser


def form(page: str) -> dict[str, str]:
    """What the order page's form sends when both sentences are agreed to."""
    found = re.search(r'name="order" value="([^"]+)"', page)
    assert found
    return {"order": found[1], "terms": "on", "early": "on"}


def test_a_guest_is_led_through_the_sign_in(simulator: Simulator, http: httpx.Client) -> None:
    assert f'href="{PAGE}"' in http.get("/prices").text
    assert 'href="/order/enterprise/year"' in http.get("/prices?interval=year").text
    assert http.get(PAGE).headers["Location"] == f"/accounts/login/?next={PAGE}"


def test_beside_the_button_stand_price_term_and_rights(at_home: httpx.Client) -> None:
    page = at_home.get(PAGE).text
    for words in ("18.99 EUR", "VAT included", "One month. It renews", "to the end of the month", "Within 14 days", "/pages/withdrawal"):
        assert words in page, words
    assert re.search(r'<button class="button">\s*Order with obligation to pay\s*</button>', page)
    assert "One year. It renews" in at_home.get("/order/pro/year").text
    for nothing in ("/order/guest/month", "/order/pro/week", "/order/nosuch/month"):
        assert at_home.get(nothing).status_code == 404


def test_the_order_is_kept_with_what_was_agreed_to(at_home: httpx.Client, ursula: User, simulator: Simulator) -> None:
    asked = form(at_home.get(PAGE).text)
    refused = at_home.post(PAGE, data={"order": asked["order"], "terms": "on"})
    assert (refused.status_code, Order.objects.count()) == (200, 0)
    assert at_home.post(PAGE, data=asked).headers["Location"].startswith(f"{simulator.url}/c/pay/")
    order = Order.objects.get()
    assert (str(order.pk), order.user, str(order.price.amount)) == (asked["order"], ursula, "18.99")
    assert "withdrawal period" in order.consent
    assert set(order.texts) == {"terms", "withdrawal"}
    assert order.texts["withdrawal"]["body"] == Text.objects.get(slug="withdrawal", language="en").body
    assert not Subscription.objects.exists() and tier_for(ursula).slug == "registered"  # nothing is paid yet


def test_p35_a_double_click_is_one_checkout_and_one_customer(at_home: httpx.Client, simulator: Simulator) -> None:
    asked = form(at_home.get(PAGE).text)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: at_home.post(PAGE, data=asked), range(8)))
    assert {answer.status_code for answer in answers} == {302}, [answer.text[:300] for answer in answers if answer.status_code != 302]
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert len(client().customers.list({}).data) == 1
    assert len(client().checkout.sessions.list({}).data) == 1
    assert Order.objects.count() == 1


def test_p35_a_second_tab_leads_to_the_same_page_or_closes_the_first(at_home: httpx.Client, simulator: Simulator) -> None:
    first, again = (at_home.post(PAGE, data=form(at_home.get(PAGE).text)).headers["Location"] for _ in range(2))
    assert first == again
    other = at_home.post("/order/enterprise/year", data=form(at_home.get("/order/enterprise/year").text)).headers["Location"]
    assert other != first
    assert [one.status for one in client().checkout.sessions.list({}).data] == ["open", "expired"]


def test_a_page_that_is_over_is_loaded_anew(at_home: httpx.Client, simulator: Simulator) -> None:
    asked = form(at_home.get(PAGE).text)
    at_home.post(PAGE, data=asked)
    client().checkout.sessions.expire(Order.objects.get().checkout_id)
    assert "This page is too old" in at_home.post(PAGE, data=asked).text
    assert at_home.post(PAGE, data=form(at_home.get(PAGE).text)).status_code == 302


def test_the_order_of_another_is_not_taken_over(at_home: httpx.Client, make_user: Callable[..., User]) -> None:
    asked = form(at_home.get(PAGE).text)
    at_home.post(PAGE, data=asked)
    Order.objects.update(user=make_user(email="eve@example.org"))
    assert "This page is too old" in at_home.post(PAGE, data=asked).text


def test_an_unproven_address_is_proven_first(at_home: httpx.Client, settings: Any) -> None:
    settings.EMAIL_IS_REAL = True
    assert at_home.get(PAGE).headers["Location"] == "/accounts/email/"


def test_pressing_without_end_is_stopped(at_home: httpx.Client, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.checkout.MOST", 2)
    for _ in range(2):
        assert at_home.post("/account/billing/change", data={"action": "portal"}).headers["Location"].startswith(simulator.url)
    assert at_home.post("/account/billing/change", data={"action": "portal"}).headers["Location"] == "/account/billing"
    assert "Too many requests" in at_home.get("/account/billing").text


def test_the_welcome_page_proves_nothing_and_waits(at_home: httpx.Client, ursula: User, simulator: Simulator) -> None:
    page = at_home.post(PAGE, data=form(at_home.get(PAGE).text)).headers["Location"]
    waiting = at_home.get("/account/billing/welcome")
    assert waiting.headers["Refresh"] == "2; url=/account/billing/welcome?looks=1"
    assert "Refresh" not in at_home.get("/account/billing/welcome?looks=30").headers
    assert tier_for(ursula).slug == "registered"
    assert simulator.complete_checkout(page, CARD_DECLINED).status_code == 402
    simulator.settle()
    assert tier_for(ursula).slug == "registered"
    assert simulator.complete_checkout(page).headers["Location"].endswith("/account/billing/welcome")
    simulator.settle()
    there = at_home.get("/account/billing/welcome")
    assert "Welcome to Pro" in there.text and "Refresh" not in there.headers


def test_the_plan_page_shows_cancels_and_resumes(at_home: httpx.Client, ursula: User, simulator: Simulator) -> None:
    assert "It costs nothing, for ever." in at_home.get("/account/billing").text
    simulator.complete_checkout(at_home.post(PAGE, data=form(at_home.get(PAGE).text)).headers["Location"])
    simulator.settle()
    page = at_home.get("/account/billing").text
    assert "TriForce Pro" in page and "18.99 EUR" in page and "/pdf" in page
    for action, words in (("cancel", "Let it go on as it is"), ("resume", "Cancel at the end of the period")):
        assert at_home.post("/account/billing/change", data={"action": action}).headers["Location"] == "/account/billing"
        assert words in at_home.get("/account/billing").text
    for action in ("portal", "card"):
        assert (
            at_home.post("/account/billing/change", data={"action": action}).headers["Location"].startswith(f"{simulator.url}/p/session/")
        )
    assert f'href="{PAGE}"' not in at_home.get("/prices").text
    assert 'href="/order/pro/year"' in at_home.get("/prices?interval=year").text
    assert "You have this plan already" in at_home.post(PAGE, data=form(at_home.get(PAGE).text)).text


def test_without_a_key_nothing_is_for_sale(at_home: httpx.Client, settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = ""
    cache.clear()
    assert "/order/" not in at_home.get("/prices").text
    assert at_home.get(PAGE).status_code == 404
    assert "/contracts/cancel" not in at_home.get("/").text


def test_without_a_key_a_contract_that_runs_can_be_ended_and_not_be_left(
    simulator: Simulator, make_user: Callable[..., User], http: httpx.Client, settings: Any
) -> None:
    user = make_user()
    subscribe(simulator, user)
    Subscription.objects.update(status="past_due", ends_at=clock.now() - timedelta(days=1))
    settings.STRIPE_SECRET_KEY = ""
    cache.clear()
    assert "/contracts/cancel" in http.get("/").text
    assert obstacle(user)


def test_two_presses_for_two_plans_at_the_same_moment_leave_one_page(
    simulator: Simulator, ursula: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    was = checkout._open_session

    def slowly(*asked: Any) -> Any:
        found = was(*asked)
        time.sleep(0.3)
        return found

    monkeypatch.setattr(checkout, "_open_session", slowly)
    checkout.customer_for(ursula)

    def press(tier: str) -> str:
        try:
            return checkout.start_checkout(order(ursula, tier))
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as both:
        assert len(set(both.map(press, ["pro", "enterprise"]))) == 2
    assert len(client().checkout.sessions.list({"status": "open"}).data) == 1


def test_who_paid_while_events_are_lost_is_welcomed(at_home: httpx.Client, ursula: User, simulator: Simulator) -> None:
    page = at_home.post(PAGE, data=form(at_home.get(PAGE).text)).headers["Location"]
    simulator.mode("drop")
    simulator.complete_checkout(page)
    assert "One moment" in at_home.get("/account/billing/welcome?looks=29").text
    assert "Welcome to Pro" in at_home.get("/account/billing/welcome?looks=30").text
    assert tier_for(ursula).slug == "pro"


def test_what_was_never_paid_does_not_stand_in_the_way_of_ordering(at_home: httpx.Client, ursula: User, simulator: Simulator) -> None:
    Subscription.objects.create(user=ursula, tier=Tier.objects.get(slug="pro"), source="stripe", stripe_id="sub_1", status="incomplete",
                                interval="month", ends_at=clock.now())  # fmt: skip
    assert f'href="{PAGE}"' in at_home.get("/prices").text


def test_a_tier_holds_on_the_next_request_without_a_new_login(
    at_home: httpx.Client, ursula: User, simulator: Simulator, bearer: Callable[[User], dict[str, str]]
) -> None:
    token = bearer(ursula)

    def tier() -> str:
        found: str = at_home.get("/v1/client/tier", headers=token).json()["tier"]
        return found

    assert tier() == "registered"
    simulator.complete_checkout(at_home.post(PAGE, data=form(at_home.get(PAGE).text)).headers["Location"])
    simulator.settle()
    assert tier() == "pro"
    client().subscriptions.cancel(Subscription.objects.get().stripe_id)
    simulator.settle()
    assert tier() == "registered"
