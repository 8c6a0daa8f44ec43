"""What the API refuses, in Stripe's shape."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An answer of the shape {"error": {type, code, message, param, …}}."""

    def __init__(
        self, message: str, *, status: int = 400, kind: str = "invalid_request_error", code: str = "", param: str = "", **more: Any
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.kind, self.code, self.param, self.more = message, status, kind, code, param, more
        self.keeps = False  # what was done before it was raised stays

    def body(self) -> dict[str, Any]:
        error = {"type": self.kind, "message": self.message, **self.more}
        if self.code:
            error |= {"code": self.code, "doc_url": f"https://docs.stripe.com/error-codes/{self.code.replace('_', '-')}"}
        if self.param:
            error["param"] = self.param
        return {"error": error}


def missing(kind: str, id: str, param: str = "id") -> ApiError:
    return ApiError(f"No such {kind.replace('_', ' ')}: '{id}'", status=404 if param == "id" else 400, code="resource_missing", param=param)


def declined(message: str, decline_code: str, code: str = "card_declined") -> ApiError:
    """402, as for a card that the bank refuses."""
    return ApiError(message, status=402, kind="card_error", code=code, decline_code=decline_code)
