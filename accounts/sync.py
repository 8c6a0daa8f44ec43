"""A client's settings: flat ones we can read, and an end-to-end encrypted copy we cannot."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.errors import Conflict
from accounts.models import User, UserSettings
from billing.errors import InvalidRequest

MOST_SETTINGS = 500
_COLUMNS = ("default_model", "brumo", "substitution", "quota_mails")  # settings the server itself reads


def settings_of(user: User) -> dict[str, Any]:
    """The flat settings, the server's own among them."""
    stored = UserSettings.objects.filter(user=user).values_list("values", flat=True).first() or {}
    return {**stored, **{name: getattr(user, name) for name in _COLUMNS}}


@transaction.atomic
def change_settings(user: User, values: dict[str, Any], *, merge: bool) -> dict[str, Any]:
    """The settings after it; without `merge` what is not named falls back to its default. Raises InvalidRequest."""
    stored = _locked(user)
    own = {name: value for name, value in values.items() if name not in _COLUMNS}
    stored.values = {**stored.values, **own} if merge else own
    if len(stored.values) > MOST_SETTINGS:
        raise InvalidRequest(_("There may be at most %(most)s settings.") % {"most": MOST_SETTINGS}, field="settings")
    stored.save(update_fields=["values"])
    fallback = user if merge else User()
    for name in _COLUMNS:
        setattr(user, name, values.get(name, getattr(fallback, name)))
    user.save(update_fields=_COLUMNS)
    return settings_of(user)


@transaction.atomic
def store_encrypted(user: User, *, encrypted_data: str, checksum: str, timestamp: str, revision: int | None) -> int:
    """The new revision. `revision` is the one the client saw last, None = whichever. Raises Conflict where it is not the last."""
    stored = _locked(user)
    if revision is not None and revision != stored.revision:
        raise Conflict(revision=stored.revision)
    stored.encrypted_data, stored.checksum, stored.timestamp = encrypted_data, checksum, timestamp
    stored.revision += 1
    stored.save(update_fields=["encrypted_data", "checksum", "timestamp", "revision"])
    return stored.revision


def _locked(user: User) -> UserSettings:
    UserSettings.objects.get_or_create(user=user)
    return UserSettings.objects.select_for_update().get(user=user)
