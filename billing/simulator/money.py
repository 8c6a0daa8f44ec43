"""The arithmetic: periods, prorations, taxes. Whole cents and whole seconds, nothing of the store."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from fractions import Fraction

VAT = {"AT": 20, "BE": 21, "BG": 20, "CY": 19, "CZ": 21, "DE": 19, "DK": 25, "EE": 24, "ES": 21, "FI": 25.5, "FR": 20, "GR": 24}
VAT |= {"HR": 25, "HU": 27, "IE": 23, "IT": 22, "LT": 21, "LU": 17, "LV": 21, "MT": 18, "NL": 21, "PL": 23, "PT": 23, "RO": 21}
VAT |= {"SE": 25, "SI": 22, "SK": 23}
HOME = "DE"
UNITS = {"day": timedelta(days=1), "week": timedelta(weeks=1)}


def rounded(value: Fraction) -> int:
    """To whole cents, half away from zero."""
    sign = -1 if value < 0 else 1
    return sign * int(abs(value) + Fraction(1, 2))


def after(anchor: int, interval: str, count: int, periods: int) -> int:
    """The end of so many periods from the anchor. A month without the anchor's day ends on its last."""
    start = datetime.fromtimestamp(anchor, UTC)
    if interval in UNITS:
        return int((start + UNITS[interval] * count * periods).timestamp())
    months = start.month - 1 + count * periods * (12 if interval == "year" else 1)
    year, month = start.year + months // 12, months % 12 + 1
    return int(start.replace(year=year, month=month, day=min(start.day, calendar.monthrange(year, month)[1])).timestamp())


def period_end(anchor: int, interval: str, count: int, start: int) -> int:
    """The first end of a period, counted from the anchor, that comes after `start`."""
    days = {"day": 1, "week": 7, "month": 31, "year": 366}[interval] * count
    periods = max(1, (start - anchor) // (86_400 * days))
    while after(anchor, interval, count, periods) <= start:
        periods += 1
    return after(anchor, interval, count, periods)


def share(amount: int, moment: int, start: int, end: int) -> int:
    """The part of `amount` for what is left of a period at `moment`, by the second."""
    return rounded(Fraction(amount * max(0, end - moment), end - start)) if end > start else 0


def tax_within(amount: int, percentage: float) -> int:
    """The tax that a price contains."""
    rate = Fraction(str(percentage))
    return rounded(amount * rate / (100 + rate))


def tax_upon(amount: int, percentage: float) -> int:
    """The tax that comes on top of a price."""
    return rounded(amount * Fraction(str(percentage)) / 100)


def percentage(country: str | None, business: bool) -> float:
    """VAT in percent as a German seller owes it: its own rate at home, reverse charge for businesses elsewhere in the EU."""
    country = country or HOME
    if country not in VAT or (business and country != HOME):
        return 0
    return VAT[country]
