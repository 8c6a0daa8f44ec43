"""What a request gets: the scripted answer as a body in the wire that its path speaks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import orjson

from tests.fakes import anthropic_wire, ollama_wire, openai_wire
from tests.fakes.answers import PRESETS, Answer, spelled_out
from tests.fakes.http11 import Request
from tests.fakes.listings import Model, listing, show
from tests.fakes.records import Record
from tests.fakes.wires import Body, Piece, Wire, whole

CHATS: dict[str, Wire] = {"/api/chat": ollama_wire, "/chat/completions": openai_wire, "/messages": anthropic_wire}
BY_NAME = {wire.NAME: wire for wire in CHATS.values()}
QUIET = {"", "usage_with_text", "usage_after_finish", *PRESETS}  # faults of what is said, not of how


class Reply(NamedTuple):
    answer: Answer
    body: Body
    wire: Wire

    @property
    def at_once(self) -> bool:
        """It can go in one write."""
        waits = self.answer.gate or self.answer.delay or self.answer.first_byte_delay
        return self.body.length is not None and self.answer.fault in QUIET and not waits


def chat_wire(request: Request) -> str:
    """The name of the wire that this request chats in; "" where it does not chat."""
    return next((wire.NAME for ending, wire in CHATS.items() if request.method == "POST" and request.path.endswith(ending)), "")


def reply(request: Request, record: Record, scripted: Answer | None, models: Sequence[Model], page_size: int) -> Reply:
    """`scripted` is None for what nobody scripted: lists of models and the like."""
    wire = BY_NAME.get(record.wire) or _listing_wire(request)
    answer = spelled_out(scripted or Answer())
    if answer.status != 200 or answer.raw is not None:
        return Reply(answer, _fixed(answer, wire), wire)
    if not record.wire:
        payload = show(record.model) if request.method == "POST" else listing(request, models, page_size)
        return Reply(answer, whole(Answer(()), payload), wire) if payload is not None else _refusal(404, "not found", wire)
    if not isinstance(record.body, dict) or not record.model:
        return _refusal(400, "the body must be a JSON object that names a model", wire)
    streamed = bool(record.body.get("stream", record.wire == "ollama"))
    options = record.body.get("stream_options") or {}
    return Reply(answer, _rendered(wire.NAME, answer, answer.model or record.model, streamed, bool(options.get("include_usage"))), wire)


@lru_cache(maxsize=256)
def _rendered(wire: str, answer: Answer, model: str, streamed: bool, with_usage: bool) -> Body:
    """Answers are compared by identity: the same one to the same model is made once."""
    made = BY_NAME[wire]
    return made.stream(answer, model, with_usage) if streamed else whole(answer, made.plain(answer, model))


def _listing_wire(request: Request) -> Wire:
    if "/api/" in request.path:
        return ollama_wire
    return anthropic_wire if "anthropic-version" in request.headers else openai_wire


def _refusal(status: int, message: str, wire: Wire) -> Reply:
    answer = Answer(status=status, error=message)
    return Reply(answer, _fixed(answer, wire), wire)


def _fixed(answer: Answer, wire: Wire) -> Body:
    """A body that is the same whatever was asked."""
    data = answer.raw if answer.raw is not None else orjson.dumps(wire.error(answer.status, answer.error))
    return Body("application/json", [], [Piece(data)], [], [], len(data))
