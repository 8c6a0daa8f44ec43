"""Load the catalogue that ships with the code; as often as one likes."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from llm.snapshot import load_snapshot


class Command(BaseCommand):
    help = "Adds the providers, models and prices that ship with the code. Leaves what is there as it is."

    def handle(self, *args: Any, **options: Any) -> None:
        counts = load_snapshot()
        waiting = f", {counts.held} of them wait for approval" if counts.held else ""
        self.stdout.write(
            f"Catalogue: {counts.providers} providers, {counts.models} models "
            f"({counts.added} new, {counts.changed} changed), {counts.prices} new prices{waiting}."
        )
