"""The log of the staff, which outlives accounts: what was done stays, whoever did it and whomever it was done to is named no longer."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import make_password
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q

from accounts.models import User
from triforce.privacy.store import Rows, Store

FORMER_STAFF = "former staff"  # stands where an address does, and is none: nobody can sign up with it or be mailed at it


def hand_over(entries: Rows, alias: str) -> None:
    """Leave what somebody did to those who worked here once. Their account, which signs nobody in, is made when the first one leaves."""
    if entries.exists():
        entries.update(user=_former_staff())


def _former_staff() -> User:
    return User.objects.get_or_create(email=FORMER_STAFF, defaults={"is_active": False, "password": make_password(None)})[0]


def told_of(user: User) -> Rows:
    """What the log says about them: entries about their account, and entries about anything else that name an address of theirs."""
    address = _addresses(user)
    return LogEntry.objects.filter(_about(user) | Q(object_repr__iregex=address) | Q(change_message__iregex=address))


class Told(Store):
    """Of entries about the account it stays what was done, but not with which values; in others the address alone is taken out."""

    @property
    def stays(self) -> bool:
        return True

    def forget(self, user: User, alias: str) -> None:
        address = re.compile(_addresses(user), re.IGNORECASE)
        about = set(LogEntry.objects.filter(_about(user)).values_list("pk", flat=True))
        rows = list(self.of(user))
        for row in rows:
            if row.pk in about:
                row.object_id, row.object_repr, row.change_message = None, alias, _done(row.change_message)
            else:
                row.object_repr = address.sub(alias, row.object_repr)[:200]
                row.change_message = address.sub(alias, row.change_message)
        LogEntry.objects.bulk_update(rows, ["object_id", "object_repr", "change_message"], batch_size=500)


def _about(user: User) -> Q:
    return Q(content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk))


def _addresses(user: User) -> str:
    """A pattern, in what Python and PostgreSQL both understand, for their addresses as JSON and a query string write them.

    Whole ones: max@b.org is not x@b.org, and ends where a sentence does. A line's end is two characters of JSON.
    """
    known = {user.email, *EmailAddress.objects.filter(user=user).values_list("email", flat=True)}
    spellings = {spelling for one in known for spelling in (one, json.dumps(one)[1:-1], quote(one))}
    either = "|".join(re.escape(spelling) for spelling in sorted(spellings))
    return rf"(?:(?<![a-z0-9._%+-])|(?<=\\[nrt]))(?:{either})(?![a-z0-9_-]|\.[a-z0-9])"


def _done(message: str) -> str:
    """The action that an entry's message names, without anything else."""
    try:
        parts: Any = json.loads(message)
    except json.JSONDecodeError:
        return ""
    named = [{"action": part["action"]} for part in parts if isinstance(part, dict) and "action" in part] if isinstance(parts, list) else []
    return json.dumps(named) if named else ""
