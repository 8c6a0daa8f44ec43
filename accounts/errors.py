"""Refusals to do with who is asking.

ApiError
├── AmbiguousCredentials    400
├── Unauthorized            401, each with WWW-Authenticate: Bearer
│   ├── AuthenticationRequired
│   ├── InvalidToken
│   │   └── SessionEnded
│   ├── InvalidCredentials
│   └── MfaRequired
├── UserIdMismatch          403
├── InsufficientScope       403
├── ReadOnly                403
├── NotFound                404
└── Conflict                409
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from billing.errors import ApiError


class AmbiguousCredentials(ApiError):
    """400: two credentials that name two principals."""

    default_code = "ambiguous_credentials"
    default_detail = _("The request carries credentials of two different principals.")


class Unauthorized(ApiError):
    status_code = 401

    def __init__(self, detail: Any = None, *, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer", **(headers or {})}, **extra)


class AuthenticationRequired(Unauthorized):
    """401: a guest where an account is needed."""

    default_code = "authentication_required"
    default_detail = _("Please sign in: this needs an account.")


class InvalidToken(Unauthorized):
    """401: a credential that is wrong, expired or revoked; its bearer never becomes a guest silently."""

    default_code = "invalid_token"
    default_detail = _("The credential is not valid or has expired. Please sign in again.")


class SessionEnded(InvalidToken):
    """401: the cookie of a session that is over. It is taken back, so that the next request is a guest's who knows it."""

    def __init__(self) -> None:
        secure = "; Secure" if settings.SESSION_COOKIE_SECURE else ""
        gone = f"{settings.SESSION_COOKIE_NAME}=; Path={settings.SESSION_COOKIE_PATH}; Max-Age=0; HttpOnly; SameSite=Lax{secure}"
        super().__init__(headers={"Set-Cookie": gone})


class InvalidCredentials(Unauthorized):
    """401: the same for a wrong password and for an unknown address."""

    default_code = "invalid_credentials"
    default_detail = _("Invalid email or password")


class MfaRequired(Unauthorized):
    """401: the password was right, and the account has a second factor."""

    default_code = "mfa_required"
    default_detail = _("This account has a second factor: send its code too.")


class UserIdMismatch(ApiError):
    """403: X-User-ID names somebody else than the credential."""

    status_code = 403
    default_code = "user_id_mismatch"
    default_detail = _("X-User-ID names another user than the credential does.")


class InsufficientScope(ApiError):
    """403: the key does not open this."""

    status_code = 403
    default_code = "insufficient_scope"
    default_detail = _("The credential does not have the scope this needs.")


class ReadOnly(ApiError):
    """403: somebody of the staff looks at another's account; nothing is changed and no chat is opened meanwhile."""

    status_code = 403
    default_code = "read_only"
    default_detail = _("You are looking at somebody else's account: nothing can be changed, and what was said stays closed.")


class NotFound(ApiError):
    """404: not there, or somebody else's, which is the same."""

    status_code = 404
    default_code = "not_found"
    default_detail = _("There is nothing here.")


class Conflict(ApiError):
    """409: what is stored has moved on, or there is no more room."""

    status_code = 409
    default_code = "conflict"
    default_detail = _("The stored version is a newer one.")
