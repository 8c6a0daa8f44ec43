"""Background work without Redis: a Celery worker and its clock in two threads of the web process.

The queue is in memory and lost with the process. That is harmless: the clock asks again, and whatever must survive is a database row.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery.beat import Scheduler
from celery.exceptions import WorkerShutdown
from celery.signals import task_postrun
from celery.worker import WorkController, state
from django.conf import settings
from django.db import connections

from triforce.celery import app, send_first

log = logging.getLogger(__name__)
STOP_SECONDS = 10.0
_lock = threading.Lock()
_running: Embedded | None = None


class Embedded:
    """The two threads. They are daemons: a task that hangs does not keep the process."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.worker = WorkController(
            app=app,
            hostname="embedded@localhost",
            pool_cls="solo",
            concurrency=1,
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
        )
        self.threads = [
            threading.Thread(target=self._work, name="celery-worker", daemon=True),
            threading.Thread(target=self._tick, name="celery-beat", daemon=True),
        ]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        self.stopping.set()
        state.should_stop = 0  # the worker looks at it after each poll of the queue
        for _ in range(2):  # it polls once more on its way out; a task that does nothing ends each poll
            app.send_task("celery.accumulate")
        for thread in self.threads:
            thread.join(STOP_SECONDS)
        state.should_stop = None

    def _work(self) -> None:
        task_postrun.connect(_give_connections_back)
        try:
            self.worker.start()
        except (WorkerShutdown, SystemExit):
            log.debug("The embedded worker has stopped.")
        finally:
            task_postrun.disconnect(_give_connections_back)

    def _tick(self) -> None:
        send_first()
        scheduler = Scheduler(app=app)
        while not self.stopping.wait(min(scheduler.tick(), 1.0)):
            pass


def _give_connections_back(**_: Any) -> None:
    connections.close_all()


def start() -> None:
    """Run the background work in this process, unless real workers on Redis do. Idempotent."""
    global _running
    with _lock:
        if _running is None and not settings.REDIS_URL:
            _running = Embedded()
            _running.start()


def stop() -> None:
    """End it after the task that runs now. Idempotent."""
    global _running
    with _lock:
        if _running is not None:
            _running.stop()
            _running = None
