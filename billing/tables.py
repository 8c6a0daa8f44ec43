"""Tables to take along: CSV that no spreadsheet runs, made while it is sent."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse

from billing.db import in_database

ROWS = 5000  # a page: one short hop into the database each


def csv_response(name: str, columns: Sequence[str], rows: QuerySet[Any], *, last: str = "") -> StreamingHttpResponse:
    """A download `<name>.csv` of these rows, the newest first, with a line of headings; `last` is a line after them.

    No more than a page is ever in memory, and no connection is held while somebody reads slowly.
    """
    response = StreamingHttpResponse(_stream(columns, rows, last), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    response.headers["Cache-Control"] = "no-store"
    return response


async def _stream(columns: Sequence[str], rows: QuerySet[Any], last: str) -> AsyncIterator[bytes]:
    yield _lines([columns])
    before: int | None = None
    while page := await in_database(_page, columns, rows, before):
        before = page[-1][0]
        yield _lines(row[1:] for row in page)
    if last:
        yield _lines([[last]])


def _page(columns: Sequence[str], rows: QuerySet[Any], before: int | None) -> list[tuple[Any, ...]]:
    """The rows before that pk, with their pk."""
    older = rows if before is None else rows.filter(pk__lt=before)
    return list(older.order_by("-pk").values_list("pk", *columns)[:ROWS])


def _lines(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def cell(value: Any) -> Any:
    """A value that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
