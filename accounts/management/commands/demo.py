"""manage.py demo"""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.keys import create_key
from accounts.models import User
from billing.grants import grant
from billing.models import Tier
from billing.tiers import all_tiers


class Command(BaseCommand):
    help = "Make demo accounts, one a tier, and print their keys once. For development only."

    def handle(self, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("Demo accounts are for development: this needs DEBUG=on.")
        for tier in all_tiers():
            if not tier.is_guest:
                self._make(tier)

    def _make(self, tier: Tier) -> None:
        email = f"{tier.slug}@demo.example"
        if User.objects.filter(email=email).exists():
            self.stdout.write(f"{email} exists already; manage.py create_key {email} makes another key.")
            return
        password = secrets.token_urlsafe(12)
        user = User.objects.create_user(email, password, name=f"Demo {tier.name}")
        user.trust_email()
        grant(user, tier, note="demo")
        _key, plain = create_key(user, name="demo")
        self.stdout.write(f"{email}  password {password}  key {plain}")
