"""The nightly look at what Stripe knows and we do not: events that never came, and subscriptions that stand otherwise there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import stripe
from django.conf import settings
from django.db import transaction
from djstripe.models import Event, WebhookEventTrigger

from billing import clock, outbox
from billing.entitlements import OVER
from billing.models import Subscription
from billing.stripe_api import client, plain
from billing.subscriptions import refresh
from billing.webhooks import EVENTS, handle

log = logging.getLogger(__name__)
LOOKS_BACK = timedelta(days=7)  # Stripe itself tries for three
KEPT = timedelta(days=30)


def reconcile() -> tuple[int, int]:
    """Handle the events that never came, then fetch every subscription that is not over: (events found, customers looked at).

    What fails is left out and told to the operators: one broken thing must not stand before all others every night.
    """
    if not settings.STRIPE_SECRET_KEY:
        return 0, 0
    unknown, running = _unknown_events(), _running()
    failed = [
        *(f"{one['id']} {one['type']}" for one in unknown if not _works(one["id"], partial(_handle, one))),
        *(customer_id for customer_id in running if not _works(customer_id, partial(refresh, customer_id))),
    ]
    ours = set(Event.objects.filter(id__in=[one["id"] for one in unknown]).exclude(data={}).values_list("id", flat=True))
    missed = [one for one in unknown if one["id"] in ours]
    _report(missed, failed)
    return len(missed), len(running)


def _unknown_events() -> list[dict[str, Any]]:
    """What Stripe made within LOOKS_BACK and we never handled, oldest first."""
    since = int((clock.now() - LOOKS_BACK).timestamp())
    everything = map(plain, client().events.list({"created": {"gte": since}, "limit": 100}).auto_paging_iter())
    listed = [one for one in everything if one["type"] in EVENTS]
    known = set(Event.objects.filter(id__in=[one["id"] for one in listed]).values_list("id", flat=True))
    return [one for one in reversed(listed) if one["id"] not in known]


def _handle(event: dict[str, Any]) -> None:
    """As if it had come: in a transaction of its own."""
    with transaction.atomic():
        handle(event)


def _running() -> list[str]:
    """Customers whose rows say that something is not over."""
    live = Subscription.objects.filter(source=Subscription.Source.STRIPE).exclude(status__in=OVER).exclude(customer_id="")
    return list(live.order_by("customer_id").values_list("customer_id", flat=True).distinct())


def _works(name: str, work: Callable[[], None]) -> bool:
    """Do it; where that fails the log says why, and the night goes on."""
    try:
        work()
    except stripe.StripeError as error:
        log.error("%s: %s %s, request %s", name, type(error).__name__, error.code or "", error.request_id or "-")
        return False
    except Exception:
        log.exception("%s cannot be looked at", name)
        return False
    return True


def _report(missed: list[dict[str, Any]], failed: list[str]) -> None:
    if missed:
        kinds = "\n".join(f"{one['id']} {one['type']}" for one in missed[:50])
        words = f"{len(missed)} events of Stripe's never came and were handled now. Look at the webhook endpoint there.\n\n{kinds}\n"
        outbox.tell_operators("Events of Stripe's never came", words, f"missed:{missed[-1]['id']}")
    if failed:
        words = "These could not be fetched or handled; the log says why.\n\n" + "\n".join(failed[:50]) + "\n"
        outbox.tell_operators("Some of Stripe's things cannot be read", words, f"unread:{clock.now():%Y-%m-%d}")


def purge_events() -> int:
    """Forget raw events older than KEPT: they hold names and addresses; the number forgotten."""
    before = clock.now() - KEPT
    triggers = WebhookEventTrigger.objects.filter(created__lt=before).delete()[0]
    return triggers + Event.objects.filter(djstripe_created__lt=before).delete()[0]
