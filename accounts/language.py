"""The language somebody chose: kept with the account, for mails, and in a cookie, for pages that are asked for without a query."""

from __future__ import annotations

from typing import TypeVar

from django.conf import settings
from django.http import HttpResponseBase

from accounts.models import User

Response = TypeVar("Response", bound=HttpResponseBase)


def remember(user: User, language: str, response: Response) -> Response:
    """Keep it with the account and tell the browser. "" = as the browser says."""
    if user.language != language:
        user.language = language
        user.save(update_fields=["language"])
    return tell(response, language)


def tell(response: Response, language: str) -> Response:
    """Tell the browser alone."""
    if not language:
        response.delete_cookie(settings.LANGUAGE_COOKIE_NAME)
    else:
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            language,
            max_age=settings.LANGUAGE_COOKIE_AGE,
            httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
            samesite="Lax",
            secure=settings.LANGUAGE_COOKIE_SECURE,
        )
    return response
