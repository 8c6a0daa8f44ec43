"""The one border between async code and the database: each step of a chat does its database work in one hop.

Our own threads keep their connections, so a hop costs no connecting and a chat holds no connection while it streams.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.utils import translation

from billing import patience
from billing.errors import ServiceUnavailable

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)
UNDONE = frozenset({"40001", "40P01", "55P03"})  # for another's sake: not serializable, a deadlock, no lock
TOO_LONG = "57014"
IDLE_SECONDS = 1.0
PATIENCE_SECONDS = 10.0  # a chat's statements take milliseconds
_thread = threading.local()
_lock = threading.Lock()
_threads: ThreadPoolExecutor | None = None
_away = float("-inf")  # when it was last found away, by time.monotonic()
_down = False  # no connection could be made: one thread tries at a time, and whoever needs another is refused at once
_trying = threading.Lock()


def _executor() -> ThreadPoolExecutor:
    global _threads
    if _threads is None:
        with _lock:
            if _threads is None:
                _threads = ThreadPoolExecutor(settings.DB_THREADS, "database", patience.wait_for, (PATIENCE_SECONDS,))
    return _threads


def guarded(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run it here; a database that is away is ServiceUnavailable, and its connection is dropped so that the next call makes a new one."""
    global _away, _down
    try:
        result = function(*args, **kwargs)
    except (OperationalError, InterfaceError) as error:
        if sqlstate(error) in UNDONE | {TOO_LONG}:
            log.warning("The database ended what was at work: %s", error)
            raise ServiceUnavailable(headers={"Retry-After": "1"}) from error
        _away, _down = time.monotonic(), connection.connection is None
        connection.close()
        raise _unavailable() from error
    except DatabaseError:
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        raise
    _down = False
    return result


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's name for an error of Django's; None where it is not the server's word."""
    return getattr(error.__cause__, "sqlstate", None)


def tried_again(function: Callable[P, T]) -> Callable[P, T]:
    """A function that is one transaction, tried three times where the database undoes it; within another, only that one can be."""

    @wraps(function)
    def trying(*args: P.args, **kwargs: P.kwargs) -> T:
        for _turn in range(2):
            try:
                return function(*args, **kwargs)
            except OperationalError as error:
                if connection.in_atomic_block or sqlstate(error) not in UNDONE:
                    raise
            time.sleep(random.uniform(0.01, 0.05))  # the other goes first
        return function(*args, **kwargs)

    return trying


def _unavailable() -> ServiceUnavailable:
    return ServiceUnavailable(headers={"Retry-After": "5"})


def away_within(seconds: float) -> bool:
    """Did this process find the database away in the last `seconds`?"""
    return time.monotonic() - _away < seconds


def wait_for_locks(seconds: int) -> None:
    """In the running transaction nobody's lock is waited for longer than this; then it is OperationalError. SQLite has its own limit."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{seconds}s"])


async def in_database(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run synchronous database work in one of our threads. Raises ServiceUnavailable where the database is away."""
    loop, language = asyncio.get_running_loop(), translation.get_language()
    return await loop.run_in_executor(_executor(), lambda: _hop(language, function, *args, **kwargs))


async def to_the_end(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """in_database() for work that what follows builds upon: a caller that is cancelled meanwhile leaves only once the work is done."""
    work = asyncio.ensure_future(in_database(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.gather(work, return_exceptions=True)
        raise


def _hop(language: str | None, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """One hop, in a database thread and the request's language. A connection that was idle may have died: it is looked at first."""
    now = time.monotonic()
    if now - getattr(_thread, "used", now) > IDLE_SECONDS and connection.connection is not None and not connection.is_usable():
        connection.close()
    translation.activate(language or settings.LANGUAGE_CODE)
    tries = _down and connection.connection is None
    if tries and not _trying.acquire(blocking=False):
        raise _unavailable()
    try:
        return guarded(function, *args, **kwargs)
    except StopIteration as error:
        raise RuntimeError("StopIteration in database work") from error  # a Future cannot hold one: its waiter would wait for ever
    finally:
        if tries:
            _trying.release()
        _thread.used = time.monotonic()


def close() -> None:
    """Give the threads' connections back; at shutdown and between tests."""
    global _threads
    with _lock:
        if _threads is None:
            return
        barrier = threading.Barrier(settings.DB_THREADS)

        def give_back() -> None:
            barrier.wait(5)  # one call a thread
            connection.close()

        for future in [_threads.submit(give_back) for _ in range(settings.DB_THREADS)]:
            future.result()
        _threads.shutdown()
        _threads = None
