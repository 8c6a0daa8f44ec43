"""The payment simulator's hosted checkout: cards, codes, taxes, trials, languages, and what each order leaves behind."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import stripe

from tests.fakes.stripe import CARD_CONFIRM, CARD_DECLINED, CARD_EXPIRES_SOON, CARD_FAILS_LATER, CARD_NO_FUNDS, CARD_OK, query
from tests.shop import BACK, Shop


def test_it_sells_a_subscription(shop: Shop) -> None:
    session = shop.checkout(client_reference_id="user-7", metadata={"a": "b"}, subscription_data={"metadata": {"tier": "pro"}})
    assert (session.status, session.payment_status, session.amount_total) == ("open", "unpaid", 1899)
    page = httpx.get(session.url)
    assert page.status_code == 200 and "no real money" in page.text and "€18.99 / month" in page.text
    answer = shop.fake.complete_checkout(session.url)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(f"{BACK}/welcome?") and query(answer.headers["Location"]) == {"session": session.id}
    done = shop.v1.checkout.sessions.retrieve(session.id, {"expand": ["line_items", "customer", "subscription", "invoice"]})
    assert (done.status, done.payment_status, done.client_reference_id, done.url) == ("complete", "paid", "user-7", None)
    assert done.customer.email == "alice@example.org" and done.customer_details.name == "Alice"
    assert [(row.price.id, row.amount_total) for row in done.line_items.data] == [(shop.prices["pro_month"], 1899)]
    assert (done.subscription.status, done.subscription.metadata.to_dict()) == ("active", {"tier": "pro"})
    assert (done.invoice.status, done.invoice.billing_reason, done.invoice.amount_paid) == ("paid", "subscription_create", 1899)
    item = shop.item(done.subscription)
    assert 28 * 86_400 <= item.current_period_end - item.current_period_start <= 31 * 86_400
    assert "current_period_end" not in done.subscription


def test_it_tells_of_all_that_has_happened(shop: Shop) -> None:
    shop.subscribed()
    types = [event.type for event in shop.events()]
    assert {
        "customer.created",
        "payment_method.attached",
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice_payment.paid",
        "customer.subscription.updated",
        "checkout.session.completed",
    } <= set(types)
    assert types[-1] == "checkout.session.completed"
    created = shop.events("customer.subscription.created")[0].data.object
    updated = shop.events("customer.subscription.updated")[0]
    assert (created.status, updated.data.object.status, updated.data.previous_attributes["status"]) == (
        "incomplete",
        "active",
        "incomplete",
    )


def test_it_sells_to_a_customer_that_is_known(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.subscribed(customer=customer)
    assert subscription.customer == customer and len(shop.v1.customers.list().data) == 1
    assert shop.v1.payment_methods.retrieve(subscription.default_payment_method).customer == customer


@pytest.mark.parametrize(("card", "sentence"), [(CARD_DECLINED, "The card was declined."), (CARD_NO_FUNDS, "insufficient funds")])
def test_a_refused_card_leaves_nothing_behind(shop: Shop, card: str, sentence: str) -> None:
    session = shop.checkout()
    answer = shop.fake.complete_checkout(session.url, card)
    assert answer.status_code == 402 and sentence in answer.text
    assert shop.v1.subscriptions.list({"status": "all"}).data == [] and shop.v1.customers.list().data == []
    assert shop.fake.complete_checkout(session.url, CARD_OK).status_code == 303


def test_a_card_may_ask_for_a_confirmation(shop: Shop) -> None:
    session = shop.checkout()
    assert shop.fake.complete_checkout(session.url, CARD_CONFIRM, confirm=False).status_code == 422
    assert shop.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert shop.fake.complete_checkout(session.url, CARD_CONFIRM).status_code == 303
    subscription = shop.v1.subscriptions.list().data[0]
    shop.fake.move_clock(past_period_end=subscription.id)
    assert [row.status for row in shop.invoices(subscription)] == ["paid", "paid"]


def test_a_card_may_fail_at_the_next_charge(shop: Shop) -> None:
    subscription = shop.subscribed(card=CARD_FAILS_LATER)
    assert subscription.status == "active"
    shop.fake.move_clock(past_period_end=subscription.id)
    assert shop.subscription(subscription.id).status == "past_due"


def test_a_card_may_expire_next_month(shop: Shop) -> None:
    subscription = shop.subscribed(card=CARD_EXPIRES_SOON)
    shop.fake.move_clock(past_period_end=subscription.id)
    assert shop.subscription(subscription.id).status == "active"  # good until its month ends
    shop.fake.move_clock(months=1, days=1)
    charge = shop.v1.charges.list({"customer": subscription.customer}).data[0]
    assert (charge.status, charge.failure_code) == ("failed", "expired_card")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"number": "4111 1111 1111 1111"}, "test cards only"),
        ({"expiry": "13/34"}, "MM/YY"),
        ({"cvc": "x"}, "three digits"),
        ({"email": "nobody"}, "e-mail"),
        ({"promotion_code": "NOPE"}, "This code is not valid."),
        ({"tax_id": "123"}, "This tax id is not valid."),
        ({}, "Agree to the terms"),
    ],
)
def test_it_says_what_is_wrong_with_the_form(shop: Shop, fields: dict[str, str], sentence: str) -> None:
    more: dict[str, Any] = {"allow_promotion_codes": True, "tax_id_collection": {"enabled": True}}
    session = shop.checkout(**more, consent_collection={"terms_of_service": "required"})
    given = fields | ({"terms": "yes"} if fields else {})
    answer = shop.fake.http.post(
        session.url, data={"number": CARD_OK, "expiry": "12/34", "cvc": "123", "email": "a@example.org", "action": "pay", **given}
    )
    assert answer.status_code == 422 and sentence in answer.text
    assert shop.v1.checkout.sessions.retrieve(session.id).status == "open"


def test_consent_and_tax_id_are_kept(shop: Shop) -> None:
    session = shop.checkout(tax_id_collection={"enabled": True}, consent_collection={"terms_of_service": "required"})
    assert shop.fake.complete_checkout(session.url, terms="yes", tax_id="ATU12345678", country="AT").status_code == 303
    done = shop.v1.checkout.sessions.retrieve(session.id)
    assert done.consent.terms_of_service == "accepted" and done.customer_details.tax_ids[0].value == "ATU12345678"
    assert [row.value for row in shop.v1.customers.tax_ids.list(done.customer).data] == ["ATU12345678"]


def test_a_promotion_code_is_applied_shown_and_spent(shop: Shop) -> None:
    coupon = shop.v1.coupons.create({"percent_off": 50, "duration": "once"})
    code = shop.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "HALF", "max_redemptions": 1})
    session = shop.checkout(allow_promotion_codes=True)
    shown = shop.fake.http.post(session.url, data={"action": "apply", "promotion_code": "half"})
    assert shown.status_code == 200 and "€9.49" in shown.text
    assert shop.fake.complete_checkout(session.url, promotion_code="HALF").status_code == 303
    subscription = shop.v1.subscriptions.list().data[0]
    first = shop.v1.invoices.retrieve(subscription.latest_invoice, {"expand": ["discounts", "lines.data.discounts"]})
    assert (first.subtotal, first.total, first.total_discount_amounts[0].amount) == (1899, 949, 950)
    assert first.discounts[0].source.coupon == coupon.id and first.discounts[0].promotion_code == code.id
    assert shop.v1.promotion_codes.retrieve(code.id).active is False
    shop.fake.move_clock(past_period_end=subscription.id)
    assert [row.total for row in shop.invoices(subscription)] == [949, 1899]
    again = shop.checkout(allow_promotion_codes=True)
    assert shop.fake.complete_checkout(again.url, promotion_code="HALF").status_code == 422


def test_a_session_may_come_with_a_discount(shop: Shop) -> None:
    coupon = shop.v1.coupons.create({"amount_off": 500, "currency": "eur", "duration": "forever"})
    session = shop.checkout(discounts=[{"coupon": coupon.id}])
    assert session.amount_total == 1399
    shop.fake.complete_checkout(session.url)
    subscription = shop.v1.subscriptions.list().data[0]
    shop.fake.move_clock(past_period_end=subscription.id)
    assert [row.total for row in shop.invoices(subscription)] == [1399, 1399]
    with pytest.raises(stripe.InvalidRequestError, match="only specify one"):
        shop.checkout(discounts=[{"coupon": coupon.id}], allow_promotion_codes=True)


@pytest.mark.parametrize(
    ("country", "tax_id", "tax"),
    [("DE", "", 303), ("DE", "DE123456789", 303), ("AT", "", 317), ("AT", "ATU12345678", 0), ("US", "", 0)],
)
def test_vat_is_contained_in_the_price(shop: Shop, country: str, tax_id: str, tax: int) -> None:
    session = shop.checkout(automatic_tax={"enabled": True}, tax_id_collection={"enabled": True})
    shop.fake.complete_checkout(session.url, country=country, tax_id=tax_id)
    invoice = shop.v1.invoices.list().data[0]
    assert (invoice.total, invoice.total_excluding_tax) == (1899, 1899 - tax)
    assert (invoice.total_taxes[0].amount, invoice.total_taxes[0].tax_behavior) == (tax, "inclusive")
    rate = shop.v1.tax_rates.retrieve(invoice.total_taxes[0].tax_rate_details.tax_rate)
    assert (rate.country, bool(rate.percentage)) == (country, bool(tax))
    assert shop.v1.checkout.sessions.retrieve(session.id).total_details.amount_tax == tax


def test_without_tax_settings_there_is_no_tax_line(shop: Shop) -> None:
    assert shop.invoices(shop.subscribed())[0].total_taxes == []


def test_a_tax_rate_of_ones_own_is_used(shop: Shop) -> None:
    rate = shop.v1.tax_rates.create({"display_name": "USt", "percentage": 19, "inclusive": True})
    subscription = shop.subscribed(subscription_data={"default_tax_rates": [rate.id]})
    assert [row.amount for row in shop.invoices(subscription)[0].total_taxes] == [303]


def test_a_trial_costs_nothing_today(shop: Shop) -> None:
    subscription = shop.subscribed(subscription_data={"trial_period_days": 14})
    assert subscription.status == "trialing" and subscription.trial_end - subscription.trial_start == 14 * 86_400
    assert shop.item(subscription).current_period_end == subscription.trial_end
    assert [(row.total, row.status) for row in shop.invoices(subscription)] == [(0, "paid")]
    session = shop.v1.checkout.sessions.list({"subscription": subscription.id}).data[0]
    assert session.payment_status == "no_payment_required"


def test_a_session_expires_by_time_and_by_request(shop: Shop) -> None:
    early, late = shop.checkout(), shop.checkout()
    assert shop.v1.checkout.sessions.expire(early.id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.checkout.sessions.expire(early.id)
    assert httpx.get(early.url).status_code == 410 and shop.fake.complete_checkout(early.url).status_code == 410
    shop.fake.move_clock(days=1, seconds=1)
    assert shop.v1.checkout.sessions.retrieve(late.id).status == "expired"
    assert len(shop.events("checkout.session.expired")) == 2


def test_an_order_is_made_once(shop: Shop) -> None:
    session = shop.checkout()
    assert shop.fake.complete_checkout(session.url).status_code == 303
    assert shop.fake.complete_checkout(session.url).status_code == 410
    assert len(shop.v1.subscriptions.list().data) == 1


def test_the_page_speaks_german_and_runs_no_script(shop: Shop) -> None:
    session = shop.checkout(locale="de")
    page = httpx.get(session.url)
    assert '<html lang="de">' in page.text and "18,99 €" in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and f"form-action 'self' {BACK};" in policy and "<script" not in page.text
    automatic = shop.checkout(locale="auto")
    assert '<html lang="de">' in httpx.get(automatic.url, headers={"Accept-Language": "de-DE,de;q=0.9"}).text
    assert '<html lang="en">' in httpx.get(automatic.url, headers={"Accept-Language": "fr"}).text


def test_what_is_typed_is_shown_as_text(shop: Shop) -> None:
    session = shop.checkout()
    answer = shop.fake.complete_checkout(session.url, CARD_DECLINED, name='"><script>alert(1)</script>')
    assert "<script>" not in answer.text and "&lt;script&gt;" in answer.text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"mode": "payment"}, "mode"),
        ({"line_items": []}, "line_items"),
        ({"success_url": "welcome"}, "success_url"),
        ({"customer": "cus_nobody"}, "customer"),
        ({"locale": "xx"}, "locale"),
        ({"expires_at": 1}, "expires_at"),
        ({"subscription_data": {"trial_period_days": 0}}, "subscription_data[trial_period_days]"),
        ({"line_items": [{"price": "price_none", "quantity": 1}]}, "line_items[0][price]"),
    ],
)
def test_a_session_that_makes_no_sense_is_refused(shop: Shop, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.checkout(**fields)
    assert caught.value.param == param
