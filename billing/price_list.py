"""The tiers' prices, at Stripe. Whoever changes a price makes a new one there: what somebody bought stays what it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import stripe
from django.db import transaction
from djstripe.models import Price, Product

from billing.models import Interval, Tier, TierPrice
from billing.offers import sold_amounts
from billing.portal import product_id, write_configurations
from billing.stripe_api import asking_stripe, client, plain

CURRENCY = "eur"


@dataclass(frozen=True, slots=True)
class Difference:
    """A price that a tier has in the admin, and the one at which it is sold. 0 = none."""

    tier: Tier
    interval: Interval
    wanted: Decimal
    sold: Decimal


def differences() -> list[Difference]:
    """Where what is written in the admin is not what Stripe sells. Asks only the database."""
    sold = sold_amounts()
    pairs = (
        Difference(tier, interval, wanted, sold.get((tier.pk, interval), Decimal(0)))
        for tier in Tier.objects.order_by("position")
        for interval, wanted in _wanted(tier).items()
    )
    return [one for one in pairs if one.wanted != one.sold]


def is_behind() -> bool:
    """Has a price, name or feature changed since Stripe was last brought up to date? Not before the first time, which is the operator's."""
    if not TierPrice.objects.exists():
        return False
    kept = {row.id: row.stripe_data for row in Product.objects.all()}
    told = (kept.get(product_id(tier.slug), {}).items() >= _product(tier).items() for tier in Tier.objects.all() if _is_sold(tier))
    return bool(differences()) or not all(told)


def bring_up_to_date() -> list[str]:
    """Prices, products and the customer portal at Stripe; a line for each change. Idempotent. Raises PaymentUnavailable."""
    with asking_stripe():
        changes = list(sync_prices())
        write_configurations()
    return changes


def sync_prices() -> Iterator[str]:
    """Make or find a product and the prices of every tier that costs something, and write them down; a line for each change.

    A price that a tier no longer has is archived at Stripe and sold to nobody any more. Idempotent. Raises stripe.StripeError.
    """
    for tier in Tier.objects.order_by("position"):
        if _is_sold(tier):
            yield from _sync_product(tier)
        for interval, amount in _wanted(tier).items():
            yield from _sync_price(tier, interval, amount)


def _wanted(tier: Tier) -> dict[Interval, Decimal]:
    return {Interval.MONTH: tier.price_monthly, Interval.YEAR: tier.price_yearly}


def _is_sold(tier: Tier) -> bool:
    return any(_wanted(tier).values())


def _product(tier: Tier) -> dict[str, str]:
    return {"name": f"TriForce {tier.name}", "description": " · ".join(map(str, tier.features)) or tier.name}


def _sync_product(tier: Tier) -> Iterator[str]:
    wanted = _product(tier)
    try:
        found = plain(client().products.retrieve(product_id(tier.slug)))
    except stripe.InvalidRequestError as error:
        if error.code != "resource_missing":
            raise
        found = plain(client().products.create({"id": product_id(tier.slug), **wanted}))
        yield f"{tier.slug}: product made"
    if not found["active"] or any(found.get(name) != value for name, value in wanted.items()):
        found = plain(client().products.update(product_id(tier.slug), {**wanted, "active": True}))
        yield f"{tier.slug}: product updated"
    Product.sync_from_stripe_data(found)


def _sync_price(tier: Tier, interval: Interval, amount: Decimal) -> Iterator[str]:
    key = f"triforce_{tier.slug}_{interval}"
    current = next(iter(plain(client().prices.list({"lookup_keys": [key], "active": True}))["data"]), None)
    sold = current if current is not None and amount and _is(current, amount) else None
    if sold is None and amount:
        sold = plain(client().prices.create(_price(tier, interval, amount, key)))
        yield f"{tier.slug} {interval}: {amount} {CURRENCY.upper()}"
    if current is not None and sold is not current:
        client().prices.update(current["id"], {"active": False})
        yield f"{tier.slug} {interval}: {Decimal(current['unit_amount']) / 100} archived"
    if sold is not None:
        Price.sync_from_stripe_data(sold)
    _write_down(tier, interval, sold)


def _is(price: dict[str, Any], amount: Decimal) -> bool:
    return bool(price["unit_amount"] == amount * 100 and price["currency"] == CURRENCY and price["tax_behavior"] == "inclusive")


def _price(tier: Tier, interval: Interval, amount: Decimal, key: str) -> dict[str, Any]:
    return {
        "product": product_id(tier.slug),
        "unit_amount": int(amount * 100),
        "currency": CURRENCY,
        "recurring": {"interval": str(interval)},
        "tax_behavior": "inclusive",
        "lookup_key": key,
        "transfer_lookup_key": True,
        "metadata": {"tier": tier.slug},
    }


@transaction.atomic
def _write_down(tier: Tier, interval: Interval, sold: dict[str, Any] | None) -> None:
    rows = TierPrice.objects.filter(tier=tier, interval=interval)
    rows.exclude(stripe_id=sold["id"] if sold else "").update(is_sold=False)
    if sold:
        values = {"tier": tier, "interval": interval, "amount": Decimal(sold["unit_amount"]) / 100, "currency": sold["currency"]}
        TierPrice.objects.update_or_create(stripe_id=sold["id"], defaults={**values, "is_sold": True})
