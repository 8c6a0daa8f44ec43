"""manage.py create_key EMAIL [--name NAME] [--scopes chat,mcp,…]"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.errors import Conflict
from accounts.keys import SCOPES, create_key
from accounts.models import User, normalise_email


class Command(BaseCommand):
    help = "Print a new API key, once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="made in the shell")
        parser.add_argument("--scopes", default=",".join(SCOPES), help=f"comma-separated, of: {', '.join(SCOPES)}")

    def handle(self, *, email: str, name: str, scopes: str, **options: Any) -> None:
        user = User.objects.filter(email=normalise_email(email)).first()
        if user is None:
            raise CommandError(f"There is no account {email}.")
        wanted = {scope.strip() for scope in scopes.split(",") if scope.strip()}
        if not wanted or wanted - set(SCOPES):
            raise CommandError(f"Scopes are: {', '.join(SCOPES)}.")
        try:
            _key, plain = create_key(user, name=name[:80], scopes=wanted)
        except Conflict as error:
            raise CommandError(str(error)) from None
        self.stdout.write(plain)
