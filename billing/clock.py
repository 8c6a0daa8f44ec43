"""The one clock of the meter. The day is a UTC day, taken once, when a request is admitted."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta


def now() -> datetime:
    """This moment, aware, in UTC."""
    return datetime.now(UTC)


def resets_at(day: date) -> datetime:
    """When that day's counters start anew: the next midnight UTC."""
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def stamp(moment: datetime) -> str:
    """ISO 8601 with a Z, as every body, header and page shows it."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
