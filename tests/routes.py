"""Every route of the resolver, with its methods: what the tests of the schema and of access go through."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from triforce.paths import is_api

NOT_OPERATIONS = ("/openapi.json",)  # the document itself
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Route:
    """`template` as in the schema: /v1/keys/{key_id}. `methods` in lower case; empty = not ours to say (pages)."""

    template: str
    view: Callable[..., Any]

    @property
    def methods(self) -> tuple[str, ...]:
        kind = getattr(self.view, "cls", None) or getattr(self.view, "view_class", None)
        return tuple(method for method in METHODS if hasattr(kind, method))

    def __str__(self) -> str:
        return self.template


def routes() -> Iterator[Route]:
    """All of them, pages and the admin too."""
    yield from _walk(get_resolver().url_patterns, "/")


def api_routes() -> list[Route]:
    """Those that a program asks."""
    return [route for route in routes() if is_api(route.template) and route.template not in NOT_OPERATIONS]


def _walk(patterns: list[Any], prefix: str) -> Iterator[Route]:
    for pattern in patterns:
        path = prefix + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            yield Route(path, pattern.callback)
