"""manage.py serve: the production server."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from billing import webhooks
from triforce.serve import serve
from triforce.simulator import PaymentSimulator


class Command(BaseCommand):
    help = "Serve TriForce. Behind a proxy on another host, give --host 0.0.0.0."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=settings.PORT, help="0 takes a free one")
        parser.add_argument("--workers", type=int, default=1, help="more than one needs REDIS_URL")
        parser.add_argument("--prepare", action="store_true", help="migrate and seed first, as `make run` does")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["prepare"]:
            call_command("migrate", verbosity=0)
            call_command("seed", verbosity=0)
        with ExitStack() as stack:
            if settings.SIMULATED:
                simulator = stack.enter_context(PaymentSimulator())
                call_command("sync_stripe", stdout=StringIO())
                simulator.send_events_to(f"http://127.0.0.1:{options['port']}{urlsplit(webhooks.endpoint().url).path}", webhooks.EVENTS)
            code = serve(options["host"], options["port"], max(1, options["workers"]))
        sys.exit(code)
