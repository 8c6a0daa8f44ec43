"""The most that a subject asked within one minute of the clock and at one moment, by day and tier: whom other limits would have stopped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from heapq import heappop, heappush

from django.db.models import QuerySet

from billing.models import UsageEvent
from billing.visitors import CARRIED_OVER

BEFORE = timedelta(minutes=5)  # how far back others are looked for that shared a minute or still ran
Key = tuple[date, str, str]  # day, tier, subject
Row = tuple[date, str, str, datetime, datetime | None]


def peaks(receipts: QuerySet[UsageEvent], mark: int, most: int) -> dict[Key, tuple[int, int]]:
    """(most within a minute, most at once) for each key of `receipts`, which all come after `mark`.

    Those before it are looked at, too, `most` of them at most: a step of the rollup ends within a minute and while others run.
    """
    rows = _rows(receipts)
    if not rows:
        return {}
    first = min(row[3] for row in rows)
    near = UsageEvent.objects.filter(pk__lte=mark, created__gte=first - BEFORE, created__lte=first + BEFORE)
    return _found(rows, _rows(near.order_by("-created")[:most]))


def _rows(receipts: QuerySet[UsageEvent]) -> list[Row]:
    found = receipts.values_list("day", "tier", "subject", "created", "closed", "rule")
    return [tuple(row) for *row, rule in found if rule != CARRIED_OVER]  # type: ignore[misc]


def _found(rows: Iterable[Row], before: Iterable[Row]) -> dict[Key, tuple[int, int]]:
    by_subject: dict[str, list[tuple[datetime, datetime, Key | None]]] = defaultdict(list)
    for day, tier, subject, created, closed in rows:
        by_subject[subject].append((created, closed or created, (day, tier, subject)))
    for _day, _tier, subject, created, closed in before:
        if subject in by_subject:
            by_subject[subject].append((created, closed or created, None))
    minute: dict[Key, int] = defaultdict(int)
    at_once: dict[Key, int] = defaultdict(int)
    for asked in by_subject.values():
        asked.sort(key=lambda one: one[0])
        running: list[datetime] = []
        counts: dict[datetime, int] = defaultdict(int)
        for created, closed, key in asked:
            while running and running[0] <= created:
                heappop(running)
            heappush(running, closed)
            counts[created.replace(second=0, microsecond=0)] += 1
            if key is not None:
                at_once[key] = max(at_once[key], len(running))
        for created, _closed, key in asked:
            if key is not None:
                minute[key] = max(minute[key], counts[created.replace(second=0, microsecond=0)])
    return {key: (minute[key], at_once[key]) for key in at_once}
