"""Circuit breakers: what failed five times in 30 s is left alone for 15 s; then one request may try it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

FAILURES = 5
WINDOW_SECONDS = 30.0
OPEN_SECONDS = 15.0


@dataclass
class Breaker:
    """closed ─5 failures in 30 s─▶ open ─15 s─▶ one probe ─▶ closed, or open again."""

    failures: deque[float] = field(default_factory=lambda: deque(maxlen=FAILURES))
    open_until: float = 0.0
    probing_until: float = 0.0

    def allows(self, now: float) -> bool:
        """May a request try it now?"""
        return not self.open_until or now >= max(self.open_until, self.probing_until)

    def probe(self, now: float) -> None:
        """A request tries it: where it is open, that is the one probe. One that never reports back blocks no longer than a new opening."""
        if self.open_until:
            self.probing_until = now + OPEN_SECONDS

    def failed(self, now: float) -> None:
        self.failures.append(now)
        probe_failed = bool(self.open_until)
        if probe_failed or (len(self.failures) == FAILURES and now - self.failures[0] <= WINDOW_SECONDS):
            self.open_until = now + OPEN_SECONDS
            self.probing_until = 0.0


class Breakers:
    """The breakers of one process: one a provider (is it there at all?) and one a model."""

    def __init__(self) -> None:
        self._breakers: dict[str, Breaker] = {}

    def allow(self, *names: str) -> bool:
        """May all of these be asked now? Where one was open, a yes makes this request its one probe."""
        now = time.monotonic()
        found = [self._breakers[name] for name in names if name in self._breakers]
        if not all(breaker.allows(now) for breaker in found):
            return False
        for breaker in found:
            breaker.probe(now)
        return True

    def succeeded(self, *names: str) -> None:
        """Closed again: forget what failed."""
        for name in names:
            self._breakers.pop(name, None)

    def failed(self, name: str) -> None:
        self._breakers.setdefault(name, Breaker()).failed(time.monotonic())

    def clear(self) -> None:
        self._breakers.clear()


breakers = Breakers()
