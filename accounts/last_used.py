"""When a key was last used: written at most once a minute a key, so that reading stays reading."""

from __future__ import annotations

import time
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from accounts.models import ApiKey

MINUTE = 60.0
_written: dict[int, float] = {}  # key id -> when this process last wrote it


def touch(key_id: int) -> None:
    """Note that the key was used now."""
    now = time.monotonic()
    if now - _written.get(key_id, float("-inf")) < MINUTE:
        return
    if len(_written) > 10_000:
        _written.clear()
    _written[key_id] = now
    moment = timezone.now()
    stale = Q(last_used=None) | Q(last_used__lt=moment - timedelta(seconds=MINUTE))
    ApiKey.objects.filter(stale, pk=key_id).update(last_used=moment)
