"""The line to Stripe: one client a process, and one error for whatever goes wrong on it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import stripe
from django.conf import settings

from billing.errors import PaymentUnavailable

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 20
RETRIES = 2  # of a call that got no answer; the SDK sends the same idempotency key again


def client() -> Any:
    """Stripe's API, version 1, with our key. Raises PaymentUnavailable where nothing is sold here."""
    if not settings.STRIPE_SECRET_KEY:
        raise PaymentUnavailable
    return _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_HOST).v1


@lru_cache(maxsize=4)
def _client(key: str, host: str) -> stripe.StripeClient:
    http = stripe.RequestsClient(timeout=TIMEOUT_SECONDS)
    return stripe.StripeClient(key, base_addresses={"api": host}, max_network_retries=RETRIES, http_client=http)


@contextmanager
def asking_stripe() -> Iterator[None]:
    """Within it a failure of Stripe's is PaymentUnavailable: the person hears one sentence, the log hears which one it was."""
    try:
        yield
    except stripe.StripeError as error:
        level = logging.WARNING if isinstance(error, stripe.APIConnectionError | stripe.RateLimitError) else logging.ERROR
        log.log(level, "Stripe refused: %s %s, request %s", type(error).__name__, error.code or "", error.request_id or "-")
        raise PaymentUnavailable from error


def plain(thing: Any) -> dict[str, Any]:
    """A Stripe object as the JSON that it came as."""
    found: dict[str, Any] = json.loads(str(thing))
    return found


def id_of(reference: Any) -> str:
    """Of an object that may be expanded or only named; "" where there is none."""
    if isinstance(reference, Mapping):
        return str(reference.get("id") or "")
    return str(reference or "")
