"""A serializer's complaints as the one shape of a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ValidationError

from billing.errors import InvalidRequest


def _sendable(text: Any) -> str:
    """A sentence may repeat what was sent, and JSON can carry half characters that no response can."""
    return str(text).encode("utf-8", "replace").decode()


def _field_errors(detail: Any, path: str = "") -> dict[str, list[str]]:
    """A serializer's nested errors as {"messages.0.role": [sentences]}."""
    if isinstance(detail, Mapping):
        parts: Any = detail.items()
    elif isinstance(detail, list | tuple) and any(isinstance(part, Mapping | list) for part in detail):
        parts = enumerate(detail)
    else:
        sentences = detail if isinstance(detail, list | tuple) else [detail]
        return {_sendable(path): [_sendable(sentence) for sentence in sentences]}
    found: dict[str, list[str]] = {}
    for name, part in parts:
        if part:
            name = "" if name == "non_field_errors" else str(name)
            found.update(_field_errors(part, ".".join(filter(None, [path, name]))))
    return found


def invalid(error: ValidationError) -> InvalidRequest:
    """A serializer's complaint as 400 invalid_request, which names the first wrong field and all of them."""
    fields = _field_errors(error.detail)
    sentences = [f"{name}: {words[0]}" if name else words[0] for name, words in fields.items() if words]
    named = {name: words for name, words in fields.items() if name}
    extra: dict[str, Any] = {"field": next(iter(named)), "fields": named} if named else {}
    return InvalidRequest(" ".join(sentences) or None, **extra)
