"""What other limits of a tier would have done to the last thirty days: whom they had stopped and when, what that saves and leaves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.db.models import Sum

from billing import clock, revenue
from billing.figures import Figures, TierDay
from billing.models import Tier

DAYS = 30
MOST = 5000  # days of subjects that are looked at; more are "at least"
REACHED = Decimal("0.95")  # of its limit: such a day was as good as full
PEAKS = {"requests_per_minute": "minute_peak", "concurrency": "at_once"}  # a limit, and the column of TierDay that says who needs it
UNRECORDED = frozenset({"reads_per_minute"})  # limits of what leaves no receipt
ABOUT_TOKENS = frozenset({"daily_tokens", "shadow", "ollama_unlimited"})
PREVIEWED = ABOUT_TOKENS | PEAKS.keys() | UNRECORDED | {"position", "all_models", "price_monthly", "price_yearly"}


@dataclass(frozen=True, slots=True)
class Stopped:
    """One subject, and the days on which it would have been refused something."""

    subject: str
    days: tuple[date, ...]
    amount: int  # of tokens: those beyond the limit; else the most of one day


@dataclass(frozen=True, slots=True)
class Effect:
    """Whom one limit would have stopped, who most first. `limit`: its column. `more`: there are more than were looked at."""

    limit: str
    stopped: tuple[Stopped, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """Money in EUR (cost turned by EUR_PER_USD) for thirty days. One effect for each limit that changes.

    The revenue is the same before and after: who has subscribed keeps the price, and who else would come nobody knows.
    """

    effects: tuple[Effect, ...]
    reached: int  # days of subjects that came to the daily tokens of now
    requests: int
    tokens: int
    tokens_stopped: int
    cost: Decimal
    saved: Decimal
    revenue: Decimal
    unpriced: int

    @property
    def margin_before(self) -> Decimal:
        return self.revenue - self.cost

    @property
    def margin_after(self) -> Decimal:
        return self.revenue - self.cost + self.saved


def preview(before: Tier, after: Tier) -> Preview:
    """The tier as it is and as it would be. Reads the sums of billing.rollup, never the receipts."""
    since = first_day()
    tokens = [_tokens(before, after, since)] if _differ(before, after, *ABOUT_TOKENS) else []
    peaks = [_peak(before, after, limit, since) for limit in PEAKS if _differ(before, after, limit)]
    cut = sum(one.amount for effect in tokens for one in effect.stopped)
    days = TierDay.objects.filter(tier=before.slug, day__gte=since)
    least = int(before.daily_tokens * REACHED)
    names = ("spend", "requests", "charged", "unpriced", "counted", "counted_spend")
    totals = Figures.objects.filter(tier=before.slug, day__gte=since).aggregate(**{f"{name}_sum": Sum(name) for name in names})
    limited = ("charged", "spend") if _counts_all(before, after) else ("counted", "counted_spend")
    limited_tokens, cost_of_them = (Decimal(totals[f"{name}_sum"] or 0) for name in limited)
    part = min(Decimal(1), cut / limited_tokens) if limited_tokens and not after.shadow else Decimal(0)
    return Preview(
        effects=(*tokens, *peaks),
        reached=days.filter(counted__gte=least)[:MOST].count() if least else 0,
        requests=totals["requests_sum"] or 0,
        tokens=totals["charged_sum"] or 0,
        tokens_stopped=cut,
        cost=revenue.eur(totals["spend_sum"] or Decimal(0)),
        saved=revenue.eur(cost_of_them) * part,
        revenue=revenue.monthly_revenue(before),
        unpriced=totals["unpriced_sum"] or 0,
    )


def first_day() -> date:
    """The first of the days that are looked at; today is the last."""
    return clock.now().date() - timedelta(days=DAYS - 1)


def _differ(before: Tier, after: Tier, *columns: str) -> bool:
    return any(getattr(before, column) != getattr(after, column) for column in columns)


def _counts_all(before: Tier, after: Tier) -> bool:
    """Does the change make count what did not?"""
    return before.ollama_unlimited and not after.ollama_unlimited


def _tokens(before: Tier, after: Tier, since: date) -> Effect:
    """Who used more on a day than the new limit lets through."""
    found, more = _above(before, "tokens" if _counts_all(before, after) else "counted", after.daily_tokens, since)
    stopped = (_stopped(subject, days, sum(used - after.daily_tokens for used in days.values())) for subject, days in found.items())
    return Effect("daily_tokens", _most_first(stopped), more)


def _peak(before: Tier, after: Tier, limit: str, since: date) -> Effect:
    """Who asked more at a time than the new limit lets through."""
    found, more = _above(before, PEAKS[limit], getattr(after, limit), since)
    return Effect(limit, _most_first(_stopped(subject, days, max(days.values())) for subject, days in found.items()), more)


def _above(tier: Tier, column: str, limit: int, since: date) -> tuple[dict[str, dict[date, int]], bool]:
    """Each subject's days above the limit (0 = none) with what they used, and whether there are more than were looked at."""
    if not limit:
        return {}, False
    over = TierDay.objects.filter(tier=tier.slug, **{f"{column}__gt": limit}).order_by(f"-{column}")
    rows = list(over.values_list("subject", "day", column)[: MOST + 1])
    found: dict[str, dict[date, int]] = {}
    for subject, day, used in rows[:MOST]:
        if day >= since:
            found.setdefault(subject, {})[day] = used
    return found, len(rows) > MOST


def _stopped(subject: str, days: dict[date, int], amount: int) -> Stopped:
    return Stopped(subject, tuple(sorted(days)), amount)


def _most_first(stopped: Iterable[Stopped]) -> tuple[Stopped, ...]:
    return tuple(sorted(stopped, key=lambda one: -one.amount))
