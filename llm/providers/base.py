"""What every wire format has in common: the protocols, and how numbers and texts of a provider are read.

A wire is a class without state: `outgoing()` makes the body, `headers()` carry the key, `parser()` reads the answer. How a provider
deviates from its wire format is data (`quirks`, docs/providers.md), so a new provider is a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from llm.providers.errors import IncompleteAnswer, InvalidAnswer, UnsupportedRequest, UpstreamError, classify, reported
from llm.types import ChatRequest, Event, Tool, Usage

__all__ = [
    "NO_QUIRKS",
    "IncompleteAnswer",
    "InvalidAnswer",
    "ListedModel",
    "Parser",
    "UnsupportedRequest",
    "UpstreamError",
    "Wire",
    "as_function",
    "classify",
    "count",
    "read_usage",
    "reported",
    "string",
    "tool_arguments",
]

NO_QUIRKS: Mapping[str, Any] = {}
MOST_TOKENS = 100_000_000  # a count above is an error of the provider's


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model in a provider's list. None = the provider does not say. `created` in seconds since 1970."""

    native_id: str
    name: str = ""
    context_window: int | None = None
    max_output: int | None = None
    capabilities: tuple[str, ...] | None = None
    created: int | None = None


class Parser(Protocol):
    """Reads one answer. Within one `feed` consecutive pieces of text are joined into one Delta.

    `complete` says that its terminal event came: what may follow is a report of its usage.
    """

    complete: bool

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. An UpstreamError is raised once no event stands before it."""
        ...

    def close(self) -> list[Event]:
        """What was left. Raises IncompleteAnswer when no terminal event came, InvalidAnswer when nothing of the format came."""
        ...


class Wire(Protocol):
    """One wire format."""

    name: str
    models_path: str

    def outgoing(self, chat: ChatRequest, native_id: str, quirks: Mapping[str, Any] = NO_QUIRKS) -> tuple[str, dict[str, Any]]:
        """The path after the base URL and the JSON body. Raises UnsupportedRequest for what this format cannot say."""
        ...

    def headers(self, key: str, quirks: Mapping[str, Any] = NO_QUIRKS) -> dict[str, str]: ...

    def parser(self, quirks: Mapping[str, Any] = NO_QUIRKS) -> Parser: ...

    def parse_models(self, payload: Any) -> tuple[list[ListedModel], str | None]:
        """The models of one page, and the query string that asks for the next page (None = the last)."""
        ...


def count(value: object) -> int | None:
    """A number of tokens, or None for anything that cannot be one (negative, absurd, a fraction, a string)."""
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def read_usage(
    total_input: object, total_output: object, *, cached: object = 0, written: object = 0, reasoning: object = 0
) -> Usage | None:
    """Usage as reported, or None unless both the input and the output are numbers that can be true. 0 is one."""
    tokens_in, tokens_out = count(total_input), count(total_output)
    if tokens_in is None or tokens_out is None:
        return None
    parts = (count(cached) or 0, count(written) or 0, count(reasoning) or 0)
    return Usage(tokens_in, tokens_out, min(parts[0], tokens_in), min(parts[1], tokens_in), min(parts[2], tokens_out))


def tool_arguments(text: str) -> dict[str, Any]:
    """A call's arguments as an object, for formats that want one. What is no object goes under the name `arguments`."""
    try:
        value = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        value = text
    return value if isinstance(value, dict) else {"arguments": value}


def string(value: object) -> str:
    """`value`, which must be text. Raises InvalidAnswer."""
    if not isinstance(value, str):
        raise InvalidAnswer("The provider sent text that is none.")
    return value


def as_function(tool: Tool) -> dict[str, Any]:
    """A tool as OpenAI and Ollama describe it."""
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    return {"type": "function", "function": {"name": tool.name, "description": tool.description, "parameters": parameters}}
