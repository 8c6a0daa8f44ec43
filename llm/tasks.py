"""The catalogue's background work."""

from __future__ import annotations

import asyncio

from celery import shared_task

from billing import clock, outbox
from billing.db import guarded
from llm import alerts, attachments, health, idempotency, listing, turns
from llm.checks import check_all
from llm.providers import transport
from llm.sync import sync_all


@shared_task
def check_availability() -> None:
    """Look at every provider that is due."""
    check_all()


@shared_task
def note_models() -> None:
    """Count how the models do."""
    health.note_models()


@shared_task
def alert_operators() -> None:
    """Tell what needs a person."""
    alerts.tell_of_providers()


@shared_task
def sync_catalogue() -> None:
    """Read every provider's model list."""
    for report in asyncio.run(transport.once(sync_all())):
        if report.problem:
            body = f"{report.problem}\n\nNothing was changed; `manage.py sync_catalogue` tries again at once.\n"
            outbox.tell_operators(
                f"The models of {report.provider} could not be read", body, f"sync:{report.provider}:{clock.now().date()}"
            )


@shared_task
def sweep_turns() -> None:
    """End the turns whose process died."""
    guarded(turns.sweep)


@shared_task
def purge_temporary_files() -> None:
    """Forget the files of temporary chats that are over."""
    attachments.purge_expired()


@shared_task
def purge_conversations() -> None:
    """Empty the bin, and forget what guests left and files that were never sent."""
    listing.purge()
    attachments.purge_unused()


@shared_task
def purge_answers() -> None:
    """Forget the answers kept for requests that are sent again."""
    idempotency.purge()
