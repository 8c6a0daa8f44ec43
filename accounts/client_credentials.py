"""Where a device's client credentials stand: real clients send them in headers of three spellings, or in the body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

_SPELLINGS = ("{}", "x-{}")


def client_credentials(request: HttpRequest, body: Mapping[str, Any]) -> tuple[str, str]:
    """(client_id, client_secret); empty where there is none. The headers win over the body."""
    headers = _headers(request)
    return _found(headers, "client-id") or body["client_id"], _found(headers, "client-secret") or body["client_secret"]


def _found(headers: Mapping[str, str], name: str) -> str:
    return next((headers[spelling.format(name)] for spelling in _SPELLINGS if spelling.format(name) in headers), "")


def _headers(request: HttpRequest) -> dict[str, str]:
    """By lower-case name with hyphens. Django drops names with underscores, so they are read from the ASGI scope itself."""
    sent = {name.lower(): value for name, value in request.headers.items()}
    for name, value in getattr(request, "scope", {}).get("headers", []):
        sent.setdefault(name.decode("latin-1").lower().replace("_", "-"), value.decode("latin-1"))
    return sent
