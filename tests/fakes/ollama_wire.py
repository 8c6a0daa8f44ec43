"""Ollama's own chat: one JSON object a line, `done: true` in the last. Ollama Cloud speaks it too."""

from __future__ import annotations

from typing import Any

import orjson

from tests.fakes.answers import Answer
from tests.fakes.wires import CREATED_TEXT, Body, call_piece, reported, text_piece, thought_piece, usage_piece

NAME = "ollama"


def stream(answer: Answer, model: str, with_usage: bool) -> Body:
    def line(**more: Any) -> bytes:
        return orjson.dumps({"model": model, "created_at": CREATED_TEXT, **more}) + b"\n"

    def saying(content: str = "", **more: Any) -> bytes:
        return line(message={"role": "assistant", "content": content, **more}, done=False)

    texts, known = answer.texts, reported(answer.counts)
    last_text = texts.pop() if answer.fault == "usage_with_text" and texts else ""
    tokens = [thought_piece(saying(thinking=text), text) for text in answer.thoughts]
    tokens += [text_piece(saying(text), text) for text in texts]
    if answer.tool_calls:
        tokens.append(call_piece(saying(tool_calls=_calls(answer))))
    late = answer.fault == "usage_after_finish"
    last = line(message={"role": "assistant", "content": last_text}, **_done(answer, counted=not late))
    end = [text_piece(last, last_text, known) if last_text else usage_piece(last, {} if late else known)]
    if late:
        end.append(usage_piece(line(message={"role": "assistant", "content": ""}, **_done(answer)), known))
    return Body("application/x-ndjson", [], tokens, [], end)


def plain(answer: Answer, model: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(answer.texts)}
    if answer.thoughts:
        message["thinking"] = "".join(answer.thoughts)
    if answer.tool_calls:
        message["tool_calls"] = _calls(answer)
    return {"model": model, "created_at": CREATED_TEXT, "message": message, **_done(answer)}


def error(status: int, message: str) -> dict[str, Any]:
    return {"error": message}


def error_event(message: str) -> bytes:
    return orjson.dumps({"error": message}) + b"\n"


def _calls(answer: Answer) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "function": {"index": index, "name": call.name, "arguments": dict(call.arguments)}}
        for index, call in enumerate(answer.arguments)
    ]


def _done(answer: Answer, counted: bool = True) -> dict[str, Any]:
    """The last line's own fields; durations in nanoseconds."""
    fields: dict[str, Any] = {
        "done": True,
        "done_reason": "length" if answer.finish == "length" else "stop",
        "total_duration": 2_000_000,
        "load_duration": 500_000,
    }
    if answer.counts is not None and counted:
        fields |= {"prompt_eval_count": answer.counts.input, "prompt_eval_duration": 500_000}
        fields |= {"eval_count": answer.counts.output, "eval_duration": 1_000_000}
    return fields
