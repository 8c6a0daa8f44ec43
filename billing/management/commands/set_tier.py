"""manage.py set_tier EMAIL TIER"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.errors import InvalidRequest
from billing.grants import grant
from billing.tiers import get_tier, tier_for


class Command(BaseCommand):
    help = "Put an account on a tier without payment."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("tier")

    def handle(self, *, email: str, tier: str, **options: Any) -> None:
        user = get_user_model().objects.filter(email=email.strip().casefold()).first()
        if user is None:
            raise CommandError(f"There is no account {email}.")
        try:
            wanted = get_tier(tier)
        except InvalidRequest as error:
            raise CommandError(str(error)) from None
        if wanted.is_guest:
            raise CommandError(f"{wanted.slug} is the tier of callers without an account.")
        grant(user, wanted, note="set_tier")
        now = tier_for(user)
        self.stdout.write(f"{email} is on {now.slug}." + ("" if now == wanted else " A paid subscription gives more than the grant."))
