"""Stripe's customer portal: what it lets people do. `sync_stripe` writes it, billing.checkout leads to it.

It has two configurations. Whoever comes by themselves sees card, address and invoices; another plan is confirmed only by who comes from our
order page, where its price, terms and rights stand.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.cache import cache

from billing.models import TierPrice
from billing.stripe_api import client, plain

ACCOUNT, PLAN = "account", "plan"  # what each is for
CACHE_SECONDS = 3600


def configuration_id(purpose: str) -> str:
    """The id of our configuration for ACCOUNT or PLAN, made where there is none. Asks Stripe at most once an hour."""
    key = f"stripe-portal:{purpose}:{settings.STRIPE_SECRET_KEY[-8:]}:{settings.STRIPE_API_HOST}"
    found: str | None = cache.get(key)
    if found is None:
        found = _existing(purpose) or _write(purpose)
        cache.set(key, found, CACHE_SECONDS)
    return found


def write_configurations() -> None:
    """Bring the portal up to date with the prices sold. Idempotent."""
    for purpose in (ACCOUNT, PLAN):
        _write(purpose)


def _write(purpose: str) -> str:
    existing, wanted = _existing(purpose), _configuration(purpose)
    if existing is None:
        return str(client().billing_portal.configurations.create({**wanted, "metadata": _mark(purpose)}).id)
    client().billing_portal.configurations.update(existing, wanted)
    return existing


def _existing(purpose: str) -> str | None:
    for one in map(plain, client().billing_portal.configurations.list({"active": True, "limit": 100})):
        if one.get("metadata") == _mark(purpose):
            return str(one["id"])
    return None


def _mark(purpose: str) -> dict[str, str]:
    return {"made_by": "triforce", "for": purpose}


def _configuration(purpose: str) -> dict[str, Any]:
    pages = {"privacy_policy_url": f"{settings.PUBLIC_URL}/pages/privacy", "terms_of_service_url": f"{settings.PUBLIC_URL}/pages/terms"}
    return {
        **({"business_profile": pages} if settings.HTTPS else {}),  # Stripe takes addresses that the world can reach alone
        "default_return_url": f"{settings.PUBLIC_URL}/account/billing",
        "features": {
            "customer_update": {"enabled": True, "allowed_updates": ["name", "address", "tax_id"]},
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True},
            "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
            "subscription_update": _changes() if purpose == PLAN else {"enabled": False},
        },
    }


def _changes() -> dict[str, Any]:
    """More costs at once, with what is left of the period counted in; less, or a shorter period, begins when the period is over."""
    products: dict[str, list[str]] = {}
    for price in TierPrice.objects.filter(is_sold=True).select_related("tier"):
        products.setdefault(product_id(price.tier.slug), []).append(price.stripe_id)
    if not products:
        return {"enabled": False}
    return {
        "enabled": True,
        "default_allowed_updates": ["price"],
        "proration_behavior": "always_invoice",
        "products": [{"product": product, "prices": prices} for product, prices in products.items()],
        "schedule_at_period_end": {"conditions": [{"type": "decreasing_item_amount"}, {"type": "shortening_interval"}]},
    }


def product_id(slug: str) -> str:
    """The id at Stripe of what sells a tier: ours to choose, so that it is found again."""
    return f"triforce_{slug}"
