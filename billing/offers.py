"""What is for sale at the moment."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from decimal import Decimal
from typing import Any

from django.conf import settings

from billing.models import Interval, Subscription, Tier, TierPrice
from billing.subscriptions import live_subscription
from billing.tiers import tier_for


def offered(interval: str, user: Any) -> frozenset[int]:
    """The ids of the tiers that the visitor can order for that interval: all that are sold but for what they have already."""
    if not settings.STRIPE_SECRET_KEY:
        return frozenset()
    tiers = frozenset(TierPrice.objects.filter(is_sold=True, interval=interval).values_list("tier_id", flat=True))
    if not user.is_authenticated:
        return tiers
    live = live_subscription(user)
    if live is None:
        return tiers - {tier_for(user).pk}
    return tiers - {live.tier_id} if live.interval == interval else tiers


def as_sold(tiers: Iterable[Tier]) -> list[Tier]:
    """The tiers at the prices that the order page asks. One that is not sold has the price that the operator gave it."""
    found = [copy(tier) for tier in tiers]
    if settings.STRIPE_SECRET_KEY:
        sold = sold_amounts()
        for tier in found:
            tier.price_monthly = sold.get((tier.pk, Interval.MONTH), tier.price_monthly)
            tier.price_yearly = sold.get((tier.pk, Interval.YEAR), tier.price_yearly)
    return found


def sold_amounts() -> dict[tuple[int, str], Decimal]:
    """What is charged at the moment: EUR by tier id and interval, VAT included."""
    return {(row.tier_id, row.interval): row.amount for row in TierPrice.objects.filter(is_sold=True)}


def may_end_contracts() -> bool:
    """Does a contract run, or could one begin? Then there must be a way out of it on every page, also where nothing is sold any more."""
    return bool(settings.STRIPE_SECRET_KEY) or Subscription.live().exists()


def price_of(tier: Tier, interval: str) -> TierPrice | None:
    """The price at which a tier is sold; None where it is not."""
    if not settings.STRIPE_SECRET_KEY or interval not in Interval:
        return None
    return TierPrice.objects.filter(tier=tier, interval=interval, is_sold=True).select_related("tier").first()
