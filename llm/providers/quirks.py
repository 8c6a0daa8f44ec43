"""How a provider deviates from its wire format, applied as data. The names stand in docs/providers.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm.types import ChatRequest


def sampling(chat: ChatRequest, native_id: str, quirks: Mapping[str, Any], temperature_max: float = 2.0) -> dict[str, Any]:
    """temperature, top_p and seed as this model takes them. `fixed_sampling` names the families that refuse temperature and top_p."""
    chosen: dict[str, Any] = {}
    if not native_id.startswith(tuple(quirks.get("fixed_sampling", ()))):
        if chat.temperature is not None:
            chosen["temperature"] = min(chat.temperature, quirks.get("temperature_max", temperature_max))
        if chat.top_p is not None:
            chosen["top_p"] = chat.top_p
    if chat.seed is not None:
        chosen["seed"] = chat.seed
    return chosen


def adjusted(body: dict[str, Any], quirks: Mapping[str, Any]) -> dict[str, Any]:
    """`body` after the provider's `drop`, `rename` and `extra`."""
    for name in quirks.get("drop", ()):
        body.pop(name, None)
    for name, theirs in quirks.get("rename", {}).items():
        if name in body:
            body[theirs] = body.pop(name)
    return {**body, **quirks.get("extra", {})}


def authorised(key: str, quirks: Mapping[str, Any], auth_header: str = "Authorization") -> dict[str, str]:
    """The headers of a request: JSON, the provider's own (`headers`), and the key where `auth_header` wants it."""
    headers = {"Content-Type": "application/json", **quirks.get("headers", {})}
    name = quirks.get("auth_header", auth_header)
    if key:
        headers[name] = f"Bearer {key}" if name.lower() == "authorization" else key
    return headers
