"""The dialect of `/v1/client/chat`: JSON ⇄ types. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from llm.types import ChatRequest, Completion, Delta, Message

TEMPERATURE = 0.7
MAX_TOKENS = 4096


def parse(data: Mapping[str, Any]) -> ChatRequest:
    """A ChatRequest from the validated fields of llm.serializers.ChatSerializer."""
    messages = [Message(role=message["role"], content=message["content"]) for message in data.get("messages") or ()]
    if data.get("system_prompt"):
        messages.insert(0, Message(role="system", content=data["system_prompt"]))
    if data.get("message"):
        messages.append(Message(role="user", content=data["message"]))
    return ChatRequest(
        messages=tuple(messages),
        model=data.get("model") or "",
        temperature=data.get("temperature", TEMPERATURE),
        max_tokens=data.get("max_tokens"),
        stream=data.get("stream", False),
        substitution=data.get("substitution", "any"),
        substitution_explicit="substitution" in data,
        persona=True,
    )


def render(completion: Completion) -> dict[str, Any]:
    """The response object, plain or as the stream's `done`."""
    return {
        "response": completion.text,
        "model": completion.model,
        "tier": completion.tier,
        "backend": completion.provider,
        "tokens_used": completion.charged,
        "latency_ms": completion.latency_ms,
        "fallback_used": completion.fallback_used,
        "request_id": completion.request_id,
        "finish_reason": completion.finish_reason,
        "tokens_remaining": completion.remaining,
        "warnings": list(completion.warnings),
    }


def event(part: Delta | Completion) -> bytes:
    """One server-sent event: `delta` {text} or `done` {the response object}. b"" where a Delta carries no text."""
    if isinstance(part, Completion):
        return b"event: done\ndata: " + orjson.dumps(render(part)) + b"\n\n"
    if not part.text:
        return b""
    return b"event: delta\ndata: " + orjson.dumps({"text": part.text}) + b"\n\n"


def error_event(code: str, detail: str, extra: Mapping[str, Any]) -> bytes:
    """The `error` event that ends a broken stream: {code, detail, …}."""
    return b"event: error\ndata: " + orjson.dumps({"code": code, "detail": detail, **extra}) + b"\n\n"
