"""Clocks of tests: time that goes by at once, and machines that do not agree on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.conf import settings

from billing import shared


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let so many seconds go by for rates and slots. Redis has a clock of its own: there, what it holds gets so much older."""
    was = time.time
    monkeypatch.setattr(time, "time", lambda: was() + seconds)
    if settings.REDIS_URL:
        client = shared._client()
        for key in client.scan_iter("triforce:*"):
            for member in client.zrange(key, 0, -1):
                client.zincrby(key, -seconds, member)


@contextmanager
def ahead(seconds: float) -> Iterator[None]:
    """On a machine whose clock is so much ahead."""
    was = time.time
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(time, "time", lambda: was() + seconds)
        yield
