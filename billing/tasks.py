"""The meter's background work. Each task may run twice or at the same time on two machines without harm."""

from __future__ import annotations

from celery import shared_task

from billing import audit, outbox, quota
from billing.db import guarded


@shared_task
def sweep_expired() -> None:
    """Settle the receipts of requests whose process died."""
    guarded(quota.sweep)


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
