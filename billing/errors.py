"""Refusals. Every error of the product is an ApiError: it knows its status, its code and its words.

ApiError
├── InvalidRequest          400
├── QuotaExceeded           429
├── RateLimited             429
├── ConcurrencyLimited      429
├── PaymentUnavailable      502
└── ServiceUnavailable      503
accounts/errors.py and llm/errors.py add theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException


class ApiError(APIException):
    """A refusal that a client reads: HTTP status, stable code, one sentence, and what else helps.

    `extra` lands in the body's `error` object, `headers` in the response. Raised where it is noticed, rendered once, at the door.
    """

    status_code = 400
    default_code = "invalid_request"
    default_detail: Any = _("The request is not valid.")

    def __init__(self, detail: Any = None, *, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        self.detail = self.default_detail if detail is None else detail
        self.code = self.default_code
        self.headers = dict(headers or {})
        self.extra = extra

    def __str__(self) -> str:
        return str(self.detail)

    def body(self) -> dict[str, Any]:
        """The JSON body of `docs/api.md`: {"detail": sentence, "error": {code, message, …}}."""
        message = str(self.detail)
        return {"detail": message, "error": {"code": self.code, "message": message, **self.extra}}


class InvalidRequest(ApiError):
    """400: the client's own mistake; `field` names where."""


class QuotaExceeded(ApiError):
    """429: the day's tokens are spent, or too few are left for this request."""

    status_code = 429
    default_code = "quota_exceeded"
    default_detail = _("The daily token limit is reached.")


class RateLimited(ApiError):
    """429: too many requests in the last minute."""

    status_code = 429
    default_code = "rate_limited"
    default_detail = _("Too many requests. Please wait a moment.")


class ConcurrencyLimited(ApiError):
    """429: the account already runs as many requests at once as its tier allows."""

    status_code = 429
    default_code = "concurrency_limited"
    default_detail = _("Too many requests at the same time for this account.")


class PaymentUnavailable(ApiError):
    """502: the payment service did not do what it was asked."""

    status_code = 502
    default_code = "payment_unavailable"
    default_detail = _("The payment service does not answer as it should. Nothing was ordered or changed; please try again in a moment.")


class ServiceUnavailable(ApiError):
    """503: our side cannot work now (database away, draining). Nothing was charged."""

    status_code = 503
    default_code = "service_unavailable"
    default_detail = _("The service is not available right now. Nothing was charged; please try again.")
