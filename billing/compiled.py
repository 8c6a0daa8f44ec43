"""Queries built once by the ORM and run many times: building one costs more than the database needs to answer it.

    by_digest = CompiledQuery(lambda digest: ApiKey.objects.filter(digest=digest).values_list("pk", "scopes"), str)
    row = by_digest.first("9f86…")

The queryset is built with a sentinel for each parameter; its SQL, where the sentinels stand among the parameters, and
the conversions of its columns are remembered for each kind of database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import QuerySet

_SENTINELS: dict[type, Callable[[int], Any]] = {
    str: lambda number: f"\x01parameter {number}\x01",
    int: lambda number: 9_007_199_254_740_000 + number,
}


@dataclass(frozen=True)
class _Plan:
    sql: str
    params: tuple[Any, ...]
    places: tuple[tuple[int, int], ...]  # (index among the SQL's parameters, index among ours)
    converters: tuple[tuple[int, Any, Any], ...]  # (column, functions, expression)


class CompiledQuery:
    """A `values_list` query whose parameters, of the types given, come with each call."""

    def __init__(self, build: Callable[..., QuerySet[Any, Any]], *types: type) -> None:
        self._build = build
        self._types = types
        self._plans: dict[str, _Plan] = {}

    def first(self, *values: Any) -> tuple[Any, ...] | None:
        """The first row, its columns as the ORM would give them, or None."""
        plan = self._plans.get(connection.vendor) or self._compile()
        params = list(plan.params)
        for place, number in plan.places:
            params[place] = values[number]
        with connection.cursor() as cursor:
            cursor.execute(plan.sql, params)
            row = cursor.fetchone()
        return None if row is None else _converted(row, plan)

    def _compile(self) -> _Plan:
        sentinels = [_SENTINELS[kind](number) for number, kind in enumerate(self._types)]
        query = self._build(*sentinels)[:1].query
        compiler = query.get_compiler(DEFAULT_DB_ALIAS)
        sql, params = compiler.as_sql()
        columns = [entry[0] for entry in compiler.select[: compiler.col_count]]
        converters = compiler.get_converters(columns)
        plan = _Plan(
            sql=sql,
            params=tuple(params),
            places=_places(params, sentinels),
            converters=tuple((column, functions, expression) for column, (functions, expression) in converters.items()),
        )
        self._plans[connection.vendor] = plan
        return plan


def _places(params: Sequence[Any], sentinels: list[Any]) -> tuple[tuple[int, int], ...]:
    places = tuple((place, sentinels.index(value)) for place, value in enumerate(params) if value in sentinels)
    missing = set(range(len(sentinels))) - {number for _, number in places}
    if missing:
        raise ValueError(f"The query does not use its parameters {sorted(missing)} as they are.")
    return places


def _converted(row: Sequence[Any], plan: _Plan) -> tuple[Any, ...]:
    values = list(row)
    for column, functions, expression in plan.converters:
        for convert in functions:
            values[column] = convert(values[column], expression, connection)
    return tuple(values)
