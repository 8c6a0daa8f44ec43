"""A subscription in the browser: register, subscribe, have more models on the next request, change to a year of the highest tier, see the
invoices, cancel, and be back where one began when the period is over. On a phone and on a desk; nothing wrong on any page of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from accounts.tokens import issue_token
from billing.models import Invoice, OutboxMail, Subscription
from tests.browser import PAIRS, Watched, beside_a_loop, browser, look_at, needs_chromium
from tests.fakes.stripe import CARD_FAILS_LATER, CARD_OK, Simulator
from tests.server import LiveServer
from tests.simulated import simulator

__all__ = ["beside_a_loop", "browser", "simulator"]
pytestmark = needs_chromium
EMAIL, SECRET = "ursula@example.org", "Honig-und-Lachs-8"


@pytest.fixture(params=PAIRS, ids=lambda look: "-".join(map(str, look)))
def watched(request: pytest.FixtureRequest, simulator: Simulator, live: LiveServer, browser: Browser) -> Iterator[Watched]:
    context = look_at(browser, live.url, request.param)
    context.set_default_timeout(15_000)
    yield Watched(context.new_page(), live.url)
    context.close()


def fine(watched: Watched, simulator: Simulator) -> None:
    """Nothing is wrong with this page of ours; that it led to Stripe's is meant."""
    assert [one for one in watched.complaints() if simulator.url not in one] == []


def sign_up(page: Page, live: LiveServer) -> None:
    page.goto("/accounts/signup/")
    page.locator("#id_email").fill(EMAIL)
    page.locator("#id_password1").fill(SECRET)
    page.locator("main form button[type=submit]").first.click()
    expect(page).to_have_url(f"{live.url}/accounts/login/")
    page.locator("#id_login").fill(EMAIL)
    page.locator("#id_password").fill(SECRET)
    page.locator("main form button[type=submit]").first.click()
    expect(page).to_have_url(f"{live.url}/dashboard")


def order(watched: Watched, simulator: Simulator, slug: str, interval: str) -> None:
    """From the prices over the order page to the page that takes the money."""
    page = watched.page
    page.goto("/prices" if interval == "month" else f"/prices?interval={interval}")
    fine(watched, simulator)
    page.locator(f"main a[href='/order/{slug}/{interval}']").click()
    fine(watched, simulator)
    page.locator("#id_terms").check()
    page.locator("#id_early").check()
    page.locator("main form button.button").click()
    page.wait_for_url(f"{simulator.url}/**")


def pay(page: Page, live: LiveServer, card: str = CARD_OK) -> None:
    for name, value in (("number", card), ("expiry", "12/34"), ("cvc", "123"), ("name", "Ursula Bär")):
        page.locator(f"input[name={name}]").fill(value)
    page.locator("button[name=action][value=pay]").click()
    page.wait_for_url(f"{live.url}/account/billing/welcome**")


def seen(live: LiveServer, token: str) -> tuple[str, int, int | None]:
    """(tier, models, daily tokens) as a program sees them, with a login from the beginning."""
    with httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {token}"}) as http:
        tier = http.get("/v1/client/tier").json()
        return tier["tier"], http.get("/v1/client/models").json()["model_count"], tier["daily_token_limit"]


def test_from_the_sign_up_to_the_end_of_the_period(watched: Watched, simulator: Simulator, live: LiveServer, keyed_openai: str) -> None:
    page = watched.page
    sign_up(page, live)
    user = User.objects.get(email=EMAIL)
    token = issue_token(user)[0]
    assert seen(live, token) == ("registered", 20, 100_000)

    order(watched, simulator, "pro", "month")
    pay(page, live)
    expect(page.locator("main a[href='/chat']")).to_be_visible()  # the page has waited for the event by itself
    fine(watched, simulator)
    tier, models, tokens = seen(live, token)
    assert (tier, models > 20, tokens) == ("pro", True, 250_000)

    order(watched, simulator, "enterprise", "year")
    page.locator("button[name=action][value=update]").click()
    page.wait_for_url(f"{live.url}/account/billing")
    simulator.settle()
    page.reload()
    expect(page.locator("h1 + .badge")).to_have_text("Unlimited")
    expect(page.locator("main tbody tr")).to_have_count(2)  # both invoices
    fine(watched, simulator)
    assert seen(live, token)[0] == "enterprise"
    row = Subscription.objects.get()
    assert (row.interval, str(row.amount)) == ("year", "599.99")
    newest = Invoice.objects.filter(user=user).order_by("-created", "-id").first()
    assert newest is not None and 500 < newest.total < 600  # the unused month is counted in
    with page.expect_navigation():
        page.locator("main tbody a").first.click()
    assert page.url.startswith(f"{simulator.url}/i/")

    page.goto("/account/billing")
    page.locator("button[value=cancel]").click()
    expect(page.locator("button[value=resume]")).to_be_visible()
    fine(watched, simulator)
    simulator.move_clock(past_period_end=True)
    simulator.settle()
    page.reload()
    expect(page.locator("h1 + .badge")).to_have_text(re.compile("Registriert|Registered"))
    fine(watched, simulator)
    assert seen(live, token) == ("registered", 20, 100_000)
    user.refresh_from_db()
    assert user.is_active and Invoice.objects.filter(user=user, status="paid").count() == 2
    kinds = {dedupe.partition(":")[0] for dedupe in OutboxMail.objects.filter(to=EMAIL).values_list("dedupe", flat=True)}
    assert {"welcome", "paid", "changed", "ending", "ended"} <= kinds


def test_a_card_that_fails_is_replaced_in_time(watched: Watched, simulator: Simulator, live: LiveServer) -> None:
    page = watched.page
    sign_up(page, live)
    order(watched, simulator, "pro", "month")
    pay(page, live, CARD_FAILS_LATER)
    simulator.settle()
    simulator.move_clock(past_period_end=True)
    simulator.settle()
    page.goto("/account/billing")
    expect(page.locator(".notice.bad")).to_be_visible()
    expect(page.locator("h1 + .badge")).to_have_text("Pro")
    fine(watched, simulator)
    page.locator("button[value=card]").click()
    for name, value in (("number", CARD_OK), ("expiry", "12/34"), ("cvc", "123")):
        page.locator(f"input[name={name}]").fill(value)
    page.locator("button[name=action][value=card]").click()
    page.wait_for_url(f"{live.url}/account/billing")
    simulator.move_clock(days=4)
    simulator.settle()
    page.reload()
    expect(page.locator(".notice.bad")).to_have_count(0)
    expect(page.locator("h1 + .badge")).to_have_text("Pro")
    assert Subscription.objects.get().status == "active"
