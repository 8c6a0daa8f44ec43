"""What became of background tasks: when each last went well, and what it last failed with. One row a task."""

from __future__ import annotations

import logging
import time
import traceback
from typing import Any

from celery.signals import task_failure, task_success
from django.conf import settings
from django.db import DatabaseError
from django.db.models import F

from billing import clock

log = logging.getLogger(__name__)
PAUSE = 60.0  # seconds between two notes of a task's success: some run every few seconds
_noted: dict[str, float] = {}


def watch() -> None:
    """Note what becomes of every task that runs in this process."""
    task_success.connect(_went_well, dispatch_uid="task-state")
    task_failure.connect(_failed, dispatch_uid="task-state")


def _went_well(sender: Any = None, **_: Any) -> None:
    now = time.monotonic()
    if now - _noted.get(sender.name, float("-inf")) >= PAUSE:
        _noted[sender.name] = now
        _write(sender.name, succeeded=clock.now())


def _failed(sender: Any = None, exception: BaseException | None = None, **_: Any) -> None:
    _noted.pop(sender.name, None)  # its next success is news
    _write(sender.name, failed=clock.now(), failures=F("failures") + 1, error=described(exception))


def described(error: BaseException | None) -> str:
    """The error's kind, where our code met it, and where it arose. Its words may quote a person or a secret; the log has them, redacted."""
    frames = traceback.extract_tb(error.__traceback__) if error else []
    ours = [frame for frame in frames if frame.filename.startswith(str(settings.BASE_DIR)) and "site-packages" not in frame.filename]
    places = dict.fromkeys(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in (*ours[-1:], *frames[-1:]))
    return f"{type(error).__name__} at {', in '.join(places) or '?'}"[:300]


def _write(task: str, **values: Any) -> None:
    from triforce.models import TaskState

    try:
        row, _made = TaskState.objects.get_or_create(task=task)
        TaskState.objects.filter(pk=row.pk).update(**values)
    except DatabaseError:  # that the database is away is what the task itself failed with
        log.warning("The state of %s could not be noted.", task)
