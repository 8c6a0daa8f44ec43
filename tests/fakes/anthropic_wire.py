"""Anthropic's messages: typed events. Its `input_tokens` leave out what the cache gave or took."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson

from tests.fakes.answers import Answer, Counts
from tests.fakes.wires import Body, Piece, halves, reported, sse, usage_piece

NAME = "anthropic"
REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def stream(answer: Answer, model: str, with_usage: bool) -> Body:
    """Usage comes in two halves: the input at the start, the output at the end."""
    counts = answer.counts
    start = usage_piece(_event("message_start", message=_message(answer, model, [], None, started=True)), _first_half(counts))
    ping = Piece(_event("ping"))
    tokens = list(_blocks(answer))
    opened = [tokens.pop(0), ping] if tokens else [ping]
    closed = [tokens.pop()] if tokens else []
    finish = {"delta": {"stop_reason": _reason(answer), "stop_sequence": None}}
    ending = [usage_piece(_event("message_delta", **finish, **_output(counts)), reported(counts))]
    if answer.fault == "usage_with_text" and counts is not None:
        early = _event("message_delta", delta={"stop_reason": None, "stop_sequence": None}, **_output(counts))
        tokens[-1:] = [replace(one, data=early + one.data, usage=reported(counts)) for one in tokens[-1:]]
        ending = [Piece(_event("message_delta", **finish))]
    elif answer.fault == "usage_after_finish":
        ending.insert(0, Piece(_event("message_delta", **finish)))
    return Body("text/event-stream; charset=utf-8", [start, *opened], tokens, [*closed, *ending], [Piece(_event("message_stop"))])


def plain(answer: Answer, model: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if answer.thoughts:
        content.append({"type": "thinking", "thinking": "".join(answer.thoughts), "signature": "c2ln"})
    if answer.texts:
        content.append({"type": "text", "text": "".join(answer.texts)})
    content += [{"type": "tool_use", "id": call.id, "name": call.name, "input": dict(call.arguments)} for call in answer.arguments]
    return _message(answer, model, content, _reason(answer))


def error(status: int, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": TYPES.get(status, "api_error"), "message": message}, "request_id": "req_fake"}


def error_event(message: str) -> bytes:
    return _event("error", error={"type": "overloaded_error", "message": message})


def _event(kind: str, **fields: Any) -> bytes:
    return sse({"type": kind, **fields}, kind)


def _reason(answer: Answer) -> str:
    reason = "tool_calls" if answer.tool_calls and answer.finish == "stop" else answer.finish
    return REASONS.get(reason, reason)


def _message(answer: Answer, model: str, content: list[dict[str, Any]], reason: str | None, started: bool = False) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": "msg_fake", "type": "message", "role": "assistant", "model": model, "content": content}
    fields |= {"stop_reason": reason, "stop_sequence": None}
    if answer.counts is not None:
        fields["usage"] = _usage(answer.counts, 1 if started else answer.counts.output)
    return fields


def _usage(counts: Counts, output: int) -> dict[str, Any]:
    return {
        "input_tokens": counts.input - counts.cached - counts.written,
        "cache_creation_input_tokens": counts.written,
        "cache_read_input_tokens": counts.cached,
        "output_tokens": output,
    }


def _first_half(counts: Counts | None) -> dict[str, int]:
    return {} if counts is None else {"input": counts.input, "cached": counts.cached, "written": counts.written, "output": 1}


def _output(counts: Counts | None) -> dict[str, Any]:
    return {} if counts is None else {"usage": {"output_tokens": counts.output}}


def _blocks(answer: Answer) -> Iterator[Piece]:
    """Every block's start, deltas and stop. A start and a stop between two blocks ride on the delta before: each piece is a token,
    but for the first and the last."""
    kinds = list(_contents(answer))
    if not kinds:
        return
    yield Piece(_event("content_block_start", index=0, content_block=kinds[0][0]))
    for index, (_, deltas) in enumerate(kinds):
        between = b""
        if index + 1 < len(kinds):
            between = _closing(index, kinds[index][0]) + _event("content_block_start", index=index + 1, content_block=kinds[index + 1][0])
        for number, (delta, texts, thoughts) in enumerate(deltas, 1):
            data = _event("content_block_delta", index=index, delta=delta)
            yield Piece(data + (between if number == len(deltas) else b""), texts, thoughts, {}, 1)
    yield Piece(_closing(len(kinds) - 1, kinds[-1][0]))


def _closing(index: int, block: dict[str, Any]) -> bytes:
    """The end of a block; a thought is signed first."""
    signed = _event("content_block_delta", index=index, delta={"type": "signature_delta", "signature": "c2ln"})
    return (signed if block["type"] == "thinking" else b"") + _event("content_block_stop", index=index)


Delta = tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]


def _contents(answer: Answer) -> Iterator[tuple[dict[str, Any], list[Delta]]]:
    """Each block as it starts, and its deltas with the text and thought they carry."""
    if answer.thoughts:
        deltas: list[Delta] = [({"type": "thinking_delta", "thinking": text}, (), (text,)) for text in answer.thoughts]
        yield {"type": "thinking", "thinking": "", "signature": ""}, deltas
    if answer.texts:
        yield {"type": "text", "text": ""}, [({"type": "text_delta", "text": text}, (text,), ()) for text in answer.texts]
    for call in answer.arguments:
        parts = halves(orjson.dumps(call.arguments).decode())
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        yield block, [({"type": "input_json_delta", "partial_json": part}, (), ()) for part in parts]
