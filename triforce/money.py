"""What must be true of Stripe's settings before anything is sold."""

from __future__ import annotations

import re

from django.core.exceptions import ImproperlyConfigured

STRIPE = "https://api.stripe.com"
KEY = re.compile(r"(?:sk|rk)_(?:test|live)_[a-zA-Z0-9]{24,}")
WEBHOOK_SECRET = re.compile(r"whsec_[a-zA-Z0-9+/=_-]{24,}")
LEAST_DIFFERENT_CHARACTERS = 12  # "whsec_xxxxxxxxxxxxxxxxxxxxxxxx" is an example


def check(key: str, webhook_secret: str, api_host: str, debug: bool) -> None:
    """Raises ImproperlyConfigured where somebody could be sold something with a forged event, or by a development server."""
    if not key:
        return
    if not KEY.fullmatch(key):
        raise ImproperlyConfigured("STRIPE_SECRET_KEY must be the secret key of your Stripe account: sk_test_… or sk_live_….")
    if debug and "_live_" in key:
        raise ImproperlyConfigured("STRIPE_SECRET_KEY is a live key, which DEBUG refuses: take a test key, or switch DEBUG off.")
    if api_host != STRIPE and "_live_" in key:
        raise ImproperlyConfigured("STRIPE_API_HOST is for tests: a live key goes to Stripe's own address alone.")
    if not webhook_secret:
        raise ImproperlyConfigured("Set STRIPE_WEBHOOK_SECRET (whsec_…): without it anybody could send an event that says they paid.")
    if not WEBHOOK_SECRET.fullmatch(webhook_secret) or len(set(webhook_secret[6:])) < LEAST_DIFFERENT_CHARACTERS:
        raise ImproperlyConfigured("STRIPE_WEBHOOK_SECRET is an example: copy the signing secret (whsec_…) of your webhook endpoint.")


def form_targets(key: str, api_host: str) -> list[str]:
    """Where a form of our pages may lead to, besides our own: the pages on which Stripe takes the money."""
    if not key:
        return []
    return [api_host] if api_host != STRIPE else ["https://checkout.stripe.com", "https://billing.stripe.com"]
