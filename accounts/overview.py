"""What an operator sees of an account at a glance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _

from accounts.models import User
from billing import clock, quota
from billing.charts import Chart, chart
from billing.models import Tier, UsageClass, UsageDay
from billing.quota import Balance
from billing.tiers import tier_for

DAYS = 30
NEWEST = 10


@dataclass(frozen=True, slots=True)
class Overview:
    tier: Tier
    today: Balance
    unlimited: Balance
    chart: Chart
    grants: list[Any]
    keys: list[Any]
    receipts: list[Any]
    looks: list[Any]


def overview(user: User) -> Overview:
    """Today's counters, thirty days, and the newest of what is the account's."""
    today, tier = clock.now().date(), tier_for(user)
    used: Counter[Any] = Counter()
    rows = UsageDay.objects.filter(subject=user.subject, day__gt=today - timedelta(days=DAYS))
    for day, tokens in rows.values_list("day", "used"):
        used[day] += tokens
    return Overview(
        tier=tier,
        today=quota.balance(user.subject, UsageClass.CLOUD, today, tier.daily_tokens or None),
        unlimited=quota.balance(user.subject, UsageClass.UNLIMITED, today, None),
        chart=chart(_("Tokens a day"), used, today),
        grants=list(user.subscriptions.select_related("tier")[:NEWEST]),
        keys=list(user.api_keys.all()[:NEWEST]),
        receipts=list(user.receipts.order_by("-pk")[:NEWEST]),
        looks=list(user.impersonations.select_related("operator")[:NEWEST]),
    )
