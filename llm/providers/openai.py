"""OpenAI's chat completions: the format most providers speak. SSE, one JSON object an event, `[DONE]` at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from llm.providers.base import NO_QUIRKS, ListedModel, UnsupportedRequest, UpstreamError, as_function, read_usage, reported, string
from llm.providers.lines import EventSplitter
from llm.providers.listings import openai_models
from llm.providers.pieces import Pieces
from llm.providers.quirks import adjusted, authorised, sampling
from llm.types import ChatRequest, Image, Message, Text, Usage

REASONS = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
FAILURES = ("error", "insufficient_system_resource")


class OpenAIWire:
    name = "openai"
    models_path = "/models"

    def outgoing(self, chat: ChatRequest, native_id: str, quirks: Mapping[str, Any] = NO_QUIRKS) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {
            "model": native_id,
            "messages": [_message(message) for message in chat.messages],
            "stream": True,
            **sampling(chat, native_id, quirks),
        }
        if not quirks.get("no_stream_options"):
            body["stream_options"] = {"include_usage": True}
        if chat.max_tokens is not None:
            body[quirks.get("max_tokens_field", "max_tokens")] = chat.max_tokens
        if chat.stop:
            body["stop"] = list(chat.stop)
        if chat.tools:
            body["tools"] = [as_function(tool) for tool in chat.tools]
            if chat.tool_choice != "auto":
                body["tool_choice"] = _tool_choice(chat.tool_choice)
        if chat.json_schema is not None:
            _ask_for_json(body, chat.json_schema, quirks)
        return "/chat/completions", adjusted(body, quirks)

    def headers(self, key: str, quirks: Mapping[str, Any] = NO_QUIRKS) -> dict[str, str]:
        return authorised(key, quirks)

    def parser(self, quirks: Mapping[str, Any] = NO_QUIRKS) -> OpenAIParser:
        return OpenAIParser(output_from_total=bool(quirks.get("output_from_total")))

    def parse_models(self, payload: Any) -> tuple[list[ListedModel], str | None]:
        return openai_models(payload)


class OpenAIParser(Pieces):
    """Takes what the dialect's many speakers send: usage in any chunk, missing or doubled tool indexes, reasoning under two names."""

    def __init__(self, output_from_total: bool = False) -> None:
        super().__init__(EventSplitter())
        self._output_from_total = output_from_total

    def _take(self, payload: bytes) -> None:
        if payload == b"[DONE]":
            self._seen = self.complete = True
            self._end("stop")
            return
        chunk = orjson.loads(payload)
        if error := chunk.get("error"):
            raise reported(error)
        self._seen = True
        if choices := chunk.get("choices"):
            self._choice(choices[0])
        if model := chunk.get("model"):
            self._model = model if isinstance(model, str) else ""
        if usage := chunk.get("usage") or _object(chunk.get("x_groq")).get("usage"):
            self._usage(self._read(_object(usage)))
        if choices and (reason := choices[0].get("finish_reason")):
            self._stopped(reason)

    def _choice(self, choice: dict[str, Any]) -> None:
        delta = choice.get("delta")
        if not delta:
            return
        if content := delta.get("content"):
            self._content(content)
        if thought := delta.get("reasoning_content") or delta.get("reasoning"):
            self._reasoning(string(thought))
        if refusal := delta.get("refusal"):
            self._text(string(refusal))
        for call in delta.get("tool_calls") or ():
            function = call.get("function") or {}
            self._call(call.get("index"), call.get("id"), function.get("name"), function.get("arguments"))

    def _content(self, content: Any) -> None:
        if isinstance(content, str):
            self._text(content)
            return
        for part in content:  # Mistral's reasoning models
            if part["type"] == "text":
                self._text(string(part["text"]))
            elif part["type"] == "thinking":
                self._reasoning("".join(string(piece.get("text", "")) for piece in part["thinking"]))

    def _stopped(self, reason: object) -> None:
        if reason in FAILURES:
            raise UpstreamError("upstream_error", status=200)
        self.complete = True
        self._end(REASONS.get(reason, "stop") if isinstance(reason, str) else "stop")

    def _read(self, usage: dict[str, Any]) -> Usage | None:
        prompt, output = usage.get("prompt_tokens"), usage.get("completion_tokens")
        total = usage.get("total_tokens")
        if self._output_from_total and type(total) is int and type(prompt) is int:
            output = total - prompt
        inputs, outputs = _object(usage.get("prompt_tokens_details")), _object(usage.get("completion_tokens_details"))
        cached = inputs.get("cached_tokens", usage.get("prompt_cache_hit_tokens", 0))
        return read_usage(
            prompt, output, cached=cached, written=inputs.get("cache_write_tokens", 0), reasoning=outputs.get("reasoning_tokens", 0)
        )


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _message(message: Message) -> dict[str, Any]:
    if message.images and message.role != "user":
        raise UnsupportedRequest(f"This provider takes images in the user's messages only, not of the role {message.role}.", "messages")
    body: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.images:
        body["content"] = [_part(part) for part in message.content if not isinstance(part, str)]
    if message.role == "tool":
        body["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        body["content"] = message.text or None
        body["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
            for call in message.tool_calls
        ]
    return body


def _part(part: Text | Image) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": part.url or f"data:{part.media_type};base64,{part.data}"}}


def _tool_choice(choice: str) -> str | dict[str, Any]:
    return choice if choice in ("none", "required") else {"type": "function", "function": {"name": choice}}


def _ask_for_json(body: dict[str, Any], schema: Mapping[str, Any], quirks: Mapping[str, Any]) -> None:
    """`json_schema: "json_object"` is for providers that promise JSON but not a schema: it goes along in words."""
    if quirks.get("json_schema") != "json_object":
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema)}}
        return
    body["response_format"] = {"type": "json_object"}
    words = f"Answer with JSON only, following this JSON schema: {orjson.dumps(dict(schema)).decode()}"
    body["messages"] = [{"role": "system", "content": words}, *body["messages"]]


WIRE = OpenAIWire()
