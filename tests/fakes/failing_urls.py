"""Addresses that fail in every way: through Django REST framework at /v1/rest/NAME, without it at /v1/plain/NAME and /page/NAME."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.errors import QuotaExceeded
from triforce import urls as real
from triforce.urls import handler400, handler403, handler404, handler500  # noqa: F401

SECRET = "sk-canary-0123456789abcdef"
ERRORS: dict[str, Exception] = {
    "quota": QuotaExceeded(headers={"Retry-After": "60"}, limit=100, used=100),
    "parse": exceptions.ParseError("JSON parse error - Expecting value: line 1 column 1 (char 0)"),
    "fields": exceptions.ValidationError(
        {"temperature": ["Ensure this value is at most 2."], "messages": [{}, {"role": ["Unknown role."]}]}
    ),
    "whole": exceptions.ValidationError({"non_field_errors": ["Either message or messages."]}),
    "sentence": exceptions.ValidationError("Not so."),
    "anonymous": exceptions.NotAuthenticated(),
    "credential": exceptions.AuthenticationFailed(),
    "forbidden": exceptions.PermissionDenied(),
    "denied": PermissionDenied(),
    "missing": Http404(SECRET),
    "absent": exceptions.NotFound(),
    "method": exceptions.MethodNotAllowed("PATCH"),
    "accept": exceptions.NotAcceptable(),
    "media": exceptions.UnsupportedMediaType("text/plain"),
    "throttled": exceptions.Throttled(wait=12.3),
    "large": RequestDataTooBig(SECRET),
    "suspicious": SuspiciousOperation(SECRET),
    "database": OperationalError(f"connection to postgresql://u:{SECRET}@db failed"),
    "interface": InterfaceError("connection already closed"),
    "bug": ZeroDivisionError(SECRET),
}


class Rest(APIView):
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    def get(self, request: Request, name: str) -> Response:
        raise ERRORS[name]


def plain(request: HttpRequest, name: str) -> HttpResponse:
    raise ERRORS[name]


urlpatterns = [
    *real.urlpatterns,  # what an error page leads to
    path("v1/rest/<name>", Rest.as_view()),
    path("v1/plain/<name>", plain),
    path("page/<name>/", plain),
]
