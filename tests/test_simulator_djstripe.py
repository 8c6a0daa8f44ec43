"""dj-stripe takes the payment simulator for Stripe: everything that TriForce syncs, from the API and from signed events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import stripe
from djstripe import models

from tests.fakes.stripe import Simulator
from tests.shop import Shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def synced(shop: Shop, fake_stripe: Simulator, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The shop, where dj-stripe's own calls go too."""
    settings.STRIPE_SECRET_KEY = settings.STRIPE_TEST_SECRET_KEY = fake_stripe.key
    settings.STRIPE_API_HOST = fake_stripe.url
    monkeypatch.setattr(stripe, "api_base", fake_stripe.url)
    monkeypatch.setattr(stripe, "api_key", fake_stripe.key)
    models.Account.objects.all().delete()
    models.APIKey.objects.all().delete()
    yield shop


def sync(model: Any, thing: Any) -> Any:
    """As its webhook handler does: fetched again with what dj-stripe expands, then synced."""
    return model.sync_from_stripe_data(model(id=thing.id).api_retrieve())


def test_the_account_owns_it(synced: Shop) -> None:
    price = synced.v1.prices.retrieve(synced.prices["pro_month"], {"expand": ["product"]})
    product = sync(models.Product, price.product)
    assert product.djstripe_owner_account.id == synced.v1.accounts.retrieve_current().id


def test_products_and_prices(synced: Shop) -> None:
    price = sync(models.Price, synced.v1.prices.retrieve(synced.prices["pro_month"]))
    assert (price.unit_amount, price.product.name, price.recurring["interval"]) == (1899, "Pro", "month")


def test_a_subscription_with_all_that_hangs_on_it(synced: Shop) -> None:
    coupon = synced.v1.coupons.create({"percent_off": 10, "duration": "forever"})
    synced.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "TEN"})
    session = synced.checkout(allow_promotion_codes=True, automatic_tax={"enabled": True}, tax_id_collection={"enabled": True})
    assert synced.fake.complete_checkout(session.url, promotion_code="TEN", tax_id="DE123456789").status_code == 303
    subscription = synced.v1.subscriptions.list().data[0]
    row = sync(models.Subscription, subscription)
    assert (row.customer.email, row.stripe_data["status"]) == ("alice@example.org", "active")
    assert [item.price.id for item in row.items.all()] == [synced.prices["pro_month"]]
    invoice = sync(models.Invoice, synced.v1.invoices.retrieve(subscription.latest_invoice))
    assert (invoice.customer, invoice.stripe_data["total"]) == (row.customer, 1709)
    assert models.Discount.objects.count() == 1
    checkout = sync(models.Session, session)
    assert (checkout.subscription, checkout.customer) == (row, row.customer) and checkout.stripe_data["line_items"]["data"]
    payment = synced.v1.invoices.retrieve(invoice.id, {"expand": ["payments"]}).payments.data[0].payment
    charge = sync(models.Charge, synced.v1.charges.list({"payment_intent": payment.payment_intent}).data[0])
    assert charge.balance_transaction.net < 1709 and charge.payment_intent.customer == row.customer
    assert charge.payment_method.customer == row.customer


def test_customers_cards_and_tax_ids(synced: Shop) -> None:
    id = synced.customer("pm_card_visa")
    synced.v1.customers.tax_ids.create(id, {"type": "eu_vat", "value": "DE123456789"})
    customer = sync(models.Customer, synced.v1.customers.retrieve(id))
    assert customer.default_payment_method.stripe_data["card"]["last4"] == "4242"
    tax_id = synced.v1.customers.tax_ids.list(id).data[0]
    assert models.TaxId.sync_from_stripe_data(tax_id).customer == customer


def test_refunds_disputes_and_schedules(synced: Shop) -> None:
    subscription = synced.subscribed("unlimited_month")
    charge = synced.v1.charges.list().data[0]
    refund = sync(models.Refund, synced.v1.refunds.create({"charge": charge.id, "amount": 100}))
    assert (refund.charge.id, refund.stripe_data["amount"]) == (charge.id, 100)
    dispute = synced.v1.disputes.retrieve(synced.fake.control("dispute", charge=charge.id)["id"])
    assert sync(models.Dispute, dispute).charge.id == charge.id
    schedule = synced.v1.subscription_schedules.create({"from_subscription": subscription.id})
    assert sync(models.SubscriptionSchedule, schedule).subscription.id == subscription.id


def test_a_webhook_endpoint(synced: Shop) -> None:
    made = synced.v1.webhook_endpoints.create({"url": "http://127.0.0.1:1/hook", "enabled_events": ["*"]})
    row = models.WebhookEndpoint.sync_from_stripe_data(made)
    assert (row.secret, row.url) == (made.secret, "http://127.0.0.1:1/hook")


def test_prorations_credits_and_coupons(synced: Shop) -> None:
    subscription = synced.subscribed()
    item = {"id": synced.item(subscription).id, "price": synced.prices["unlimited_month"]}
    changed = synced.v1.subscriptions.update(subscription.id, {"items": [item], "proration_behavior": "always_invoice"})
    invoice = sync(models.Invoice, synced.v1.invoices.retrieve(changed.latest_invoice))
    assert invoice.stripe_data["lines"]["total_count"] == 2
    sync(models.Subscription, changed)
    assert sync(models.Coupon, synced.v1.coupons.create({"percent_off": 5, "duration": "once"})).percent_off == 5


def test_every_event_can_be_processed(synced: Shop) -> None:
    subscription = synced.subscribed()
    synced.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    synced.fake.move_clock(past_period_end=subscription.id)
    types = set()
    for event in synced.events():
        if event.type.split(".")[0] in ("customer", "invoice", "charge", "checkout", "payment_method", "payment_intent"):
            models.Event.process(data=json.loads(str(event)))  # a plain one, as the webhook has it
            types.add(event.type)
    assert {"customer.subscription.deleted", "invoice.paid", "checkout.session.completed"} <= types
    row = models.Subscription.objects.get(id=subscription.id)
    assert row.stripe_data["status"] == "canceled"
