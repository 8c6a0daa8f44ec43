"""Log entries of desktop clients."""

from __future__ import annotations

from typing import Any

from accounts.models import ClientLog, User

LONGEST_MESSAGE = 10_000
LEVELS = ("DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL")  # what programs mostly say


def store_logs(user: User, entries: list[dict[str, Any]], client_info: dict[str, Any]) -> int:
    """How many were stored. An entry is any object; its level and message are read out for the operator's list."""
    logs = [
        ClientLog(user=user, level=_text(entry, "level", 10).upper(), message=_text(entry, "message", LONGEST_MESSAGE), entry=entry)
        for entry in entries
    ]
    for log in logs:
        log.client_info = client_info
    return len(ClientLog.objects.bulk_create(logs))


def _text(entry: dict[str, Any], name: str, longest: int) -> str:
    value = entry.get(name, "")
    return (value if isinstance(value, str) else str(value))[:longest]
