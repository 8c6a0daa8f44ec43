"""Shutting down: from SIGTERM on no new work is taken, and what runs has GRACE_SECONDS to end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

GRACE_SECONDS = 30.0

_until: float | None = None
_wakers: set[Callable[[], None]] = set()


def begin(seconds: float = GRACE_SECONDS) -> None:
    """Start to drain; safe to call twice and from a signal handler of the event loop."""
    global _until
    if _until is None:
        _until = time.monotonic() + seconds
        for wake in list(_wakers):
            wake()


def is_draining() -> bool:
    return _until is not None


def seconds_left() -> float:
    """How long running work still has; infinite where nobody drains."""
    return float("inf") if _until is None else max(0.0, _until - time.monotonic())


async def wait() -> None:
    """Return as soon as draining begins."""
    if _until is not None:
        return
    loop, begun = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(begun.set)

    _wakers.add(wake)
    try:
        await begun.wait()
    finally:
        _wakers.discard(wake)


def reset() -> None:
    """For tests: as if nobody had asked us to stop."""
    global _until
    _until = None
