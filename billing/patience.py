"""How long a thread waits for PostgreSQL, which may fall silent without hanging up: then nobody must hang with it.

The sockets' own limits (settings.DATABASES) notice a machine that is gone; this one a server that is there and says nothing.
"""

from __future__ import annotations

import threading

STATEMENT_SECONDS = 60  # after which PostgreSQL itself ends a statement
_thread = threading.local()


def wait_for(seconds: float | None) -> None:
    """Give every later statement of this thread so long. None = for ever."""
    _thread.seconds = seconds


def of_this_thread() -> float | None:
    """In seconds."""
    seconds: float | None = getattr(_thread, "seconds", STATEMENT_SECONDS + 15.0)
    return seconds
