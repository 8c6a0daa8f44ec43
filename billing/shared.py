"""Short-lived counters that all processes share: in Redis where REDIS_URL is set, else in this process.

Redis is for rates, slots and queues, never the truth about tokens. While it is away each process counts for itself, and tries it
again every second. What is shared is timed by Redis's clock alone, for those of two machines never agree.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import redis
from django.conf import settings

T = TypeVar("T")
log = logging.getLogger(__name__)
RETRY_SECONDS = 1.0
NOW = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
"""  # the beginning of a script that needs the time


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5, retry_on_timeout=False)


_scripts: dict[str, Any] = {}
_away_until = 0.0


def run(script: str, key: str, args: list[Any], otherwise: Callable[[], T]) -> T | Any:
    """The Lua script's answer on one key, or `otherwise()` where there is no Redis or it is away."""
    global _away_until
    if not settings.REDIS_URL or time.monotonic() < _away_until:
        return otherwise()
    try:
        if script not in _scripts:
            _scripts[script] = _client().register_script(script)
        return _scripts[script](keys=[f"triforce:{{{key}}}"], args=args)
    except redis.RedisError as error:
        log.warning("Redis is away (%s): counting in this process for now.", type(error).__name__)
        _away_until = time.monotonic() + RETRY_SECONDS
        return otherwise()
