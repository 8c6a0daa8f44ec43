"""Guests in a browser: a signed cookie that says which chats are theirs and counts their own share of the day.

It opens nothing else. The cap on guests is by network address (accounts.address), so a cookie thrown away gives no second quota.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponseBase

COOKIE = "visitor"
YEAR = 365 * 24 * 3600


def visitor_of(cookies: Mapping[str, str]) -> str:
    """The visitor's id, 32 hex characters; "" without a cookie that we signed."""
    try:
        return _signer().unsign(cookies.get(COOKIE, ""))
    except BadSignature:
        return ""


def remember(request: HttpRequest, response: HttpResponseBase) -> str:
    """The visitor's id, which is made and put into a cookie where there is none."""
    visitor = visitor_of(request.COOKIES)
    if not visitor:
        visitor = secrets.token_hex(16)
        response.set_cookie(COOKIE, signed(visitor), max_age=YEAR, httponly=True, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE)
    return visitor


def signed(visitor: str) -> str:
    """The cookie's value."""
    return _signer().sign(visitor)


def _signer() -> Signer:
    return Signer(salt="visitor")
