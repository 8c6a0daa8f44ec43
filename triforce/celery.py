"""Celery: what runs in the background and when. On Redis by real workers, else by triforce.embedded within the web process."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.schedules import crontab
from celery.signals import setup_logging, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "triforce.settings")

from django.conf import settings

app = Celery("triforce")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

EVERY: dict[str, float] = {  # seconds
    "billing.tasks.send_outbox": 5,
    "billing.tasks.sweep_expired": 30,
    "llm.tasks.sweep_turns": 30,
    "llm.tasks.check_availability": settings.AVAILABILITY_SECONDS,
    "accounts.tasks.purge_accounts": 3600,
}
DAILY: dict[str, crontab] = {  # UTC
    "llm.tasks.sync_catalogue": crontab(hour="3", minute="17"),
    "billing.tasks.audit_books": crontab(hour="0", minute="20"),
    "billing.tasks.purge_outbox": crontab(hour="3", minute="47"),
    "llm.tasks.purge_conversations": crontab(hour="4", minute="7"),
    "llm.tasks.alert_operators": crontab(hour="*", minute="5"),
    "llm.tasks.purge_answers": crontab(hour="*", minute="50"),
}
AT_START = (
    "billing.tasks.sweep_expired",
    "llm.tasks.sweep_turns",
    "llm.tasks.check_availability",
    "accounts.tasks.purge_accounts",
    "billing.tasks.purge_outbox",
)


def _entry(task: str, schedule: float | crontab, expires: float) -> dict[str, Any]:
    """`expires`: a worker that was away finds one of each, and not a day of them."""
    return {"task": task, "schedule": schedule, "options": {"expires": expires}}


app.conf.beat_schedule = {task: _entry(task, seconds, max(seconds, 30)) for task, seconds in EVERY.items()}
app.conf.beat_schedule |= {task: _entry(task, at, 3600) for task, at in DAILY.items()}


def send_first() -> None:
    """Ask for what should not wait for its first turn."""
    for name in AT_START:
        app.send_task(name)


@setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """settings.LOGGING holds for workers too, with its redaction."""


@worker_ready.connect
def on_worker_ready(**_: Any) -> None:
    send_first()
