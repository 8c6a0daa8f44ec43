"""OpenAI's chat completions. Usage is streamed only where `stream_options.include_usage` asks for it, and is null until then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from tests.fakes.answers import Answer, Counts
from tests.fakes.wires import CREATED, Body, Piece, call_piece, halves, reported, sse, text_piece, thought_piece, usage_piece

NAME = "openai"
CODES = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", None),
}


def stream(answer: Answer, model: str, with_usage: bool) -> Body:
    told: dict[str, Any] = {} if answer.counts is None else {"usage": _usage(answer.counts)}
    known = reported(answer.counts)
    pending = {"usage": None} if with_usage and answer.fault != "usage_with_text" else {}

    def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return sse({**_named("chatcmpl-fake", "chat.completion.chunk", model), "choices": [choice], **pending, **more})

    tokens = [thought_piece(chunk({"reasoning_content": text}), text) for text in answer.thoughts]
    tokens += [text_piece(chunk({"content": text}), text) for text in answer.texts]
    tokens += [call_piece(chunk({"tool_calls": [part]})) for part in _parts(answer)]
    tail = [Piece(chunk({}, _reason(answer)))]
    if answer.fault == "usage_with_text" and answer.texts:
        place, text = len(answer.thoughts) + len(answer.texts) - 1, answer.texts[-1]
        tokens[place] = text_piece(chunk({"content": text}, **told), text, known)
    elif told and answer.fault == "usage_after_finish":
        tail.append(usage_piece(chunk({}, **told), known))
    elif told and with_usage:
        last = {**_named("chatcmpl-fake", "chat.completion.chunk", model), "choices": [], **told}
        tail.append(usage_piece(sse(last), known))
    head = [Piece(chunk({"role": "assistant", "content": "", "refusal": None}))]
    return Body("text/event-stream; charset=utf-8", head, tokens, tail, [Piece(sse(b"[DONE]"))])


def plain(answer: Answer, model: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(answer.texts), "refusal": None}
    if answer.thoughts:
        message["reasoning_content"] = "".join(answer.thoughts)
    if answer.tool_calls:
        message["content"] = message["content"] or None
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": orjson.dumps(call.arguments).decode()}}
            for call in answer.arguments
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(answer)}
    usage = {} if answer.counts is None else {"usage": _usage(answer.counts)}
    return {**_named("chatcmpl-fake", "chat.completion", model), "choices": [choice], **usage}


def error(status: int, message: str) -> dict[str, Any]:
    kind, code = CODES.get(status, ("invalid_request_error", None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def error_event(message: str) -> bytes:
    return sse(error(500, message))


def _named(answer_id: str, kind: str, model: str) -> dict[str, Any]:
    return {"id": answer_id, "object": kind, "created": CREATED, "model": model, "system_fingerprint": "fp_fake"}


def _reason(answer: Answer) -> str:
    return "tool_calls" if answer.tool_calls and answer.finish == "stop" else answer.finish


def _parts(answer: Answer) -> Iterator[dict[str, Any]]:
    """A call's first part names it, the others bring its arguments bit by bit."""
    for index, call in enumerate(answer.arguments):
        yield {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        for part in halves(orjson.dumps(call.arguments).decode()):
            yield {"index": index, "function": {"arguments": part}}


def _usage(counts: Counts) -> dict[str, Any]:
    return {
        "prompt_tokens": counts.input,
        "completion_tokens": counts.output,
        "total_tokens": counts.input + counts.output,
        "prompt_tokens_details": {"cached_tokens": counts.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": counts.reasoning, "audio_tokens": 0},
    }
