"""One request to a fake provider, and what became of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.fakes.answers import Answer
from tests.fakes.http11 import Request
from tests.fakes.wires import Piece


@dataclass(eq=False)
class Record:
    """What was asked, and what was sent so far: a piece counts once it is with the kernel. All times are time.monotonic()."""

    method: str
    path: str  # without the query
    query: str
    headers: dict[str, str] = field(repr=False)  # names in lower case
    body: Any = field(repr=False)  # parsed JSON; None where there is none
    wire: str  # ollama, openai or anthropic; "" for what is no chat
    model: str
    connection: int  # the same number = the same connection
    at: float = field(default_factory=time.monotonic)
    answer: Answer | None = field(default=None, repr=False)
    sent: int = 0  # tokens, parts of tool calls among them
    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    usage: dict[str, int] = field(default_factory=dict)  # as reported so far, by the names of Counts
    finished: bool = False  # the whole answer is sent
    closed: threading.Event = field(default_factory=threading.Event, repr=False)  # the peer left before the end
    peer_closed_at: float | None = None
    tell: Callable[[], None] = field(default=lambda: None, repr=False)  # wakes who waits for the fake

    @classmethod
    def of(cls, request: Request, wire: str, connection: int, tell: Callable[[], None]) -> Record:
        body = _parsed(request.content)
        model = str(body.get("model", "")) if isinstance(body, dict) else ""
        return cls(request.method, request.path, request.query, request.headers, body, wire, model, connection, tell=tell)

    @property
    def text(self) -> str:
        """The text sent so far, without the reasoning."""
        return "".join(self.texts)

    def add(self, piece: Piece) -> None:
        """This piece is sent."""
        if piece.tokens or piece.usage:
            self.texts += piece.texts
            self.thoughts += piece.thoughts
            self.usage.update(piece.usage)
            self.sent += piece.tokens
            self.tell()

    def finish(self) -> None:
        self.finished = True
        self.tell()

    def peer_left(self) -> None:
        """Its connection is gone; that counts where the answer was not whole."""
        if not self.finished and self.peer_closed_at is None:
            self.peer_closed_at = time.monotonic()
            self.closed.set()
            self.tell()


def _parsed(content: bytes) -> Any:
    try:
        return orjson.loads(content) if content else None
    except orjson.JSONDecodeError:
        return None
