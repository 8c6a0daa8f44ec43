"""Bars of a chart, drawn by the server as SVG: 20 wide a day, 100 high."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TypeVar

Number = TypeVar("Number", int, float, Decimal)
WIDTH = 20


@dataclass(frozen=True, slots=True)
class Bar:
    day: date
    value: float
    x: int
    height: float

    @property
    def y(self) -> float:
        return 100 - self.height


@dataclass(frozen=True, slots=True)
class Chart:
    """One series over days."""

    title: str
    unit: str
    bars: tuple[Bar, ...]

    @property
    def width(self) -> int:
        return WIDTH * len(self.bars)

    @property
    def total(self) -> float:
        return sum(bar.value for bar in self.bars)


def chart(title: str, values: Mapping[date, Number], today: date, *, days: int = 30, unit: str = "") -> Chart:
    """The last `days`, today included, the oldest first; a day without a value is 0."""
    first = today - timedelta(days=days - 1)
    series = [(day, float(values.get(day, 0))) for day in (first + timedelta(days=number) for number in range(days))]
    most = max(value for _day, value in series) or 1
    bars = (Bar(day, value, WIDTH * number, round(100 * value / most, 2)) for number, (day, value) in enumerate(series))
    return Chart(title, unit, tuple(bars))
