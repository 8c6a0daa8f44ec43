"""While somebody of the staff looks at an account, the session sees that account's pages and can do nothing else but end it."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import Resolver404, resolve
from django.utils.cache import add_never_cache_headers

from accounts.errors import ReadOnly
from accounts.impersonation import current
from triforce.errors import json_response
from triforce.paths import is_api, other_spelling

# by the names of their addresses; the owner's security, the chats and the API are not among them
SEEN = frozenset({
    "start", "models", "model", "prices", "status", "text", "offline", "manifest", "worker", "jsi18n",
    "dashboard", "usage", "usage_receipt", "own_keys", "own_devices", "own_settings", "privacy", "billing",
})  # fmt: skip
END = "end_impersonation"


class ImpersonationMiddleware:
    """After the one that notes sessions, so that the session stays the operator's."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        look = current(request) if request.user.is_authenticated else None
        request.impersonation = look  # type: ignore[attr-defined]
        if look is None:
            return self.get_response(request)
        name = _name(request.path_info)
        if name != END:
            if name not in SEEN or request.method not in ("GET", "HEAD"):
                return _refused(request)
            request.operator, request.user = request.user, look.user  # type: ignore[attr-defined]
        response = self.get_response(request)
        add_never_cache_headers(response)
        return response


def _name(path: str) -> str | None:
    """The name of the address, in either spelling."""
    for spelling in (path, other_spelling(path)):
        try:
            return resolve(spelling).view_name
        except Resolver404:
            continue
    return None


def _refused(request: HttpRequest) -> HttpResponse:
    error = ReadOnly()
    if is_api(request.path_info):
        return json_response(error)
    return render(request, "pages/read_only.html", {"words": error.detail}, status=403)
