"""The payment simulator behind the product: it plays Stripe, has our prices, and sends its events to the live server."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import stripe
from django.core.cache import cache
from django.core.management import call_command

from billing.webhooks import EVENTS
from tests.fakes.stripe import Simulator
from tests.server import LiveServer
from tests.stripe_rows import forget_stripes_records


@pytest.fixture
def simulator(live: LiveServer, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Simulator]:
    settings.PUBLIC_URL = live.url
    with Simulator(tmp_path) as simulator:
        settings.STRIPE_API_HOST = simulator.url
        monkeypatch.setattr(stripe, "api_base", simulator.url)
        directives = {**settings.CONTENT_SECURITY_POLICY["DIRECTIVES"], "form-action": ["'self'", simulator.url]}
        settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": directives}
        cache.clear()
        call_command("sync_stripe", stdout=StringIO())
        simulator.control("webhook", url=f"{live.url}/stripe/webhook", secret=settings.STRIPE_WEBHOOK_SECRET, events=EVENTS)
        yield simulator
        simulator.mode("drop")
        simulator.settle()
    forget_stripes_records()
