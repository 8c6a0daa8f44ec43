"""Adding closed receipts up, each once: figures by day, tier and model, and what each subject used in each tier.

A mark says how far it has come. It moves behind the first receipt that is open or younger than a minute, so that none is missed:
receipts take their numbers before others see them. Each step is one transaction with the mark's row locked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Case, Count, F, Max, Min, Q, QuerySet, Sum, When

from billing import clock
from billing.figures import Figures, Mark, TierDay, answered_by
from billing.models import Price, UsageClass, UsageEvent
from billing.peaks import peaks
from billing.visitors import CARRIED_OVER

SETTLES = timedelta(minutes=1)  # a receipt whose number is taken is visible long before it is this old
RULES = 1  # one more whenever other columns are summed, or in another way
STEP = 20_000  # receipts a transaction
SLICE = 900  # parameters a query: SQLite takes no more than some thousands
KEPT = 35  # days of what single subjects used
MOST = frozenset({"minute_peak", "at_once"})  # of these the most is kept, of others the sum
MILLION = Decimal(1_000_000)
COUNTED = (
    "requests", "errors", "estimated", "over_limit", "unpriced", "input_tokens", "output_tokens", "charged", "counted", "spend",
    "counted_spend",
)  # fmt: skip
Sums = dict[tuple[Any, ...], dict[str, Any]]


def roll_up(now: datetime | None = None) -> int:
    """Add up what was closed since the last time; the number of receipts added."""
    until = (now or clock.now()) - SETTLES
    count = 0
    while step := _step(until):
        count += step
    return count


def purge() -> int:
    """Forget what single subjects used more than KEPT days ago; the number of rows forgotten."""
    return TierDay.objects.filter(day__lt=clock.now().date() - timedelta(days=KEPT)).delete()[0]


@transaction.atomic
def _step(until: datetime) -> int:
    Mark.objects.get_or_create(pk=1, defaults={"rules": RULES})
    mark = Mark.objects.select_for_update().get(pk=1)
    if mark.rules != RULES:
        _begin_anew(mark)
    end = _end(mark.receipt, until)
    receipts = UsageEvent.objects.filter(pk__gt=mark.receipt, pk__lte=end).order_by()
    count = receipts.count() if end > mark.receipt else 0
    if count:
        _add(Figures, ("day", "tier", "model_id"), _figures(receipts))
        _add(TierDay, ("day", "tier", "subject"), _by_subject(receipts, mark.receipt))
    Mark.objects.filter(pk=1).update(receipt=max(end, mark.receipt), moved=clock.now())
    return count


def _begin_anew(mark: Mark) -> None:
    """Sums that were made by other rules are made again from the receipts."""
    for model in (Figures, TierDay):
        model._default_manager.all().delete()
    mark.receipt, mark.rules = 0, RULES
    mark.save()


def _end(mark: int, until: datetime) -> int:
    """The last receipt of the next step: everything up to it is closed, and old enough."""
    later = UsageEvent.objects.filter(pk__gt=mark)
    young = later.filter(created__gte=until).aggregate(pk=Min("pk"))["pk"]
    running = later.filter(state=UsageEvent.State.OPEN).aggregate(pk=Min("pk"))["pk"]
    first_out = min((pk for pk in (young, running) if pk is not None), default=None)
    if first_out is not None:
        later = later.filter(pk__lt=first_out)
    full = next(iter(later.order_by("pk").values_list("pk", flat=True)[STEP - 1 : STEP]), None)
    return full or later.aggregate(pk=Max("pk"))["pk"] or mark


def _figures(receipts: QuerySet[UsageEvent]) -> Sums:
    """By (day, tier, model). The price of a version is looked up once. What a guest brought along was summed up when it was used."""
    answered = receipts.exclude(rule=CARRIED_OVER).annotate(model_id=answered_by())
    rows = answered.values("day", "tier", "model_id", "price_version", "usage_class").annotate(
        requests=Count("pk"),
        errors=Count("pk", filter=~Q(error_code="")),
        estimated_=Count("pk", filter=Q(estimated=True)),
        over=Count("pk", filter=Q(over_limit=True)),
        answers=Count("pk", filter=Q(output_tokens__gt=0)),
        input_=Sum("input_tokens"),
        cached=Sum("cached_input_tokens"),
        written=Sum("cache_write_tokens"),
        output_=Sum("output_tokens"),
        charged_=Sum("charged"),
    )
    found: list[dict[str, Any]] = [dict(row) for row in rows]
    prices = Price.objects.in_bulk({row["price_version"] for row in found} - {None})
    sums: Sums = defaultdict(lambda: dict.fromkeys(COUNTED, 0))
    for row in found:
        total, price = sums[row["day"], row["tier"], row["model_id"]], prices.get(row["price_version"])
        for name, column in (("requests", "requests"), ("errors", "errors"), ("estimated", "estimated_"), ("over_limit", "over"),
                             ("input_tokens", "input_"), ("output_tokens", "output_"), ("charged", "charged_")):  # fmt: skip
            total[name] += row[column]
        total["unpriced"] += row["answers"] if price is None else 0
        cost = Decimal(0) if price is None else spend(price, row["input_"], row["cached"], row["written"], row["output_"])
        total["spend"] += cost
        if row["usage_class"] == UsageClass.CLOUD:
            total["counted"] += row["charged_"]
            total["counted_spend"] += cost
    return sums


def spend(price: Price, input_tokens: int, cached: int, written: int, output_tokens: int) -> Decimal:
    """What a provider takes, in USD. `cached` and `written` are parts of the input, at its price where they have none of their own."""
    plain = max(0, input_tokens - cached - written)
    parts = (
        (plain, price.input),
        (cached, price.input if price.cached_input is None else price.cached_input),
        (written, price.input if price.cache_write is None else price.cache_write),
        (output_tokens, price.output),
    )
    return sum((tokens * each for tokens, each in parts), Decimal(0)) / MILLION


def _by_subject(receipts: QuerySet[UsageEvent], mark: int) -> Sums:
    counted = Sum(Case(When(usage_class=UsageClass.CLOUD, then=F("charged")), default=0))
    rows = receipts.values("day", "tier", "subject").annotate(
        requests=Count("pk"), over=Count("pk", filter=Q(over_limit=True)), counted=counted, tokens=Sum("charged")
    )
    most = peaks(receipts, mark, STEP)
    sums: Sums = {}
    for row in rows:
        key = (row["day"], row["tier"], row["subject"])
        minute_peak, at_once = most.get(key, (0, 0))
        sums[key] = {
            "requests": row["requests"], "over_limit": row["over"], "counted": row["counted"], "tokens": row["tokens"],
            "minute_peak": minute_peak, "at_once": at_once,
        }  # fmt: skip
    return sums


def _add(model: type[Figures] | type[TierDay], names: tuple[str, ...], sums: Sums) -> None:
    """Add the sums to the rows of their keys, and make those that are not there yet."""
    rows: Any = model._default_manager
    known = {tuple(getattr(row, name) for name in names): row for row in _rows(model, names, sums)}
    new, old = [], []
    for key, values in sums.items():
        row = known.get(key)
        if row is None:
            new.append(model(**dict(zip(names, key, strict=True)), **values))
            continue
        for name, value in values.items():
            setattr(row, name, max(getattr(row, name), value) if name in MOST else getattr(row, name) + value)
        old.append(row)
    rows.bulk_create(new, batch_size=1000)
    if old:
        columns = [name for name in next(iter(sums.values())) if name not in names]
        rows.bulk_update(old, columns, batch_size=200)


def _rows(model: type[Figures] | type[TierDay], names: tuple[str, ...], sums: Sums) -> Iterable[Any]:
    """The rows there are of those days; of single subjects only."""
    days: set[date] = {key[0] for key in sums}
    rows: QuerySet[Any] = model._default_manager.filter(day__in=days)
    if names[-1] != "subject":
        yield from rows
        return
    subjects = sorted({key[2] for key in sums})
    for start in range(0, len(subjects), SLICE):
        yield from rows.filter(subject__in=subjects[start : start + SLICE])
