"""Places that are held while something runs: an account's concurrency, and the gate in front of an upstream account.

A gate lets in whoever has waited longest, where a tier's head start (seconds) counts as time already waited. So a higher tier
goes first, and nobody waits for ever: a head start is worth just so many seconds. A place is a lease: its process renews
it every few seconds, and a dead process's places come free by themselves.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from billing import shared

LEASE_SECONDS = 30
WAIT_SECONDS = 5  # a waiting request that has not asked for this long has gone

# held: member -> lease end; waiting: member -> its rank, which its first try gives it; seen: member -> last asked
_ENTER = f"""{shared.NOW}
local capacity, member, waited, wait = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local held, waiting, seen = KEYS[1], KEYS[1] .. ':waiting', KEYS[1] .. ':seen'
redis.call('ZREMRANGEBYSCORE', held, '-inf', now)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', now - {WAIT_SECONDS})) do
  redis.call('ZREM', waiting, gone)
  redis.call('ZREM', seen, gone)
end
redis.call('ZADD', waiting, 'NX', now - waited, member)
redis.call('ZADD', seen, now, member)
local position = redis.call('ZRANK', waiting, member) + 1
local free = capacity - redis.call('ZCARD', held)
local enters = position <= free
if enters or not wait then
  redis.call('ZREM', waiting, member)
  redis.call('ZREM', seen, member)
end
if enters then redis.call('ZADD', held, now + {LEASE_SECONDS}, member) end
for _, key in ipairs({{held, waiting, seen}}) do redis.call('EXPIRE', key, 120) end
if enters then return 0 end
return position
"""
_LEAVE = """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[1] .. ':waiting', ARGV[1])
return redis.call('ZREM', KEYS[1] .. ':seen', ARGV[1])
"""
_RENEW = f"""{shared.NOW}
redis.call('ZADD', KEYS[1], 'XX', now + {LEASE_SECONDS}, ARGV[1])
return redis.call('EXPIRE', KEYS[1], 120)
"""
_CROWD = "return {redis.call('ZCARD', KEYS[1]), redis.call('ZCARD', KEYS[1] .. ':waiting')}"


@dataclass
class _Place:
    """One process's own view of a set of slots."""

    held: dict[str, float] = field(default_factory=dict)
    waiting: dict[str, tuple[float, float]] = field(default_factory=dict)  # member -> (rank, last asked)


_places: dict[str, _Place] = {}
_lock = threading.Lock()


def enter(name: str, capacity: int, member: str, *, head_start: float = 0, came: float | None = None, wait: bool = False) -> int:
    """Take one of `capacity` places; 0 = held. Otherwise the 1-based place in the queue: ask again soon if you `wait`.

    `came` is when the request came (time.time()), the same in every try. capacity 0 = no limit, always held.
    """
    if not capacity:
        return 0
    now = time.time()
    rank = (now if came is None else came) - head_start
    args = [capacity, member, now - rank, int(wait)]
    return int(shared.run(_ENTER, f"slots:{name}", args, lambda: _enter_here(name, capacity, member, rank, wait, now)))


def leave(name: str, member: str) -> None:
    """Give the place back, or stop waiting for one. Harmless where none is held."""
    with _lock:
        place = _places.get(name)
        if place is not None:
            place.held.pop(member, None)
            place.waiting.pop(member, None)
            if not place.held and not place.waiting:
                del _places[name]
    shared.run(_LEAVE, f"slots:{name}", [member], lambda: None)


def renew(name: str, member: str) -> None:
    """Hold the place for another LEASE_SECONDS."""
    with _lock:
        place = _places.get(name)
        if place is not None and member in place.held:
            place.held[member] = time.time() + LEASE_SECONDS
    shared.run(_RENEW, f"slots:{name}", [member], lambda: None)


def crowd(name: str) -> tuple[int, int]:
    """(places held, requests that wait) just now; of the dead some too, for at most a lease."""

    def here() -> tuple[int, int]:
        with _lock:
            place = _places.get(name, _Place())
            return len(place.held), len(place.waiting)

    held, waiting = shared.run(_CROWD, f"slots:{name}", [], here)
    return int(held), int(waiting)


def _enter_here(name: str, capacity: int, member: str, rank: float, wait: bool, now: float) -> int:
    with _lock:
        place = _places.setdefault(name, _Place())
        place.held = {held: end for held, end in place.held.items() if end > now}
        place.waiting = {waiter: (r, asked) for waiter, (r, asked) in place.waiting.items() if asked > now - WAIT_SECONDS}
        place.waiting[member] = (rank, now)
        position = 1 + sum(other < (rank, member) for other in ((r, waiter) for waiter, (r, _) in place.waiting.items()))
        enters = position <= capacity - len(place.held)
        if enters or not wait:
            del place.waiting[member]
        if enters:
            place.held[member] = now + LEASE_SECONDS
        if not place.held and not place.waiting:
            del _places[name]
        return 0 if enters else position
