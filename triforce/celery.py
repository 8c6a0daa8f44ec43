"""Celery: what runs in the background and when. On Redis by real workers, else by triforce.embedded within the web process."""

from __future__ import annotations

import logging
import os
from typing import Any

from celery import Celery
from celery.schedules import crontab
from celery.signals import setup_logging, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "triforce.settings")

from django.conf import settings

log = logging.getLogger(__name__)
app = Celery("triforce")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

EVERY: dict[str, float] = {  # seconds
    "billing.tasks.send_outbox": 5,
    "billing.tasks.sweep_expired": 30,
    "llm.tasks.sweep_turns": 30,
    "billing.tasks.roll_up": 60,
    "billing.tasks.sync_stripe": 60,
    "billing.tasks.carry_out_declarations": 60,
    "llm.tasks.check_availability": settings.AVAILABILITY_SECONDS,
    "llm.tasks.purge_temporary_files": 300,
    "accounts.tasks.purge_accounts": 3600,
    "billing.tasks.remind_subscribers": 3600,
}
DAILY: dict[str, crontab] = {  # UTC
    "llm.tasks.sync_catalogue": crontab(hour="3", minute="17"),
    "billing.tasks.audit_books": crontab(hour="0", minute="20"),
    "billing.tasks.purge_outbox": crontab(hour="3", minute="47"),
    "billing.tasks.reconcile_stripe": crontab(hour="2", minute="37"),
    "billing.tasks.purge_days": crontab(hour="3", minute="57"),
    "llm.tasks.purge_conversations": crontab(hour="4", minute="7"),
    "llm.tasks.alert_operators": crontab(hour="*", minute="5"),
    "llm.tasks.purge_answers": crontab(hour="*", minute="50"),
    "llm.tasks.note_models": crontab(hour="*", minute="35"),
}
AT_START = (
    "billing.tasks.sweep_expired",
    "llm.tasks.sweep_turns",
    "llm.tasks.check_availability",
    "llm.tasks.purge_temporary_files",
    "accounts.tasks.purge_accounts",
    "billing.tasks.purge_outbox",
)


def _entry(task: str, schedule: float | crontab, expires: float) -> dict[str, Any]:
    """`expires`: a worker that was away finds one of each, and not a day of them."""
    return {"task": task, "schedule": schedule, "options": {"expires": expires}}


app.conf.beat_schedule = {task: _entry(task, seconds, max(seconds, 30)) for task, seconds in EVERY.items()}
app.conf.beat_schedule |= {task: _entry(task, at, 3600) for task, at in DAILY.items()}


def send_first() -> None:
    """Ask for what should not wait for its first turn, and for what was missed while nothing ran."""
    for name in dict.fromkeys((*AT_START, *_missed())):
        app.send_task(name)


def _missed() -> list[str]:
    from django.db import DatabaseError, connection

    from billing import clock
    from triforce import schedule

    try:
        return [row.task for row in schedule.overdue(clock.now())]
    except DatabaseError:  # it is away; the front page says what is overdue
        log.warning("What was missed could not be read.")
        return []
    finally:
        connection.close()


@setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """settings.LOGGING holds for workers too, with its redaction."""


@worker_ready.connect
def on_worker_ready(**_: Any) -> None:
    send_first()
