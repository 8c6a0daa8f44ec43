"""The payment simulator's own page and its own API, and the pages as a browser shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from billing.simulator.cards import CARDS
from billing.simulator.control import ACTIONS, DUNNING, FAULTS, MODES, OUTCOMES
from billing.simulator.html import spaced
from tests.browser import CHROMIUM, Watched, chromium
from tests.fakes.stripe import CARD_CONFIRM, Simulator
from tests.shop import BACK, Shop


@pytest.mark.parametrize(
    ("action", "given", "sentence"),
    [
        ("mode", {"mode": "chaos"}, "normal, hold, drop"),
        ("faults", {"kind": "503"}, "500, 429"),
        ("charges", {"outcomes": ["lost"]}, "succeeded, declined"),
        ("dunning", {"ends": "never"}, "cancel, unpaid"),
        ("clock", {"past_period_end": True}, "no such subscription"),
        ("clock", {"days": 1000}, "two years"),
        ("refund", {"charge": "ch_none"}, "No such charge"),
        ("clock", [1], "cannot be read"),
    ],
)
def test_it_says_what_it_does_not_understand(fake_stripe: Simulator, action: str, given: Any, sentence: str) -> None:
    answer = fake_stripe.http.post(f"/simulator/{action}", json=given)
    assert answer.status_code == 400 and sentence in answer.json()["error"]["message"]


def test_it_names_its_actions(fake_stripe: Simulator) -> None:
    answer = fake_stripe.http.post("/simulator/explode", json={})
    assert answer.status_code == 404 and "clock, faults" in answer.json()["error"]


def test_a_person_moves_the_clock_on_its_page(shop: Shop) -> None:
    subscription = shop.subscribed()
    page = shop.fake.http.get("/simulator", headers={"Accept-Language": "en"})
    assert page.status_code == 200 and "no real money" in page.text and "checkout.session.completed" not in page.text
    before = shop.fake.now()
    answer = shop.fake.http.post("/simulator/clock", data={"days": "1"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/simulator")
    assert 86_400 <= shop.fake.now() - before < 86_460
    shop.fake.http.post("/simulator/clock", data={"past_period_end": "true"})
    assert [row.status for row in shop.invoices(subscription)] == ["paid", "paid"]


def test_a_person_refunds_and_disputes_on_its_page(shop: Shop) -> None:
    shop.subscribed()
    charge = shop.v1.charges.list().data[0]
    assert charge.id in shop.fake.http.get("/simulator").text
    assert shop.fake.http.post("/simulator/refund", data={"charge": charge.id}).status_code == 303
    assert shop.fake.http.post("/simulator/dispute", data={"charge": charge.id}).status_code == 303
    found = shop.v1.charges.retrieve(charge.id)
    assert found.refunded and found.disputed


def test_pages_lead_back_to_one_origin_where_it_is_given(tmp_path: Path) -> None:
    with Simulator(tmp_path, "--return-origin", BACK) as fake:
        shop = Shop(fake)
        assert shop.checkout().status == "open"
        with pytest.raises(Exception, match="only leads back to"):
            shop.checkout(success_url="http://127.0.0.1:9000.evil.example/")


@pytest.mark.skipif(not CHROMIUM, reason="no browser is installed")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_person_subscribes_and_cancels_with_a_phone(shop: Shop, scheme: Any) -> None:
    shop.configuration()
    session = shop.checkout(locale="de", success_url=f"{shop.fake.url}/simulator", automatic_tax={"enabled": True})
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 390, "height": 844}, locale="de-DE", color_scheme=scheme)
        page = context.new_page()
        watched = Watched(page, shop.fake.url)
        page.goto(session.url)
        assert watched.complaints() == []
        page.fill("[name=email]", "ursula@example.org")
        page.fill("[name=number]", CARD_CONFIRM)
        page.click("button.primary")
        assert watched.complaints() == []
        page.click("button[value=confirm]")
        page.wait_for_url("**/simulator")
        assert watched.complaints() == []
        subscription = shop.v1.subscriptions.list().data[0]
        assert subscription.status == "active"
        page.goto(shop.portal(subscription.customer, locale="de").url)
        assert watched.complaints() == []
        page.click("a[href='?step=update']")
        page.click(f"a[href$='{shop.prices['unlimited_month']}']")
        assert watched.complaints() == []
        page.click("button[value=update]")
        page.wait_for_url("**?step=home")
        assert shop.price_of(shop.subscription(subscription.id)) == "unlimited_month"
        page.click("a[href='?step=cancel']")
        page.click("button[value=cancel]")
        page.wait_for_url("**?step=home")
        assert shop.subscription(subscription.id).cancel_at
        page.goto(shop.invoices(subscription)[0].hosted_invoice_url)
        assert watched.complaints() == []
        context.close()


def test_the_document_names_everything() -> None:
    text = (Path(__file__).parent.parent / "docs/simulator.md").read_text()
    named = [f"`{name}`" for name in (*MODES, *FAULTS, *OUTCOMES, *DUNNING)] + [spaced(number) for number in CARDS]
    assert [name for name in named if name not in text] == []
    rows = " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("|"))
    assert [name for name in ACTIONS if f"`{name}`" not in rows] == []
