"""The nightly look at our own books: a day's counters must be what its receipts add up to, and its charges what the providers reported."""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import date, timedelta

from django.db.models import F, Q, Sum
from django.db.models.functions import Greatest

from billing import clock, outbox
from billing.charges import Outcome
from billing.models import UsageDay, UsageEvent

log = logging.getLogger(__name__)
AS_REPORTED = (Outcome.ANSWERED, Outcome.CANCELLED)
DRIFT = 0.01  # of what was reported


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


def drifts(day: date) -> list[str]:
    """One line for each provider whose reports of that day are more than DRIFT away from what was charged for them, with its cause.

    Compared are the answers that are charged as reported, and whose provider did report. The tokens above what had been held for a
    request are ours to pay: how many those were stands in the log each night.
    """
    answers = UsageEvent.objects.filter(day=day, rule__in=AS_REPORTED, estimated=False).exclude(served_model="")
    actual = F("input_tokens") + F("output_tokens")
    sums = answers.values_list("served_model").annotate(
        reported=Sum(actual), charged_=Sum("charged"), above=Sum(Greatest(actual - F("reserved"), 0))
    )
    by_provider: dict[str, list[tuple[int, int, int, str]]] = defaultdict(list)
    for model, reported, charged, above in sums.order_by("served_model"):
        by_provider[model.partition("/")[0]].append((above, reported, charged, model))
    found = []
    for provider, models in by_provider.items():
        above, reported, charged = (sum(column) for column in zip(*(row[:3] for row in models), strict=True))
        log.info("%s reported %d tokens on %s, %d of them above what was held.", provider, reported, day, above)
        if abs(reported - charged) > DRIFT * reported:
            cause = f"{above} were above what had been held, most of them by {max(models)[3]}" if above else "the charges are wrong"
            found.append(f"{provider} {day}: reported {reported} tokens, charged {charged}: {cause}")
    return found


def audit() -> list[str]:
    """Compare yesterday's books, and tell the operators what does not agree. Returns the differences."""
    day = clock.now().date() - timedelta(days=1)
    if drifted := drifts(day):
        outbox.tell_operators(f"Providers reported other tokens on {day} than were charged", "\n".join(drifted) + "\n", f"drift:{day}")
    wrong = differences(day)
    if wrong:
        lines = "\n".join(wrong[:50])
        body = f"{len(wrong)} counters of {day} do not agree with their receipts, which are the truth.\n\n{lines}\n"
        outbox.tell_operators(f"The books of {day} do not agree", body, f"audit:{day}")
    return wrong + drifted
