"""API keys: tf_live_ + 30 random base62 characters + 6 that are their CRC32, so that a mistyped key never costs a query."""

from __future__ import annotations

import hashlib
import secrets
import string
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.errors import Conflict
from accounts.models import ApiKey, User

PREFIX = "tf_live_"
SCOPES = ("chat", "mcp", "memory", "usage")
MOST_KEYS = 100  # live ones an account
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM, _CHECK = 30, 6


def new_key() -> str:
    """A new key, in plain text."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return PREFIX + random + _checksum(random)


def is_well_formed(key: str) -> bool:
    """Could this be a key at all? Asks no database."""
    random, check = key[len(PREFIX) : -_CHECK], key[-_CHECK:]
    return key.startswith(PREFIX) and len(random) == _RANDOM and key.isascii() and _checksum(random) == check


def digest_of(key: str) -> str:
    """What is stored of a secret: its SHA-256. Random secrets this long need no slow hash."""
    return hashlib.sha256(key.encode()).hexdigest()


def hint_of(key: str) -> str:
    """What the owner recognises a key by."""
    return f"{key[: len(PREFIX) + 3]}…{key[-4:]}"


def create_key(
    user: User,
    *,
    name: str,
    scopes: Iterable[str] = SCOPES,
    models: Iterable[str] = (),
    daily_tokens: int = 0,
    expires: datetime | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its plain text, which is nowhere to be had again. daily_tokens 0 = no limit of its own. Raises Conflict."""
    if live_keys(user).count() >= MOST_KEYS:
        raise Conflict(_("There are %(most)s keys already; delete one first.") % {"most": MOST_KEYS})
    plain = new_key()
    row: dict[str, Any] = {"name": name, "scopes": sorted(set(scopes)), "models": list(models), "daily_tokens": daily_tokens}
    key = ApiKey.objects.create(user=user, digest=digest_of(plain), hint=hint_of(plain), expires=expires, **row)
    return key, plain


@transaction.atomic
def rotate(key: ApiKey, *, grace: timedelta = timedelta()) -> tuple[ApiKey, str]:
    """A successor with the same rights; the old key works for `grace` more, or until its own end if that is sooner."""
    if not grace:
        revoke(key)  # first: it makes room for its successor
    successor, plain = create_key(
        key.user, name=key.name, scopes=key.scopes, models=key.models, daily_tokens=key.daily_tokens, expires=key.expires
    )
    end = timezone.now() + grace
    if grace and (key.expires is None or key.expires > end):
        key.expires = end
        key.save(update_fields=["expires"])
    return successor, plain


def revoke(key: ApiKey) -> None:
    """Dead at the next request."""
    key.revoked = True
    key.save(update_fields=["revoked"])


def live_keys(user: User) -> QuerySet[ApiKey]:
    """The account's keys that still work."""
    return ApiKey.objects.filter(Q(expires=None) | Q(expires__gt=timezone.now()), user=user, revoked=False)


def _checksum(random: str) -> str:
    number = zlib.crc32(random.encode())
    digits = ""
    for _place in range(_CHECK):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
