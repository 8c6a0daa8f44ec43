"""When the background tasks are due, and which of them have not run although they should have."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from triforce.celery import DAILY, EVERY
from triforce.models import TaskState

LATE = timedelta(minutes=5)  # a success is noted once a minute, and one worker does one thing after the other
LATE_BY_THE_CLOCK = timedelta(hours=1)  # for what runs at an hour of the day


def next_run(row: TaskState) -> datetime | None:
    """When the task is due after it last ran, or after it was first expected; None for one that nobody asks for regularly."""
    last = max(moment for moment in (row.since, row.succeeded, row.failed) if moment)
    if row.task in EVERY:
        return last + timedelta(seconds=EVERY[row.task])
    if row.task in DAILY:
        start, distance, _now = DAILY[row.task].remaining_delta(last)
        return start + distance
    return None


def overdue_since(row: TaskState, now: datetime) -> datetime | None:
    """Since when the task should have run; None where it is in time."""
    due = next_run(row)
    return due if due and now - due > (LATE if row.task in EVERY else LATE_BY_THE_CLOCK) else None


def overdue(now: datetime) -> list[TaskState]:
    """The tasks that should have run."""
    return [row for row in TaskState.objects.all() if overdue_since(row, now)]


def expect(tasks: Iterable[str] = (*EVERY, *DAILY)) -> None:
    """Have a row for each task of the schedule: from now on its runs are waited for. Idempotent."""
    TaskState.objects.bulk_create((TaskState(task=task) for task in tasks), ignore_conflicts=True)
