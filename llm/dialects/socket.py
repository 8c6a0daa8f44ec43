"""The dialect of the websocket: frames ⇄ types. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from llm.dialects import client
from llm.types import Ask, Completion

PARAMETERS = ("temperature", "max_tokens", "substitution")  # what a conversation keeps of its first request

USAGE = (
    "model",
    "backend",
    "finish_reason",
    "tokens_used",
    "input_tokens",
    "output_tokens",
    "latency_ms",
    "fallback_used",
    "warnings",
)  # what a finished turn keeps of its completion


def parse(data: Mapping[str, Any]) -> Ask:
    """An Ask from the validated fields of llm.serializers_chat.ChatFrameSerializer."""
    request = client.parse(data)
    first = 1 if data.get("system_prompt") else 0  # where `messages` begin in the request's
    return Ask(
        id=data["id"],
        request=request,
        message=data.get("message", ""),
        system_prompt=data.get("system_prompt"),
        conversation=data.get("conversation"),
        parent=data.get("parent"),
        at_leaf="parent" not in data,
        attachments=tuple(data.get("attachments") or ()),
        files={at: tuple(one["attachments"]) for at, one in enumerate(data.get("messages") or (), first) if one.get("attachments")},
        group=data.get("group"),
        temporary=data.get("temporary", False),
        given={name: data[name] for name in PARAMETERS if name in data},
    )


def delta(kind: str, turn: str, seq: int, text: str) -> bytes:
    """A piece of an answer (`delta`) or of its reasoning (`reasoning`). A copy: orjson leaves a page of memory behind every 84 bytes."""
    return bytes(memoryview(orjson.dumps({"type": kind, "id": turn, "seq": seq, "text": text})))


def frame(kind: str, **fields: Any) -> bytes:
    return orjson.dumps({"type": kind, **fields})


def error(code: str, detail: str, saying: str, extra: Mapping[str, Any], turn: str | None = None) -> bytes:
    """What went wrong; with `id` where it is about one turn."""
    about = {"id": turn} if turn else {}
    return orjson.dumps({"type": "error", **about, **extra, "code": code, "detail": detail, "saying": saying})


def usage_of(completion: Completion) -> dict[str, Any]:
    """A completion, by the names of USAGE."""
    return {
        "model": completion.model,
        "backend": completion.provider,
        "finish_reason": completion.finish_reason,
        "tokens_used": completion.charged,
        "input_tokens": completion.usage.input,
        "output_tokens": completion.usage.output,
        "latency_ms": completion.latency_ms,
        "fallback_used": completion.fallback_used,
        "warnings": list(completion.warnings),
    }
