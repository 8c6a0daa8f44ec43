"""Is what a long connection was opened with still good? Asked once a second for all of a process's connections at once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.caller import Caller
from accounts.lookups import unexpired
from accounts.models import ApiKey, LoginToken, User


@dataclass(frozen=True, slots=True)
class Credential:
    """What a connection stands on. `password` is the stored hash: when it changes, sessions have ended."""

    user_id: int
    session_key: str = ""
    password: str = ""
    token_id: int | None = None
    key_id: int | None = None


def credential_of(caller: Caller, session_user: Any = None, session_key: str = "") -> Credential | None:
    """The caller's credential; None for a guest, who has none to lose."""
    if caller.user_id is None:
        return None
    if caller.carrier == "session":
        return Credential(caller.user_id, session_key, session_user.password)
    return Credential(caller.user_id, token_id=caller.token_id, key_id=caller.key_id)


def ended(credentials: Collection[Credential]) -> set[Credential]:
    """Those that hold no longer: signed out, revoked, expired, another password, the account off or gone. Asks the database."""
    people = dict(User.objects.filter(pk__in={one.user_id for one in credentials}, is_active=True).values_list("pk", "password"))
    sessions = _there(Session.objects.filter(expire_date__gt=timezone.now()), {one.session_key for one in credentials if one.session_key})
    tokens = _there(LoginToken.objects.filter(revoked=False, expires__gt=timezone.now()), {one.token_id for one in credentials})
    keys = _there(ApiKey.objects.filter(unexpired(), revoked=False), {one.key_id for one in credentials})
    return {
        one
        for one in credentials
        if one.user_id not in people
        or (one.session_key and (one.session_key not in sessions or people[one.user_id] != one.password))
        or (one.token_id is not None and one.token_id not in tokens)
        or (one.key_id is not None and one.key_id not in keys)
    }


def _there(rows: Any, wanted: set[Any]) -> set[Any]:
    wanted = wanted - {None}
    return set(rows.filter(pk__in=wanted).values_list("pk", flat=True)) if wanted else set()
