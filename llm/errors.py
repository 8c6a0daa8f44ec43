"""What can go wrong between a request and an answer. See billing/errors.py for the base."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from billing.errors import ApiError


class ModelNotFound(ApiError):
    """404: no model of that id; `suggestions` holds the nearest ids that the caller may use."""

    status_code = 404
    default_code = "model_not_found"
    default_detail = _("There is no such model.")


class ModelNotInTier(ApiError):
    """403: the model belongs to a higher tier; `tier` and `tier_name` say to which."""

    status_code = 403
    default_code = "model_not_in_tier"
    default_detail = _("This model is not part of your tier.")


class UpstreamFailed(ApiError):
    """502: a provider answered with an error or with nonsense. Not charged."""

    status_code = 502
    default_code = "upstream_error"
    default_detail = _("The model's provider answered with an error. Nothing was charged.")


class UpstreamUnavailable(ApiError):
    """503: no provider of this model can be reached now. Not charged."""

    status_code = 503
    default_code = "upstream_unavailable"
    default_detail = _("The model is not available right now. Nothing was charged.")


class UpstreamTimeout(ApiError):
    """504: no provider answered in time. Not charged."""

    status_code = 504
    default_code = "upstream_timeout"
    default_detail = _("The model did not answer in time. Nothing was charged.")


class IdempotencyMismatch(ApiError):
    """422: the same Idempotency-Key came with another body."""

    status_code = 422
    default_code = "idempotency_mismatch"
    default_detail = _("This Idempotency-Key was used with another request.")


class Conflict(ApiError):
    """409: the same request still runs, or a revision is stale."""

    status_code = 409
    default_code = "conflict"
    default_detail = _("A request with this Idempotency-Key is still running.")
