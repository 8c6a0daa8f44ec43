"""The log of the staff, read: what was done and what changed, in words for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.core.exceptions import FieldDoesNotExist
from django.utils.translation import gettext_lazy as _

from billing.audited import diff, is_long

DONE = {  # what pages do, and no action of a list
    "grant": _("Give a tier"), "suspend": _("Suspend the account"), "reinstate": _("Reinstate the account"),
    "look": _("See the portal as they do"), "delete": _("Delete the account"), "sync": _("Take over its models"),
    "use": _("Approve and put into use"), "moved": _("Gave way to another"),
}  # fmt: skip
NOTED = {  # what is no column
    "tier": _("tier"), "grant": _("granted"), "until": _("until"), "reason": _("reason"), "in_use": _("price in use"), "added": _("added"),
    "changed": _("changed"), "missing": _("gone"), "returned": _("back"),
}  # fmt: skip


def parts(entry: LogEntry) -> list[dict[str, Any]]:
    """The entry's message as billing.audited writes it; other messages have no parts."""
    if not entry.change_message.startswith("["):
        return []
    try:
        found = json.loads(entry.change_message)
    except json.JSONDecodeError:
        return []
    return [part for part in found if isinstance(part, dict)]


def action_of(entry: LogEntry) -> str:
    """What was done."""
    named = next((str(part["action"]) for part in parts(entry) if "action" in part), "")
    if not named:
        return str(entry.get_action_flag_display())
    page = admin.site._registry.get(_model(entry))
    return str(getattr(getattr(page, named, None), "short_description", None) or DONE.get(named, named))


def changes(entry: LogEntry) -> Iterator[tuple[str, str | None, str | None, str]]:
    """(column, before, after, what differs) of each value; the last is "" for short ones, the middle two None where only it was kept."""
    for part in parts(entry):
        for name, kept in part.get("values", {}).items():
            if isinstance(kept, str):
                yield _column(entry, name), None, None, kept
            else:
                yield _column(entry, name), *kept, diff(*kept) if is_long(*kept) else ""


def _model(entry: LogEntry) -> Any:
    return entry.content_type.model_class() if entry.content_type else None


def _column(entry: LogEntry, name: str) -> str:
    """What the pages call it."""
    model = _model(entry)
    try:
        return str(model._meta.get_field(name).verbose_name) if model else str(NOTED.get(name, name))
    except (FieldDoesNotExist, AttributeError):  # no column, or one from the other side of a relation
        return str(NOTED.get(name, name))
