"""X-User-ID: never a credential. With one it must name the same user; alone it changes nothing and is never looked up."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from accounts.models import normalise_email
from billing.errors import InvalidRequest

_ABSENT = frozenset(("", "anonymous", "none", "null", "guest"))
_LONGEST = 254


def claimed_user(headers: Mapping[str, str]) -> str:
    """The header's value in its normal form, "" where it counts as absent. Raises InvalidRequest."""
    value = headers.get("x-user-id")
    if not value:
        return ""
    if len(value) > _LONGEST or "," in value or any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise InvalidRequest(_("X-User-ID must be one user id or e-mail address."), field="X-User-ID")
    claimed = normalise_email(value)
    return "" if claimed in _ABSENT else claimed
