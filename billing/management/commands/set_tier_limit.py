"""manage.py set_tier_limit TIER [--daily-tokens N] [--requests-per-minute N] [--concurrency N]"""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.errors import InvalidRequest
from billing.models import Tier
from billing.tiers import get_tier

LIMITS = ("daily_tokens", "requests_per_minute", "concurrency")


def _limit(text: str) -> int:
    if not text.isdecimal() or int(text) > 2**31 - 1:
        raise ArgumentTypeError(f"expected a whole number from 0 to {2**31 - 1}, not {text!r}")
    return int(text)


class Command(BaseCommand):
    help = "Change a tier's limits; 0 = none. Holds in every process within 2 seconds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tier")
        for name in LIMITS:
            parser.add_argument(f"--{name.replace('_', '-')}", type=_limit, metavar="N")

    def handle(self, *, tier: str, **options: Any) -> None:
        changes = {name: options[name] for name in LIMITS if options[name] is not None}
        if not changes:
            raise CommandError("Say which limit: --daily-tokens, --requests-per-minute or --concurrency.")
        try:
            row = Tier.objects.get(pk=get_tier(tier).pk)
        except InvalidRequest as error:
            raise CommandError(str(error)) from None
        for name, value in changes.items():
            setattr(row, name, value)
        row.save(update_fields=list(changes))
        self.stdout.write(f"{row.slug}: " + ", ".join(f"{name} {getattr(row, name) or 'no limit'}" for name in LIMITS))
