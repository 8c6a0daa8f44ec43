"""Anthropic's messages: SSE with typed events, `message_stop` at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from llm.providers.base import NO_QUIRKS, ListedModel, UnsupportedRequest, count, read_usage, reported, string, tool_arguments
from llm.providers.lines import EventSplitter
from llm.providers.listings import anthropic_models
from llm.providers.pieces import Pieces
from llm.providers.quirks import adjusted, authorised, sampling
from llm.types import ChatRequest, Image, Message, Text, Usage

VERSION = "2023-06-01"
DEFAULT_MAX_TOKENS = 4096  # it has none of its own and insists on one
REASONS = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
CHOICES = {"none": {"type": "none"}, "required": {"type": "any"}}


class AnthropicWire:
    name = "anthropic"
    models_path = "/v1/models?limit=1000"

    def outgoing(self, chat: ChatRequest, native_id: str, quirks: Mapping[str, Any] = NO_QUIRKS) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {
            "model": native_id,
            "max_tokens": chat.max_tokens or DEFAULT_MAX_TOKENS,
            "messages": _conversation(chat.messages),
            "stream": True,
            **sampling(chat, native_id, quirks, temperature_max=1.0),
        }
        body.pop("seed", None)  # a wish it does not know; answers are not promised to be the same anywhere
        if "temperature" in body:
            body.pop("top_p", None)  # its newer models refuse the two together
        if system := "\n\n".join(message.text for message in chat.messages if message.role == "system" and message.text):
            body["system"] = system
        if stops := [stop for stop in chat.stop if stop.strip()]:
            body["stop_sequences"] = stops
        if chat.tools:
            body["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters) or {"type": "object"}}
                for tool in chat.tools
            ]
            if chat.tool_choice != "auto":
                body["tool_choice"] = CHOICES.get(chat.tool_choice) or {"type": "tool", "name": chat.tool_choice}
        if chat.json_schema is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": dict(chat.json_schema)}}
        return "/v1/messages", adjusted(body, quirks)

    def headers(self, key: str, quirks: Mapping[str, Any] = NO_QUIRKS) -> dict[str, str]:
        return {"anthropic-version": VERSION, **authorised(key, quirks, auth_header="x-api-key")}

    def parser(self, quirks: Mapping[str, Any] = NO_QUIRKS) -> AnthropicParser:
        return AnthropicParser()

    def parse_models(self, payload: Any) -> tuple[list[ListedModel], str | None]:
        return anthropic_models(payload)


class AnthropicParser(Pieces):
    """Usage comes in two halves, the input at the start: it is passed on once the output's half is there too."""

    def __init__(self) -> None:
        super().__init__(EventSplitter())
        self._counts: dict[str, Any] = {}
        self._reason = "stop"

    def _take(self, payload: bytes) -> None:
        event = orjson.loads(payload)
        kind = event["type"]
        if kind == "content_block_delta":
            self._delta(event.get("index"), event["delta"])
        elif kind == "content_block_start":
            self._block(event.get("index"), event["content_block"])
        elif kind == "message_start":
            self._started(event["message"])
        elif kind == "message_delta":
            self._message_delta(event)
        elif kind == "message_stop":
            self.complete = True
            self._end(self._reason)
        elif kind == "error":
            raise reported(event["error"])
        self._seen = True

    def _delta(self, index: object, delta: dict[str, Any]) -> None:
        kind = delta["type"]
        if kind == "text_delta":
            if delta["text"]:
                self._text(string(delta["text"]))
        elif kind == "thinking_delta":
            if delta["thinking"]:
                self._reasoning(string(delta["thinking"]))
        elif kind == "input_json_delta" and delta["partial_json"]:
            self._call(index, None, None, string(delta["partial_json"]))

    def _block(self, index: object, block: dict[str, Any]) -> None:
        kind = block["type"]
        if kind == "tool_use":
            self._call(index, block.get("id"), block["name"], block.get("input") or None)
        elif kind == "text" and block.get("text"):
            self._text(string(block["text"]))
        elif kind == "thinking" and block.get("thinking"):
            self._reasoning(string(block["thinking"]))

    def _started(self, message: dict[str, Any]) -> None:
        model = message.get("model")
        self._model = model if isinstance(model, str) else ""
        self._count(message.get("usage"))

    def _message_delta(self, event: dict[str, Any]) -> None:
        reason = event["delta"].get("stop_reason")
        self._reason = REASONS.get(reason, "stop") if isinstance(reason, str) else "stop"
        if self._count(event.get("usage")):
            self._usage(self._read())

    def _count(self, usage: object) -> bool:
        if not isinstance(usage, dict):
            return False
        self._counts.update({name: value for name, value in usage.items() if value is not None})
        return True

    def _read(self) -> Usage | None:
        """Its `input_tokens` leave out what the cache gave or took: all three together are the input."""
        fresh = count(self._counts.get("input_tokens"))
        cached = count(self._counts.get("cache_read_input_tokens")) or 0
        written = count(self._counts.get("cache_creation_input_tokens")) or 0
        if fresh is None:
            return None
        return read_usage(fresh + cached + written, self._counts.get("output_tokens"), cached=cached, written=written)


def _conversation(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """Turns that alternate: tool results belong to the user's turn, and all results of one turn into one message."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _tool_result(message) if message.role == "tool" else _blocks(message)
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"].extend(blocks)
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.images and message.role != "user":
        raise UnsupportedRequest(f"Anthropic takes images in the user's messages only, not of the role {message.role}.", "messages")
    parts = (Text(message.content),) if isinstance(message.content, str) else message.content
    blocks = [_part(part) for part in parts if not (isinstance(part, Text) and not part.text.strip())]
    calls = [{"type": "tool_use", "id": call.id, "name": call.name, "input": tool_arguments(call.arguments)} for call in message.tool_calls]
    return blocks + calls


def _tool_result(message: Message) -> list[dict[str, Any]]:
    content: Any = message.text if not message.images else [_part(part) for part in message.content if not isinstance(part, str)]
    return [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": content}]


def _part(part: Text | Image) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if part.url:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    return {"type": "image", "source": {"type": "base64", "media_type": part.media_type, "data": part.data}}


WIRE = AnthropicWire()
