"""The user of a session cookie, for doors that stand in front of Django's session middleware."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest


def user_of_cookies(cookies: Mapping[str, str]) -> Any:
    """As session_user(), for what is no request of Django's."""
    request = HttpRequest()
    request.COOKIES = dict(cookies)
    return session_user(request)


def session_user(request: HttpRequest) -> Any:
    """The signed-in user of a request's cookie, or None: a session that has ended leaves a guest. Asks the database."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    request.session = store(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    user = get_user(request)
    return user if user.is_authenticated else None
