"""The caller at DRF's door."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.request import Request

from accounts.address import client_address
from accounts.caller import Caller, caller_for
from accounts.models import User
from accounts.proxy import Seen
from accounts.sessions import refuse_ended
from accounts.visitors import visitor_of
from billing.db import guarded

_HEADERS = ("authorization", "x-api-key", "x-user-id", "x-triforce-proxy-auth")


class CallerAuthentication(BaseAuthentication):
    """request.auth and request.caller are the Caller, request.user is loaded when somebody looks; a guest's is None."""

    def authenticate(self, request: Request) -> tuple[Any, Caller]:
        django_request = request._request
        caller = guarded(caller_of_request, django_request)
        guarded(refuse_ended, django_request, django_request.user)
        if caller.carrier == "session" or caller.visitor:  # what a browser sends by itself needs proof that a page of ours sent it
            enforce_csrf(django_request)
        django_request.caller = caller  # type: ignore[attr-defined]
        return _lazy_user(caller.user_id), caller

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def caller_of(request: Request) -> Caller:
    """The Caller that CallerAuthentication found."""
    return cast(Caller, request.auth)


def _lazy_user(user_id: int | None) -> Any:
    return None if user_id is None else SimpleLazyObject(lambda: User.objects.get(pk=user_id))


def caller_of_request(request: HttpRequest) -> Caller:
    """The caller of a Django request. Raises what caller_for raises."""
    found = ((name, request.headers.get(name)) for name in _HEADERS)
    headers = {name: value for name, value in found if value is not None}
    seen = Seen(request.META.get("REMOTE_ADDR", ""), request.method or "", request_target(request))
    session_user = getattr(request, "user", None)
    return caller_for(headers, address_of_request(request), session_user=session_user, seen=seen, visitor=visitor_of(request.COOKIES))


def address_of_request(request: HttpRequest) -> str:
    """The client's network address."""
    forwarded_for = request.headers.get("X-Forwarded-For", "")
    return client_address(request.META.get("REMOTE_ADDR", ""), forwarded_for, settings.TRUSTED_PROXY_COUNT)


def enforce_csrf(request: HttpRequest) -> None:
    """Raises PermissionDenied where a session writes without its CSRF token."""
    check = CSRFCheck(lambda _request: None)  # type: ignore[arg-type]
    check.process_request(request)
    reason = check.process_view(request, None, (), {})  # type: ignore[arg-type]
    if reason:
        raise PermissionDenied(f"CSRF: {reason}")


def request_target(request: HttpRequest) -> str:
    """path?query as it was sent."""
    scope = getattr(request, "scope", None) or {}
    path = scope["raw_path"].decode("latin-1") if scope.get("raw_path") else request.get_full_path().partition("?")[0]
    query = request.META.get("QUERY_STRING", "")
    return f"{path}?{query}" if query else path


class CallerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """What the schema says about it."""

    target_class = "accounts.authentication.CallerAuthentication"
    name = ["bearer", "apiKey", "session"]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        """Any one of them; none, where guests are answered."""
        for_guests = any(getattr(permission, "for_guests", False) for permission in auto_schema.view.get_permissions())
        return [{name: []} for name in self.name] + ([{}] if for_guests else [])

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {"type": "http", "scheme": "bearer", "description": "A login token or an API key."},
            {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "An API key."},
            {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME, "description": "The portal's session."},
        ]
