"""The cast and its clients. Each client has a network address of its own, so that no test feels another's rate limits."""

from __future__ import annotations

import itertools
from typing import Any

from rest_framework.test import APIClient

from accounts.keys import create_key
from accounts.models import User
from accounts.tokens import issue_token

PASSWORD = "a long enough passphrase"
_addresses = itertools.count(1)


def make_user(email: str = "alice@example.org", **fields: Any) -> User:
    return User.objects.create_user(email, PASSWORD, **fields)


def browser(**extra: Any) -> APIClient:
    """A client without a credential."""
    number = next(_addresses)
    extra.setdefault("REMOTE_ADDR", f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
    return APIClient(**extra)


def with_token(user: User, **extra: Any) -> APIClient:
    """A client signed in by a login token."""
    return browser(HTTP_AUTHORIZATION=f"Bearer {issue_token(user)[0]}", **extra)


def with_key(user: User, *, scopes: tuple[str, ...] = ("chat", "mcp", "memory", "usage"), **extra: Any) -> APIClient:
    """A client with an API key."""
    return browser(HTTP_X_API_KEY=create_key(user, name="test", scopes=scopes)[1], **extra)


def with_session(user: User, **extra: Any) -> APIClient:
    """A client with a session, without its CSRF token."""
    client = browser(enforce_csrf_checks=True, **extra)
    client.force_login(user)
    return client


def error_of(response: Any) -> tuple[int, str]:
    """(status, code) of a refusal, whose body has the one shape."""
    body = response.json()
    assert body["detail"] == body["error"]["message"]
    return response.status_code, body["error"]["code"]
