"""Circuit breakers: what mostly fails is left alone for 15 s; then one request at a time may try it."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from dataclasses import dataclass, field

FAILURES = 5
SHARE = 0.5
WINDOW_SECONDS = 30.0
WINDOW_OUTCOMES = 20  # under load the newest ones speak: what is gone opens within ten failures, however well it did just before
OPEN_SECONDS = 15.0


@dataclass(slots=True)
class Breaker:
    """closed ─5 failures in 30 s, in a row or half of the outcomes─▶ open ─15 s─▶ one probe ─▶ closed, or open again.

    Once it is open only probes are listened to: a request that was let through before it opened tells old news.
    """

    outcomes: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=WINDOW_OUTCOMES))  # (when, did it work?)
    open_until: float = 0.0  # 0 = closed; each probe puts it off
    probes: list[str] = field(default_factory=list)  # the requests let through since it opened, newest last

    def probe(self, now: float, request: str) -> None:
        """A request tries it while it is open: the one probe. One that never reports back blocks no longer than a new opening."""
        self.probes.append(request)
        self.open_until = now + OPEN_SECONDS

    def succeeded(self, now: float, request: str) -> None:
        if not self.open_until:
            self.outcomes.append((now, True))
        elif request in self.probes:
            self._set(0.0)

    def failed(self, now: float, request: str) -> None:
        if self.open_until:
            if request in self.probes:
                self._set(now + OPEN_SECONDS)
            return
        self.outcomes.append((now, False))
        if self._fails(now):
            self._set(now + OPEN_SECONDS)

    def give_back(self, now: float, request: str) -> None:
        """That request says nothing more: where it is the probe that others wait for, the next one may try at once."""
        if request in self.probes:
            if request == self.probes[-1]:
                self.open_until = now
            self.probes.remove(request)

    def _fails(self, now: float) -> bool:
        recent = [worked for at, worked in self.outcomes if now - at <= WINDOW_SECONDS]
        failures = recent.count(False)
        return failures >= FAILURES and (failures >= SHARE * len(recent) or not any(recent[-FAILURES:]))

    def _set(self, open_until: float) -> None:
        self.open_until = open_until
        self.outcomes.clear()
        self.probes.clear()


class Breakers:
    """The breakers of one process: one a provider (is it there at all?) and one a model. A request is known by its id."""

    def __init__(self) -> None:
        self._breakers: defaultdict[str, Breaker] = defaultdict(Breaker)

    def allow(self, request: str, *names: str) -> bool:
        """May all of these be asked now? Where one was open, a yes makes this request its one probe: it gives back in the end."""
        found = [self._breakers[name] for name in names if self._breakers[name].open_until]
        if not found:
            return True
        now = time.monotonic()
        if any(now < breaker.open_until for breaker in found):
            return False
        for breaker in found:
            breaker.probe(now, request)
        return True

    def succeeded(self, request: str, *names: str) -> None:
        now = time.monotonic()
        for name in names:
            self._breakers[name].succeeded(now, request)

    def failed(self, request: str, name: str) -> None:
        self._breakers[name].failed(time.monotonic(), request)

    def give_back(self, request: str, *names: str) -> None:
        """The request is through with these. Where it was a probe and said nothing about their health, the next request is one."""
        for name in names:
            if self._breakers[name].probes:
                self._breakers[name].give_back(time.monotonic(), request)

    def clear(self) -> None:
        self._breakers.clear()


breakers = Breakers()
