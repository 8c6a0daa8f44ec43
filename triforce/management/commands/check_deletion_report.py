"""`manage.py check_deletion_report FILE`: is that deletion report ours, and unchanged?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from triforce.privacy.deletion import is_ours


class Command(BaseCommand):
    help = "Say whether a deletion report that somebody shows is ours and unchanged."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            text = options["file"].read_text()
        except OSError as error:
            raise CommandError(str(error)) from None
        if not is_ours(text):
            raise CommandError("This report is not ours, or somebody changed it.")
        self.stdout.write("This report is ours and unchanged.")
