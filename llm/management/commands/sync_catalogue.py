"""Ask every provider which models it has now."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand

from llm.models import Provider
from llm.providers import is_on, transport
from llm.sync import Report, sync_all

COLUMNS = ("provider", "listed", "added", "changed", "missing", "returned", "problem")


class Command(BaseCommand):
    help = "Reads the model list of every provider that is set up, and updates the catalogue. Deletes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        reports = async_to_sync(transport.once)(sync_all())
        self.stdout.write(table(reports))
        off = [row.slug for row in Provider.objects.filter(enabled=True) if not is_on(row)]
        if off:
            self.stdout.write(f"Not set up: {', '.join(off)}.")


def table(reports: list[Report]) -> str:
    """The reports in columns."""
    rows = [COLUMNS, *(tuple(str(getattr(report, name)) for name in COLUMNS) for report in reports)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS) - 1)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip() for row in rows)
