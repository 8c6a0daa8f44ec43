"""Products, prices, tax rates, coupons, promotion codes, customers and their cards in the payment simulator."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.shop import Shop


def test_it_finds_prices_by_lookup_key(shop: Shop) -> None:
    prices = shop.prices
    found = shop.v1.prices.list({"lookup_keys": ["pro_month", "unlimited_year"], "expand": ["data.product"]}).data
    assert {(row.lookup_key, row.unit_amount, row.product.name) for row in found} == {
        ("pro_month", 1899, "Pro"),
        ("unlimited_year", 59999, "Unlimited"),
    }
    price = shop.v1.prices.retrieve(prices["pro_year"])
    assert (price.recurring.interval, price.tax_behavior, price.type, price.currency) == ("year", "inclusive", "recurring", "eur")


def test_a_lookup_key_moves_only_on_request(shop: Shop) -> None:
    old = shop.prices["pro_month"]
    new = {"product": "prod_pro", "unit_amount": 2099, "currency": "eur", "recurring": {"interval": "month"}, "lookup_key": "pro_month"}
    with pytest.raises(stripe.InvalidRequestError, match="lookup key"):
        shop.v1.prices.create(new)
    made = shop.v1.prices.create({**new, "transfer_lookup_key": True})
    assert made.lookup_key == "pro_month" and shop.v1.prices.retrieve(old).lookup_key is None
    assert shop.v1.prices.update(old, {"active": False}).active is False
    assert {row.id for row in shop.v1.prices.list({"product": "prod_pro", "active": False}).data} == {old}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.checkout.sessions.create(
            {"mode": "subscription", "line_items": [{"price": old, "quantity": 1}], "success_url": "http://127.0.0.1:9000/"}
        )
    assert caught.value.code == "price_inactive"


def test_a_products_change_is_an_event_with_what_was(shop: Shop) -> None:
    product = shop.v1.products.create({"name": "Pro", "metadata": {"tier": "pro", "old": "yes"}})
    shop.v1.products.update(product.id, {"name": "Pro Max", "metadata": {"old": ""}})
    event = shop.events("product.updated")[0]
    assert event.data.object.name == "Pro Max" and event.data.previous_attributes["name"] == "Pro"
    assert shop.v1.products.retrieve(product.id).metadata.to_dict() == {"tier": "pro"}
    assert shop.v1.products.features.list(product.id).data == []


def test_it_refuses_prices_that_make_no_sense(shop: Shop) -> None:
    shop.prices  # noqa: B018  makes the products
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"unit_amount": -1}, "unit_amount"),
        ({"currency": "xyz"}, "currency"),
        ({"recurring": {"interval": "fortnight"}}, "recurring[interval]"),
        ({"product": "prod_none"}, "product"),
    ]
    for given, param in wrong:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            shop.v1.prices.create(
                {"product": "prod_pro", "unit_amount": 100, "currency": "eur", "recurring": {"interval": "month"}, **given}
            )
        assert caught.value.param == param


def test_a_customer_has_an_address_tax_ids_and_a_card(shop: Shop) -> None:
    id = shop.customer("pm_card_visa", name="Alice", address={"country": "DE", "city": "Berlin"}, preferred_locales=["de"])
    shop.v1.customers.tax_ids.create(id, {"type": "eu_vat", "value": "DE123456789"})
    found = shop.v1.customers.retrieve(id, {"expand": ["tax_ids", "invoice_settings.default_payment_method", "subscriptions", "sources"]})
    assert (found.name, found.address.city, found.preferred_locales) == ("Alice", "Berlin", ["de"])
    assert [(row.type, row.value) for row in found.tax_ids.data] == [("eu_vat", "DE123456789")]
    assert found.invoice_settings.default_payment_method.card.last4 == "4242"
    assert found.subscriptions.data == [] and found.sources.data == []
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.customers.tax_ids.create(id, {"type": "eu_vat", "value": "nonsense!"})
    assert caught.value.code == "tax_id_invalid"
    tax_id = found.tax_ids.data[0].id
    shop.v1.customers.tax_ids.delete(id, tax_id)
    assert shop.v1.customers.tax_ids.list(id).data == []


def test_a_card_is_attached_and_detached(shop: Shop) -> None:
    id = shop.customer("pm_card_visa")
    method = shop.v1.customers.payment_methods.list(id).data[0]
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.payment_methods.attach(method.id, {"customer": shop.customer()})
    assert shop.v1.payment_methods.detach(method.id).customer is None
    assert shop.v1.customers.retrieve(id).invoice_settings.default_payment_method is None
    assert [event.type for event in shop.events("payment_method.attached", "payment_method.detached")] == [
        "payment_method.attached",
        "payment_method.detached",
    ]


@pytest.mark.parametrize(
    ("token", "code"), [("pm_card_chargeDeclined", "generic_decline"), ("pm_card_chargeDeclinedExpiredCard", "expired_card")]
)
def test_a_bad_card_cannot_be_attached(shop: Shop, token: str, code: str) -> None:
    with pytest.raises(stripe.CardError) as caught:
        shop.customer(token)
    assert caught.value.http_status == 402 and caught.value.error and caught.value.error.decline_code == code


def test_only_test_cards_are_taken(shop: Shop) -> None:
    card = {"number": "4111111111111111", "exp_month": 12, "exp_year": 2034, "cvc": "123"}
    with pytest.raises(stripe.CardError, match="test cards only"):
        shop.v1.payment_methods.create({"type": "card", "card": card})


def test_a_setup_intent_saves_a_card(shop: Shop) -> None:
    customer = shop.customer()
    intent = shop.v1.setup_intents.create({"customer": customer, "payment_method": "pm_card_visa", "confirm": True})
    assert intent.status == "succeeded"
    assert [row.id for row in shop.v1.customers.payment_methods.list(customer).data] == [intent.payment_method]
    asked = shop.v1.setup_intents.create({"customer": customer, "payment_method": "pm_card_authenticationRequired", "confirm": True})
    assert asked.status == "requires_action" and asked.next_action.type == "use_stripe_sdk"


def test_a_deleted_customer_takes_the_subscriptions_along(shop: Shop) -> None:
    subscription = shop.subscribed()
    assert shop.v1.customers.delete(subscription.customer).deleted
    assert shop.v1.customers.retrieve(subscription.customer).deleted
    assert shop.subscription(subscription.id).status == "canceled"
    assert len(shop.events("customer.deleted", "customer.subscription.deleted")) == 2


def test_coupons_and_promotion_codes(shop: Shop) -> None:
    coupon = shop.v1.coupons.create({"percent_off": 25, "duration": "repeating", "duration_in_months": 3, "name": "Spring"})
    code = shop.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "SPRING", "max_redemptions": 1})
    found = shop.v1.promotion_codes.retrieve(code.id, {"expand": ["promotion.coupon"]})
    assert (found.promotion.coupon.percent_off, found.active, found.code) == (25, True, "SPRING")
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        shop.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "spring"})
    for wrong in ({"duration": "once"}, {"percent_off": 101}, {"percent_off": 5, "duration": "repeating"}):
        with pytest.raises(stripe.InvalidRequestError):
            shop.v1.coupons.create(wrong)


def test_a_tax_rate_is_made_and_found(shop: Shop) -> None:
    made = shop.v1.tax_rates.create({"display_name": "USt", "percentage": 19, "inclusive": True, "country": "DE"})
    assert (shop.v1.tax_rates.retrieve(made.id).percentage, made.inclusive) == (19, True)
