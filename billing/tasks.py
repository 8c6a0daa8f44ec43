"""The meter's background work. Each task may run twice or at the same time on two machines without harm."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings

from billing import audit, declarations, mails, outbox, price_list, quota, reconcile, rollup
from billing.db import guarded


@shared_task
def sweep_expired() -> None:
    """Settle the receipts of requests whose process died."""
    guarded(quota.sweep)


@shared_task
def roll_up() -> None:
    """Add up the receipts that were closed."""
    guarded(rollup.roll_up)


@shared_task
def purge_days() -> None:
    """Forget what single subjects used long ago."""
    rollup.purge()


@shared_task
def send_outbox() -> None:
    """Send the mails that are due."""
    outbox.send_due()


@shared_task
def audit_books() -> None:
    """Compare yesterday's counters with their receipts."""
    audit.audit()


@shared_task
def purge_outbox() -> None:
    """Forget old mails."""
    outbox.purge()


@shared_task
def remind_subscribers() -> None:
    """Warn those whose payment is missing before their tier pauses."""
    mails.remind()


@shared_task
def sync_stripe() -> None:
    """Sell at the prices that the admin has."""
    if settings.STRIPE_SECRET_KEY and price_list.is_behind():
        price_list.bring_up_to_date()


@shared_task
def carry_out_declarations() -> None:
    """Let contracts end that somebody cancelled without signing in."""
    declarations.carry_out_waiting()


@shared_task
def reconcile_stripe() -> None:
    """Repair what lost events left wrong, and forget old ones."""
    reconcile.purge_events()
    reconcile.reconcile()
