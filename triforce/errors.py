"""Every failure as one answer: {"detail": sentence, "error": {code, message, …}}, whoever raised it."""

from __future__ import annotations

import math
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions
from rest_framework.response import Response

from accounts.errors import AuthenticationRequired, InvalidToken, NotFound
from billing.errors import ApiError, InvalidRequest, RateLimited, ServiceUnavailable
from billing.field_errors import invalid

RETRY_AFTER = {"Retry-After": "5"}


class Forbidden(ApiError):
    """403"""

    status_code = 403
    default_code = "permission_denied"
    default_detail = _("You may not do this.")


class MethodNotAllowed(ApiError):
    """405"""

    status_code = 405
    default_code = "method_not_allowed"
    default_detail = _("This address does not take that method.")


class NotAcceptable(ApiError):
    """406"""

    status_code = 406
    default_code = "not_acceptable"
    default_detail = _("The answer cannot be given in the form that Accept asks for.")


class RequestTimeout(ApiError):
    """408: its body comes too slowly."""

    status_code = 408
    default_code = "request_timeout"
    default_detail = _("The request came too slowly.")


class PayloadTooLarge(ApiError):
    """413"""

    status_code = 413
    default_code = "payload_too_large"
    default_detail = _("The request is too large.")


class UnsupportedMediaType(ApiError):
    """415"""

    status_code = 415
    default_code = "unsupported_media_type"
    default_detail = _("The body must be JSON (Content-Type: application/json).")


class InternalError(ApiError):
    """500: a mistake of ours; what it was stands in the log under the request's id."""

    status_code = 500
    default_code = "internal_error"
    default_detail = _("Something went wrong on our side.")


def _throttled(error: exceptions.Throttled) -> ApiError:
    wait = math.ceil(getattr(error, "wait", None) or 1)
    return RateLimited(headers={"Retry-After": str(wait)}, retry_after=wait)


def as_api_error(error: BaseException) -> ApiError | None:
    """The ApiError that says what `error` means to a client; None where it is a mistake of ours."""
    match error:
        case ApiError():
            return error
        case exceptions.ValidationError():
            return invalid(error)
        case exceptions.ParseError():
            return InvalidRequest(str(error.detail))
        case exceptions.AuthenticationFailed():
            return InvalidToken()
        case exceptions.NotAuthenticated():
            return AuthenticationRequired()
        case exceptions.PermissionDenied() | PermissionDenied():
            return Forbidden()
        case exceptions.NotFound() | Http404():
            return NotFound()
        case exceptions.MethodNotAllowed():
            return MethodNotAllowed()
        case exceptions.NotAcceptable():
            return NotAcceptable()
        case exceptions.UnsupportedMediaType():
            return UnsupportedMediaType()
        case exceptions.Throttled():
            return _throttled(error)
        case RequestDataTooBig():
            return PayloadTooLarge(headers={"Connection": "close"})
        case SuspiciousOperation():
            return InvalidRequest()
        case OperationalError() | InterfaceError():
            return ServiceUnavailable(headers=RETRY_AFTER)
    return None


def render(error: BaseException) -> tuple[int, dict[str, str], dict[str, Any]]:
    """(status, headers, JSON body) of any exception, for doors outside Django REST framework. Unknown ones are a bare 500."""
    known = as_api_error(error) or InternalError()
    return known.status_code, known.headers, known.body()


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Django REST framework's hook. None (a mistake of ours) lets Django log it and answer 500."""
    known = as_api_error(error)
    if known is None:
        return None
    return Response(known.body(), status=known.status_code, headers=known.headers)


def json_response(error: BaseException) -> HttpResponse:
    """The answer to an API path, outside Django REST framework."""
    status, headers, body = render(error)
    return JsonResponse(body, status=status, headers=headers)


def request_id_of(request: HttpRequest) -> str:
    """The id that triforce.limits.RequestId gave this request; empty where the server runs without it."""
    return str(getattr(request, "scope", {}).get("state", {}).get("request_id", ""))
