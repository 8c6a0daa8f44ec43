"""Requests in a rolling window, counted exactly and atomically: model requests a minute, failed logins, sign-ups."""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from billing import shared
from billing.errors import RateLimited


@dataclass(frozen=True, slots=True)
class Verdict:
    """May it go on? `remaining` requests are left in this window; `retry_after` seconds until one more is."""

    allowed: bool
    remaining: int
    retry_after: int


_SCRIPT = f"""{shared.NOW}
local window, limit, count = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local held = redis.call('ZCARD', KEYS[1])
local allowed = held < limit
if allowed and count ~= '' then
  redis.call('ZADD', KEYS[1], now, count)
  redis.call('PEXPIRE', KEYS[1], math.ceil(window * 1000))
  held = held + 1
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] or now
return {{allowed and 1 or 0, held, tostring(oldest + window - now)}}
"""
_FORGET = "return redis.call('DEL', KEYS[1])"
_GIVE_BACK = "return redis.call('ZPOPMAX', KEYS[1])"

MANY, MOST = 50_000, 100_000  # keys of this process; a scan of addresses must not fill the memory
LOOK_SECONDS = 5.0


@dataclass(slots=True)
class _Window:
    seconds: int
    hits: deque[float] = field(default_factory=deque)


_windows: dict[str, _Window] = {}  # whoever was seen last stands last
_looked = 0.0
_lock = threading.Lock()


def hit(key: str, limit: int, seconds: int = 60) -> Verdict:
    """Count one request under `key`, unless `limit` of them fell into the last `seconds`. limit 0 = no limit."""
    return _look(key, limit, seconds, count=uuid.uuid4().hex)


def require(key: str, limit: int, seconds: int = 60, *, policy: str = "requests", detail: Any = None) -> None:
    """hit(), which must be allowed. Raises RateLimited, which says when there may be a next one."""
    verdict = hit(key, limit, seconds)
    if not verdict.allowed:
        raise RateLimited(
            detail,
            limit=limit,
            headers={
                "Retry-After": str(verdict.retry_after),
                "RateLimit-Policy": f'"{policy}";q={limit};w={seconds}',
                "RateLimit": f'"{policy}";r={verdict.remaining};t={verdict.retry_after}',
            },
        )


def blocked(key: str, limit: int, seconds: int = 60) -> Verdict:
    """The verdict on the next request, without counting one."""
    return _look(key, limit, seconds, count="")


def clear(key: str) -> None:
    """Forget what was counted under `key`."""

    def forget() -> None:
        with _lock:
            _windows.pop(key, None)

    forget()
    shared.run(_FORGET, f"rate:{key}", [], lambda: None)


def give_back(key: str) -> None:
    """Take the newest hit back: what was counted beforehand, so that parallel tries cannot slip by, turned out not to count."""

    def pop() -> None:
        with _lock:
            window = _windows.get(key)
            if window and window.hits:
                window.hits.pop()
            if window and not window.hits:
                del _windows[key]

    shared.run(_GIVE_BACK, f"rate:{key}", [], pop)


def _look(key: str, limit: int, seconds: int, count: str) -> Verdict:
    if not limit:
        return Verdict(True, 0, 0)
    args = [seconds, limit, count]
    allowed, held, wait = shared.run(_SCRIPT, f"rate:{key}", args, lambda: _look_here(key, limit, seconds, bool(count)))
    return Verdict(bool(allowed), max(0, limit - held), 0 if allowed else max(1, math.ceil(float(wait))))


def _look_here(key: str, limit: int, seconds: int, count: bool) -> tuple[bool, int, float]:
    """(allowed?, hits in the window, seconds until its oldest leaves it)"""
    now = time.time()
    with _lock:
        window = _windows.pop(key, None) or _Window(seconds)
        window.seconds, hits = seconds, window.hits
        while hits and hits[0] <= now - seconds:
            hits.popleft()
        allowed = len(hits) < limit
        if allowed and count:
            hits.append(now)
        if not hits:
            return allowed, 0, seconds
        _windows[key] = window
        if len(_windows) > MANY:
            _make_room(now)
        return allowed, len(hits), hits[0] + seconds - now


def _make_room(now: float) -> None:
    """Drop what no window counts any more, which is looked for now and then; and at the most whoever was longest not seen."""
    global _looked
    if abs(now - _looked) >= LOOK_SECONDS:
        _looked = now
        for key in [key for key, window in _windows.items() if window.hits[-1] <= now - window.seconds]:
            del _windows[key]
    while len(_windows) > MOST:
        del _windows[next(iter(_windows))]
