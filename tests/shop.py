"""A small shop on the payment simulator, run with the Stripe SDK: two plans with a monthly and a yearly price each."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import stripe

from tests.fakes.stripe import CARD_OK, KEY, Simulator

BACK = "http://127.0.0.1:9000"
PLANS = {"pro": (1899, 18999), "unlimited": (5999, 59999)}  # cents a month and a year


class Shop:
    """`shop.v1` is the SDK's API. Retries are off, so that a test sees each answer."""

    def __init__(self, fake: Simulator, retries: int = 0) -> None:
        self.fake = fake
        self.client = stripe.StripeClient(KEY, base_addresses={"api": fake.url}, max_network_retries=retries)
        self.v1: Any = self.client.v1

    @cached_property
    def prices(self) -> dict[str, str]:
        """{"pro_month": "price_…", "pro_year": …, "unlimited_month": …, "unlimited_year": …}, VAT included."""
        made = {}
        for slug, amounts in PLANS.items():
            product = self.v1.products.create({"name": slug.title(), "id": f"prod_{slug}"})
            for interval, amount in zip(("month", "year"), amounts, strict=True):
                price = {"product": product.id, "unit_amount": amount, "currency": "eur", "recurring": {"interval": interval}}
                key = f"{slug}_{interval}"
                made[key] = self.v1.prices.create({**price, "tax_behavior": "inclusive", "lookup_key": key}).id
        return made

    def customer(self, card: str = "", **fields: Any) -> str:
        """A customer's id; with a test card's token, the card is the default."""
        made = self.v1.customers.create({"email": "alice@example.org", **fields})
        if card:
            method = self.v1.payment_methods.attach(card, {"customer": made.id})
            self.v1.customers.update(made.id, {"invoice_settings": {"default_payment_method": method.id}})
        return str(made.id)

    def checkout(self, price: str = "pro_month", **fields: Any) -> Any:
        """An open checkout session."""
        given = {"mode": "subscription", "line_items": [{"price": self.prices[price], "quantity": 1}], "locale": "en"}
        urls = {"success_url": f"{BACK}/welcome?session={{CHECKOUT_SESSION_ID}}", "cancel_url": f"{BACK}/prices"}
        return self.v1.checkout.sessions.create({**given, **urls, **fields})

    def subscribed(self, price: str = "pro_month", card: str = CARD_OK, **fields: Any) -> Any:
        """A subscription that was ordered at the checkout."""
        session = self.checkout(price, **fields)
        answer = self.fake.complete_checkout(session.url, card)
        assert answer.status_code == 303, answer.text
        return self.subscription(self.v1.checkout.sessions.retrieve(session.id).subscription)

    def subscription(self, id: str) -> Any:
        return self.v1.subscriptions.retrieve(id)

    def item(self, subscription: Any) -> Any:
        """Its only item. (`.items` is a method of the SDK's objects.)"""
        return subscription["items"].data[0]

    def price_of(self, subscription: Any) -> str:
        """Which of `prices` it holds."""
        return next(name for name, id in self.prices.items() if id == self.item(subscription).price.id)

    def invoices(self, subscription: Any) -> list[Any]:
        """Its invoices, oldest first."""
        return list(self.v1.invoices.list({"subscription": subscription.id, "limit": 100}).data)[::-1]

    def events(self, *types: str) -> list[Any]:
        """All events of these types, oldest first."""
        return [event for event in self.v1.events.list({"limit": 100}).auto_paging_iter() if not types or event.type in types][::-1]

    def configuration(self, **features: Any) -> Any:
        """A portal configuration that allows everything; a step down waits for the period's end."""
        products = [{"product": f"prod_{slug}", "prices": [self.prices[f"{slug}_month"], self.prices[f"{slug}_year"]]} for slug in PLANS]
        update = {
            "enabled": True,
            "default_allowed_updates": ["price"],
            "proration_behavior": "always_invoice",
            "products": products,
            "schedule_at_period_end": {"conditions": [{"type": "decreasing_item_amount"}, {"type": "shortening_interval"}]},
        }
        given = {
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True},
            "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
            "subscription_update": update,
        }
        return self.v1.billing_portal.configurations.create({"features": {**given, **features}})

    def portal(self, customer: str, **fields: Any) -> Any:
        return self.v1.billing_portal.sessions.create({"customer": customer, "return_url": f"{BACK}/billing", **fields})
