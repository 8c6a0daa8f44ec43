"""The user of a session cookie, for doors that stand in front of Django's session middleware."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user
from django.http import HttpRequest

from accounts.errors import ReadOnly, SessionEnded
from accounts.impersonation import KEY


def user_of_cookies(cookies: Mapping[str, str]) -> Any:
    """As session_user(), for what is no request of Django's."""
    request = HttpRequest()
    request.COOKIES = dict(cookies)
    return session_user(request)


def session_user(request: HttpRequest) -> Any:
    """The signed-in user of a request's cookie, or None where it never was anybody's. Asks the database.

    Raises SessionEnded where the session is over, and ReadOnly where somebody of the staff looks at another's account in it.
    """
    store = import_module(settings.SESSION_ENGINE).SessionStore
    request.session = store(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    user = get_user(request)
    if user.is_authenticated and KEY in request.session:
        raise ReadOnly
    refuse_ended(request, user)
    return user if user.is_authenticated else None


def refuse_ended(request: HttpRequest, user: Any) -> None:
    """Raises SessionEnded where `user`, of the request's cookie, is nobody because the session or its user is gone.

    Nobody becomes a guest unawares; a session that never was anybody's (a sign-in under way) is a guest's own.
    """
    if settings.SESSION_COOKIE_NAME not in request.COOKIES or user.is_authenticated:
        return
    if SESSION_KEY in request.session or request.session.session_key is None:
        raise SessionEnded
