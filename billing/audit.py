"""The nightly look at our own books: a day's counters must be what its receipts add up to."""

from __future__ import annotations

from datetime import date, timedelta

from django.db.models import Q, Sum

from billing import clock, outbox
from billing.models import UsageDay, UsageEvent


def differences(day: date) -> list[str]:
    """One line for each counter of that day that its receipts do not add up to; a key's counters are checked by its account's."""
    wrong = []
    charged, held = (
        _by_subject(day, ~Q(state=UsageEvent.State.OPEN), "charged"),
        _by_subject(day, Q(state=UsageEvent.State.OPEN), "reserved"),
    )
    rows = UsageDay.objects.filter(day=day).exclude(subject__startswith="key:")
    for row in rows.iterator():
        name = (row.subject, row.usage_class)
        used, reserved = charged.pop(name, 0), held.pop(name, 0)
        if (row.used, row.reserved) != (used, reserved):
            wrong.append(f"{row.subject} {row.usage_class} {day}: counted {row.used} (+{row.reserved}), receipts say {used} (+{reserved})")
    left = {name: tokens for sums in (charged, held) for name, tokens in sums.items() if tokens}
    return wrong + [f"{subject} {klass} {day}: receipts of {tokens} without a counter" for (subject, klass), tokens in left.items()]


def _by_subject(day: date, condition: Q, column: str) -> dict[tuple[str, str], int]:
    rows = UsageEvent.objects.filter(condition, day=day).values_list("subject", "usage_class").annotate(tokens=Sum(column))
    return {(subject, klass): tokens for subject, klass, tokens in rows.order_by()}


def audit() -> list[str]:
    """Compare yesterday's books, and tell the operators what does not agree. Returns the differences."""
    day = clock.now().date() - timedelta(days=1)
    wrong = differences(day)
    if wrong:
        lines = "\n".join(wrong[:50])
        body = f"{len(wrong)} counters of {day} do not agree with their receipts, which are the truth.\n\n{lines}\n"
        outbox.tell_operators(f"The books of {day} do not agree", body, f"audit:{day}")
    return wrong
