"""manage.py sync_stripe"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from billing import price_list, webhooks
from billing.errors import PaymentUnavailable


class Command(BaseCommand):
    help = "Bring Stripe's products, prices and customer portal up to date with the tiers. As often as you like."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.STRIPE_SECRET_KEY:
            raise CommandError("Set STRIPE_SECRET_KEY: without it nothing is sold.")
        try:
            for line in price_list.bring_up_to_date():
                self.stdout.write(line)
        except PaymentUnavailable as error:
            raise CommandError(f"Stripe refused: {error.__cause__}") from None
        endpoint = webhooks.endpoint()
        self.stdout.write(f"Stripe's events are taken at {endpoint.url}. It must be sent: {', '.join(webhooks.EVENTS)}.")
