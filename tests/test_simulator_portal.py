"""The payment simulator's customer portal: plan changes now and later, cancelling, the card, invoices, deep links."""

from __future__ import annotations

import httpx
import pytest
import stripe

from tests.fakes.stripe import CARD_CONFIRM, CARD_DECLINED, CARD_FAILS_LATER, CARD_OK
from tests.shop import BACK, Shop


def test_it_needs_a_configuration(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="default configuration has not been created"):
        shop.portal(shop.customer())


def test_it_keeps_what_it_is_configured_to(shop: Shop) -> None:
    made = shop.configuration()
    assert made.is_default and made.features.subscription_cancel.mode == "at_period_end"
    changed = shop.v1.billing_portal.configurations.update(
        made.id, {"features": {"invoice_history": {"enabled": False}}, "name": "TriForce"}
    )
    assert not changed.features.invoice_history.enabled and changed.features.subscription_update.enabled and changed.name == "TriForce"
    assert [row["type"] for row in changed.features.subscription_update.schedule_at_period_end.conditions] == [
        "decreasing_item_amount",
        "shortening_interval",
    ]
    assert [row.id for row in shop.v1.billing_portal.configurations.list({"is_default": True}).data] == [made.id]


def test_an_upgrade_shows_its_price_and_happens_at_once(shop: Shop) -> None:
    shop.configuration()
    subscription = shop.subscribed()
    portal = shop.portal(subscription.customer, locale="en")
    home = httpx.get(portal.url)
    assert "Pro, €18.99 / month" in home.text and f'href="{BACK}/billing"' in home.text
    price = shop.prices["unlimited_month"]
    shown = httpx.get(f"{portal.url}?step=confirm&price={price}")
    assert "Remaining time on Unlimited" in shown.text and "Unused time on Pro" in shown.text and "€41.00" in shown.text
    assert shop.fake.portal(portal.url, "update", price=price).status_code == 303
    assert shop.price_of(shop.subscription(subscription.id)) == "unlimited_month"
    assert shop.invoices(subscription)[-1].amount_paid == pytest.approx(4100, abs=2)


def test_a_refused_upgrade_changes_nothing(shop: Shop) -> None:
    shop.configuration()
    subscription = shop.subscribed(card=CARD_FAILS_LATER)
    portal = shop.portal(subscription.customer)
    assert shop.fake.portal(portal.url, "update", price=shop.prices["unlimited_month"]).status_code == 402
    found = shop.subscription(subscription.id)
    assert (shop.price_of(found), found.status) == ("pro_month", "active")


@pytest.mark.parametrize(
    ("held", "wanted", "amounts"), [("unlimited_month", "pro_month", [5999, 1899]), ("pro_year", "pro_month", [18999, 1899])]
)
def test_a_step_down_waits_for_the_periods_end(shop: Shop, held: str, wanted: str, amounts: list[int]) -> None:
    shop.configuration()
    subscription = shop.subscribed(held)
    portal = shop.portal(subscription.customer, locale="en")
    assert "Takes effect on" in httpx.get(f"{portal.url}?step=confirm&price={shop.prices[wanted]}").text
    assert shop.fake.portal(portal.url, "update", price=shop.prices[wanted]).status_code == 303
    found = shop.subscription(subscription.id)
    assert shop.price_of(found) == held and len(shop.invoices(subscription)) == 1
    schedule = shop.v1.subscription_schedules.retrieve(found.schedule)
    assert schedule.phases[1]["items"][0].price == shop.prices[wanted]
    assert schedule.phases[1].start_date == shop.item(found).current_period_end
    assert "Changes to" in httpx.get(portal.url).text
    shop.fake.move_clock(past_period_end=subscription.id)
    assert shop.price_of(shop.subscription(subscription.id)) == wanted
    assert [row.total for row in shop.invoices(subscription)] == amounts


def test_a_longer_interval_is_no_step_down(shop: Shop) -> None:
    shop.configuration()
    subscription = shop.subscribed("pro_month")
    shop.fake.portal(shop.portal(subscription.customer).url, "update", price=shop.prices["pro_year"])
    found = shop.subscription(subscription.id)
    assert shop.price_of(found) == "pro_year" and found.schedule is None


def test_a_change_that_waits_can_be_called_off(shop: Shop) -> None:
    shop.configuration()
    subscription = shop.subscribed("unlimited_month")
    portal = shop.portal(subscription.customer)
    shop.fake.portal(portal.url, "update", price=shop.prices["pro_month"])
    assert shop.fake.portal(portal.url, "keep").status_code == 303
    shop.fake.move_clock(past_period_end=subscription.id)
    assert shop.price_of(shop.subscription(subscription.id)) == "unlimited_month"


def test_it_cancels_and_resumes(shop: Shop) -> None:
    reason = {"enabled": True, "options": ["too_expensive", "unused"]}
    shop.configuration(subscription_cancel={"enabled": True, "mode": "at_period_end", "cancellation_reason": reason})
    subscription = shop.subscribed()
    portal = shop.portal(subscription.customer)
    assert "too_expensive" in httpx.get(f"{portal.url}?step=cancel").text
    assert shop.fake.portal(portal.url, "cancel", feedback="too_expensive").status_code == 303
    found = shop.subscription(subscription.id)
    assert found.cancel_at == shop.item(found).current_period_end and not found.cancel_at_period_end
    assert found.cancellation_details.feedback == "too_expensive"
    assert shop.fake.portal(portal.url, "resume").status_code == 303
    assert shop.subscription(subscription.id).cancel_at is None


def test_an_end_is_changed_in_the_one_way_that_it_was_set(shop: Shop) -> None:
    shop.configuration()
    subscription = shop.subscribed()
    shop.fake.portal(shop.portal(subscription.customer).url, "cancel")
    assert shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False}).cancel_at
    with pytest.raises(stripe.InvalidRequestError, match="only pass one"):
        shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False, "cancel_at": ""})
    assert shop.v1.subscriptions.update(subscription.id, {"cancel_at": ""}).cancel_at is None


def test_what_a_schedule_holds_is_not_cancelled(shop: Shop) -> None:
    shop.configuration()
    subscription = shop.subscribed("unlimited_month")
    shop.fake.portal(shop.portal(subscription.customer).url, "update", price=shop.prices["pro_month"])
    shop.fake.move_clock(past_period_end=subscription.id)
    assert shop.subscription(subscription.id).schedule
    with pytest.raises(stripe.InvalidRequestError, match="managed by the subscription schedule"):
        shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})


def test_it_can_cancel_at_once(shop: Shop) -> None:
    shop.configuration(subscription_cancel={"enabled": True, "mode": "immediately"})
    subscription = shop.subscribed()
    shop.fake.portal(shop.portal(subscription.customer).url, "cancel")
    assert shop.subscription(subscription.id).status == "canceled"


def test_it_takes_a_new_card(shop: Shop) -> None:
    shop.configuration()
    subscription = shop.subscribed(card=CARD_FAILS_LATER)
    portal = shop.portal(subscription.customer)
    assert shop.fake.portal(portal.url, "card", number=CARD_DECLINED).status_code == 402
    assert shop.fake.portal(portal.url, "card", number="1234").status_code == 422
    asked = shop.fake.portal(portal.url, "card", number=CARD_CONFIRM)
    assert asked.status_code == 200 and "confirm_card" in asked.text
    assert shop.fake.portal(portal.url, "confirm_card").status_code == 303
    assert shop.fake.portal(portal.url, "card", number=CARD_OK).status_code == 303
    found = shop.v1.subscriptions.retrieve(subscription.id, {"expand": ["default_payment_method"]})
    assert found.default_payment_method.card.last4 == "4242"
    shop.fake.move_clock(past_period_end=subscription.id)
    assert shop.subscription(subscription.id).status == "active"


def test_it_lists_the_invoices_with_page_and_pdf(shop: Shop) -> None:
    shop.configuration()
    subscription = shop.subscribed(automatic_tax={"enabled": True})
    invoice = shop.invoices(subscription)[0]
    assert invoice.number in httpx.get(shop.portal(subscription.customer).url).text
    page = httpx.get(invoice.hosted_invoice_url, headers={"Accept-Language": "en"})
    assert page.status_code == 200 and invoice.number in page.text and "€18.99" in page.text and "€3.03" in page.text
    pdf = httpx.get(invoice.invoice_pdf, headers={"Accept-Language": "de"})
    assert pdf.headers["Content-Type"] == "application/pdf" and pdf.content.startswith(b"%PDF-1.4") and pdf.content.endswith(b"%%EOF\n")
    assert invoice.number.encode() in pdf.content and "18,99 €".encode("cp1252") in pdf.content
    at = int(pdf.content.rpartition(b"startxref\n")[2].split()[0])
    assert pdf.content[at : at + 4] == b"xref"


def test_a_deep_link_leads_to_one_step_and_back(shop: Shop) -> None:
    shop.configuration()
    subscription = shop.subscribed()
    done = {"type": "redirect", "redirect": {"return_url": f"{BACK}/done"}}
    flow = {"type": "subscription_cancel", "subscription_cancel": {"subscription": subscription.id}, "after_completion": done}
    portal = shop.portal(subscription.customer, flow_data=flow)
    page = httpx.get(portal.url)
    assert 'value="cancel"' in page.text and BACK in page.headers["Content-Security-Policy"]
    answer = shop.fake.portal(portal.url, "cancel")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{BACK}/done")
    items = [{"id": shop.item(subscription).id, "price": shop.prices["unlimited_year"], "quantity": 1}]
    confirm = {"type": "subscription_update_confirm", "subscription_update_confirm": {"subscription": subscription.id, "items": items}}
    assert shop.prices["unlimited_year"] in httpx.get(shop.portal(subscription.customer, flow_data=confirm).url).text
    card = shop.portal(subscription.customer, flow_data={"type": "payment_method_update"})
    assert 'name="number"' in httpx.get(card.url).text


def test_it_offers_only_what_it_is_configured_to(shop: Shop) -> None:
    shop.configuration(
        subscription_update={"enabled": False}, subscription_cancel={"enabled": False}, payment_method_update={"enabled": False}
    )
    subscription = shop.subscribed()
    portal = shop.portal(subscription.customer)
    for action, fields in [("update", {"price": shop.prices["unlimited_month"]}), ("cancel", {}), ("card", {"number": CARD_OK})]:
        assert shop.fake.portal(portal.url, action, **fields).status_code == 400
    found = shop.subscription(subscription.id)
    assert shop.price_of(found) == "pro_month" and not found.cancel_at_period_end
    assert httpx.get(f"{shop.fake.url}/p/session/nobody").status_code == 404
