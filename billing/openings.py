"""Which models would close or open for which tier, and who used them: by the sums of thirty days and by the newest receipts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Sum

from billing.figures import Figures, answered_by
from billing.models import UsageEvent
from billing.preview import first_day

NEWEST = 20_000  # receipts in which people are looked for
Pair = tuple[str, str]  # a tier's slug, a model's id


@dataclass(frozen=True, slots=True)
class Closing:
    """A model that a tier would lose. `people`: who used it among the NEWEST receipts."""

    tier: str
    model_id: str
    requests: int
    tokens: int
    people: int


@dataclass(frozen=True, slots=True)
class Openings:
    """What a change closes, the most used first, and how much it opens: pairs of a tier and a model."""

    closes: tuple[Closing, ...]
    opens: int
    people: int  # who used any of these, among the NEWEST receipts

    @property
    def requests(self) -> int:
        return sum(one.requests for one in self.closes)


def openings(
    tiers_before: Mapping[str, int], tiers_after: Mapping[str, int], models_before: Mapping[str, str], models_after: Mapping[str, str]
) -> Openings:
    """`tiers_*`: each tier's slug -> its position; `models_*`: each model's id -> the slug of its lowest tier."""
    before, after = _open(tiers_before, models_before), _open(tiers_after, models_after)
    closed = before - after
    used, people = _used(closed), _people(closed)
    rows = [Closing(*pair, *used.get(pair, (0, 0)), len(people[pair])) for pair in closed]
    rows.sort(key=lambda one: (-one.requests, one.tier, one.model_id))
    return Openings(tuple(rows), len(after - before), len(set().union(*people.values())))


def _open(tiers: Mapping[str, int], models: Mapping[str, str]) -> set[Pair]:
    return {(tier, model_id) for tier, position in tiers.items() for model_id, lowest in models.items() if position >= tiers[lowest]}


def _used(pairs: set[Pair]) -> dict[Pair, tuple[int, int]]:
    """(requests, tokens) of each pair in thirty days."""
    figures = Figures.objects.filter(day__gte=first_day(), tier__in={tier for tier, _model in pairs}).order_by()
    rows = figures.values("tier", "model_id").annotate(requests_sum=Sum("requests"), tokens_sum=Sum("charged"))
    found = {(row["tier"], row["model_id"]): (row["requests_sum"], row["tokens_sum"]) for row in rows}
    return {pair: found[pair] for pair in pairs & found.keys()}


def _people(pairs: set[Pair]) -> defaultdict[Pair, set[str]]:
    found: defaultdict[Pair, set[str]] = defaultdict(set)
    if not pairs:
        return found
    newest = UsageEvent.newest_pk()
    receipts = UsageEvent.objects.filter(pk__gt=newest - NEWEST, tier__in={tier for tier, _model in pairs}).order_by()
    answered = receipts.annotate(model_id=answered_by())
    for tier, model_id, subject in answered.values_list("tier", "model_id", "subject").distinct():
        if (tier, model_id) in pairs:
            found[tier, model_id].add(subject)
    return found
