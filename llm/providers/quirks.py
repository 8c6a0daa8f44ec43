"""How a provider deviates from its wire format, applied as data. The names stand in docs/providers.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from yarl import URL

from llm.types import ChatRequest


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != "" and value.isprintable()


def _is_header(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", value) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_named_texts(value: Any) -> bool:
    return isinstance(value, dict) and _are_texts([*value, *value.values()])


def _are_headers(value: Any) -> bool:
    return _are_named_texts(value) and all(map(_is_header, value))


def _is_path(value: Any) -> bool:
    """Below, or above, the base URL: at no other server."""
    return _is_text(value) and not URL(value.removeprefix("/")).absolute


_SWITCH, _TEXT, _OBJECT = (lambda value: isinstance(value, bool), _("true or false")), (_is_text, _("a text")), (_is_object, _("an object"))
SHAPES: Mapping[str, tuple[Callable[[Any], bool], Any]] = {  # quirk -> what it may be, as a question and in words
    "no_stream_options": _SWITCH,
    "max_tokens_field": _TEXT,
    "output_from_total": _SWITCH,
    "json_schema": (lambda value: value == "json_object", '"json_object"'),
    "options": _OBJECT,
    "temperature_max": (_is_number, _("a number that is not negative")),
    "fixed_sampling": (_are_texts, _("a list of texts")),
    "rename": (_are_named_texts, _("an object of texts")),
    "drop": (_are_texts, _("a list of texts")),
    "extra": _OBJECT,
    "headers": (_are_headers, _("an object of headers and their texts")),
    "auth_header": (_is_header, _("a header's name")),
    "models_path": (_is_path, _("a path at the same server")),
    "models_auth_header": (_is_header, _("a header's name")),
}


def faults(quirks: Any) -> list[str]:
    """What is wrong with quirks that somebody wrote, a sentence a key."""
    if not isinstance(quirks, dict):
        return [str(_('Write an object: {"quirk": value, …}'))]
    unknown = [_("%(key)s is no quirk. There are: %(known)s.") % {"key": key, "known": ", ".join(SHAPES)} for key in quirks.keys() - SHAPES]
    wrong = [(key, what) for key, (fits, what) in SHAPES.items() if key in quirks and not fits(quirks[key])]
    return [*unknown, *(_("%(key)s must be %(what)s.") % {"key": key, "what": what} for key, what in wrong)]


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
