"""Which paths are an API's and which are pages: they differ in language and in the shape of an error."""

from __future__ import annotations

API_ROOTS = ("/v1", "/health", "/healthz", "/readyz", "/openapi.json", "/mcp")


def is_api(path: str) -> bool:
    """Whether a program asks here, and not a person."""
    return path.startswith(tuple(f"{root}/" for root in API_ROOTS)) or path in API_ROOTS


def other_spelling(path: str) -> str:
    """The same path with, or without, its trailing slash."""
    return path[:-1] if path.endswith("/") else f"{path}/"
