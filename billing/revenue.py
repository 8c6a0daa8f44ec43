"""What comes in: EUR a month, VAT included, from the paid subscriptions in force."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db.models import QuerySet, Sum

from billing.models import Interval, Subscription, Tier
from billing.tiers import in_force


def monthly_revenue(tier: Tier | None = None) -> Decimal:
    """EUR a month of all who pay (for that tier), at what each of them pays; a year's price counts a twelfth."""
    total, paid = Decimal(0), _paid() if tier is None else _paid().filter(tier=tier)
    for row in paid.values("interval").annotate(sum=Sum("amount")):
        total += Decimal(row["sum"] or 0) / (12 if row["interval"] == Interval.YEAR else 1)
    return total.quantize(Decimal("0.01"))


def eur(usd: Decimal) -> Decimal:
    """What providers take, in the money that people pay, at the operator's rate."""
    return usd * Decimal(str(settings.EUR_PER_USD))


def _paid() -> QuerySet[Subscription]:
    """In force and paid for: no grant, and no trial."""
    return Subscription.objects.filter(in_force(), source=Subscription.Source.STRIPE).exclude(status="trialing").order_by()
