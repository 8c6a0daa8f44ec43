"""What a tier on trial would have refused in thirty days."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Sum

from billing.figures import Figures, TierDay
from billing.models import Tier
from billing.preview import first_day

SHOWN = 20  # subjects that are named


@dataclass(frozen=True, slots=True)
class Over:
    """One subject, on how many days it was over the limit, and with how many requests."""

    subject: str
    days: int
    over: int


@dataclass(frozen=True, slots=True)
class Trial:
    """All requests, those over the limit, and whose they were: how many people, and who most."""

    requests: int
    over: int
    people: int
    most: tuple[Over, ...]


def trial(tier: Tier) -> Trial | None:
    """None where nothing was over. Reads the sums of billing.rollup, never the receipts."""
    sums = Figures.objects.filter(tier=tier.slug, day__gte=first_day()).aggregate(requests_sum=Sum("requests"), over_sum=Sum("over_limit"))
    if not sums["over_sum"]:
        return None
    days = TierDay.objects.filter(tier=tier.slug, day__gte=first_day(), over_limit__gt=0).order_by()
    people = days.aggregate(count=Count("subject", distinct=True))["count"]
    rows = days.values("subject").annotate(days_count=Count("pk"), over_sum=Sum("over_limit")).order_by("-over_sum", "subject")[:SHOWN]
    most = tuple(Over(row["subject"], row["days_count"], row["over_sum"]) for row in rows)
    return Trial(sums["requests_sum"], sums["over_sum"], people, most)
