"""What /openapi.json says of every operation beyond its own fields: tag, refusals, headers and an example; and of health."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.views import APIView

from accounts import errors as accounts_errors
from accounts.permissions import AnyCaller
from billing import errors as billing_errors
from billing.errors import ApiError
from billing.schema import RefusalDetail
from llm import errors as llm_errors
from triforce import errors as own_errors
from triforce.examples import EXAMPLES

METHODS = ("get", "post", "put", "patch", "delete")
JSON = "application/json"
TAGS = {"user": "users"}
REFUSALS = {
    400: "The request is not valid (`field` says where), or carries the credentials of two principals.",
    401: "No account where one is needed, or a credential that is wrong, expired or revoked.",
    403: "Above the tier, outside the key's scope, or another user's X-User-ID.",
    404: "Not there, or somebody else's.",
    406: "Accept names no form that we have.",
    409: "What is stored has moved on, there is no more room, or the first request with this Idempotency-Key still runs.",
    413: "The body is larger than 2 MiB.",
    415: "The body is not JSON.",
    422: "This Idempotency-Key came with another body.",
    429: "Quota, rate or concurrency: `Retry-After` says how many seconds to wait.",
    502: "The providers answered with errors. Not charged.",
    503: "No provider, or our own database, can be reached. Not charged.",
    504: "No provider answered in time. Not charged.",
}
ALWAYS = (429, 503)
OF_CALLERS = (400, 401, 403, 406)  # where a credential is read
OF_BODIES = (400, 413, 415)
HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "Bearer"}},
    429: {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds", "required": True}},
}
REQUEST_ID = {"X-Request-ID": {"schema": {"type": "string"}, "description": "Name it when you ask us about a request.", "required": True}}


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """drf-spectacular's postprocessing hook."""
    for path, item in result["paths"].items():
        for method in METHODS:
            if method in item:
                _complete_operation(path, item[method])
    for schema in result["components"]["schemas"].values():
        if "oneOf" in schema:  # drf-spectacular's word for alternatives; an empty list of models is both of them
            schema["anyOf"] = schema.pop("oneOf")
    result["components"]["responses"] = {str(status): _refusal(status) for status in REFUSALS}
    return result


def _complete_operation(path: str, operation: dict[str, Any]) -> None:
    responses, parts = operation["responses"], path.strip("/").split("/")
    operation["tags"] = [TAGS.get(parts[1], parts[1]) if parts[0] == "v1" else "health"]
    if parts[0] == "v1":
        more = (*ALWAYS, *(OF_CALLERS if "security" in operation else ()), *(OF_BODIES if "requestBody" in operation else ()))
        refusals = {int(status) for status in responses if int(status) in REFUSALS} | set(more)
        responses.update({str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(refusals)})
    for response in responses.values():
        if "$ref" not in response:
            response["headers"] = {**response.get("headers", {}), **REQUEST_ID}
    _add_examples(operation)


def _add_examples(operation: dict[str, Any]) -> None:
    asked, answered = EXAMPLES.get(operation["operationId"], (None, None))
    if asked is not None:
        operation["requestBody"]["content"][JSON]["example"] = asked
    success: dict[str, Any] = next((response for status, response in operation["responses"].items() if status.startswith("2")), {})
    if answered is not None:
        success["content"][JSON]["example"] = answered


def _refusal(status: int) -> dict[str, Any]:
    examples = {error.default_code: {"value": error().body()} for error in _errors() if error.status_code == status}
    return {
        "description": REFUSALS[status],
        "headers": {**REQUEST_ID, **HEADERS.get(status, {})},
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Refusal"}, "examples": examples}},
    }


def _errors() -> Iterator[type[ApiError]]:
    """Every error of the product that has a code of its own."""
    for module in (billing_errors, accounts_errors, llm_errors, own_errors):
        for found in vars(module).values():
            if isinstance(found, type) and issubclass(found, ApiError) and "default_code" in vars(found):
                yield found


class HealthReply(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    status = serializers.CharField()


class ReadyReply(HealthReply):
    checks = serializers.DictField(child=serializers.ChoiceField(["ok", "failed"]), help_text="Each part we stand on")


class NotReadyReply(ReadyReply):
    detail = serializers.CharField()
    error = RefusalDetail()


class HealthSchema(APIView):
    authentication_classes = []
    permission_classes = [AnyCaller]

    @extend_schema(operation_id="health", description="Alive. From memory, for those who ask every few seconds.", responses=HealthReply)
    def get(self, request: Any) -> None: ...


class HealthzSchema(HealthSchema):
    @extend_schema(operation_id="healthz", description="The same as /health.", responses=HealthReply)
    def get(self, request: Any) -> None: ...


class ReadySchema(HealthSchema):
    @extend_schema(
        operation_id="readyz",
        description="Would a request be served now? 503 names what fails.",
        responses={200: ReadyReply, 503: NotReadyReply},
    )
    def get(self, request: Any) -> None: ...
