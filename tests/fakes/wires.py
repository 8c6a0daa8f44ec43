"""An answer as each provider's wire says it: pieces of a body, each knowing what it carries. Which wire it is, the path says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from tests.fakes.answers import Answer, Counts

CREATED = 1_767_225_600  # 2026-01-01T00:00:00Z
CREATED_TEXT = "2026-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a body, what of the answer they carry, and themselves as one chunk of HTTP's chunked encoding."""

    data: bytes
    texts: tuple[str, ...] = ()
    thoughts: tuple[str, ...] = ()
    usage: Mapping[str, int] = field(default_factory=dict)  # by the names of Counts
    tokens: int = 0  # how many of the answer's tokens, parts of tool calls among them
    framed: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "framed", framed(self.data))


@dataclass(frozen=True, slots=True)
class Body:
    """A body in the order it is sent. Each of `tokens` carries one token, or in a plain answer half of everything."""

    content_type: str
    head: list[Piece]
    tokens: list[Piece]
    tail: list[Piece]  # finish and usage
    end: list[Piece]  # the terminal event
    length: int | None = None  # of a plain answer


class Wire(Protocol):
    """What a module of this folder gives for its provider's format."""

    NAME: str

    def stream(self, answer: Answer, model: str, with_usage: bool) -> Body: ...
    def plain(self, answer: Answer, model: str) -> dict[str, Any]: ...
    def error(self, status: int, message: str) -> dict[str, Any]: ...
    def error_event(self, message: str) -> bytes: ...


def text_piece(data: bytes, text: str, usage: Mapping[str, int] | None = None) -> Piece:
    """One token of the answer's text."""
    return Piece(data, (text,), (), usage or {}, 1)


def thought_piece(data: bytes, text: str) -> Piece:
    """One token of its reasoning."""
    return Piece(data, (), (text,), {}, 1)


def call_piece(data: bytes) -> Piece:
    """One part of a tool call."""
    return Piece(data, tokens=1)


def usage_piece(data: bytes, usage: Mapping[str, int]) -> Piece:
    """Nothing but a report."""
    return Piece(data, usage=usage)


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def sse(payload: Any, event: str = "") -> bytes:
    """One server-sent event; bytes go as they are."""
    data = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return (b"event: %b\n" % event.encode() if event else b"") + b"data: " + data + b"\n\n"


def halves(text: str) -> list[str]:
    """In two parts, as providers cut the arguments of a tool call."""
    middle = (len(text) + 1) // 2
    return [part for part in (text[:middle], text[middle:]) if part]


def reported(counts: Counts | None) -> dict[str, int]:
    """What a record keeps of them."""
    return {} if counts is None else counts._asdict()


def whole(answer: Answer, payload: dict[str, Any]) -> Body:
    """A plain answer in two halves: the second one carries everything, for half an object is none."""
    data, texts, thoughts = orjson.dumps(payload), tuple(answer.texts), tuple(answer.thoughts)
    middle = len(data) // 2
    last = Piece(data[middle:], texts, thoughts, reported(answer.counts), len(texts) + len(thoughts) + len(answer.tool_calls))
    return Body("application/json", [], [Piece(data[:middle])], [], [last], len(data))
