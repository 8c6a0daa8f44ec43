"""The house's two middlewares; both run without a thread hop."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core import signals
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import is_valid_path
from django.utils import translation
from django.utils.cache import patch_vary_headers

from accounts.accept_language import api_language
from accounts.errors import NotFound
from triforce.errors import as_api_error, json_response
from triforce.paths import is_api, other_spelling

log = logging.getLogger(__name__)
GetResponse = Callable[[HttpRequest], Any]


def language_of(request: HttpRequest) -> str:
    """Pages are German first: the visitor's choice, then Accept-Language, then German. The API is English first."""
    if is_api(request.path_info):
        return api_language(request.META.get("HTTP_ACCEPT_LANGUAGE", ""))
    return translation.get_language_from_request(request)


class _Middleware:
    """What `before` answers ends the request; `after` sees what goes out."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def before(self, request: HttpRequest) -> HttpResponse | None:
        return None

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return response

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._later(request)
        return self.after(request, self.before(request) or self.get_response(request))

    async def _later(self, request: HttpRequest) -> HttpResponseBase:
        return self.after(request, self.before(request) or await self.get_response(request))


class LanguageMiddleware(_Middleware):
    """Sets the language of a request's sentences."""

    def before(self, request: HttpRequest) -> None:
        language = language_of(request)
        translation.activate(language)
        request.LANGUAGE_CODE = language

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        patch_vary_headers(response, ("Accept-Language",))
        response.headers.setdefault("Content-Language", request.LANGUAGE_CODE or "")
        return response


class ApiMiddleware(_Middleware):
    """Takes every path with and without its trailing slash, and answers failures on API paths in JSON, with DEBUG on as well."""

    def before(self, request: HttpRequest) -> HttpResponse | None:
        path = request.path_info
        if is_valid_path(path):
            return None
        if is_valid_path(other_spelling(path)):
            request.path_info = other_spelling(path)
            return None
        return json_response(NotFound()) if is_api(path) else None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not is_api(request.path_info):
            return None
        if as_api_error(error) is None:
            log.error("%s %s", request.method, request.path_info, exc_info=error)
            signals.got_request_exception.send(sender=type(self), request=request)
        return json_response(error)
