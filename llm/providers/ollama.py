"""Ollama's own chat: one JSON object a line, `done: true` in the last. Also the format of Ollama Cloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from llm.providers.base import (
    NO_QUIRKS,
    InvalidAnswer,
    ListedModel,
    UnsupportedRequest,
    as_function,
    read_usage,
    reported,
    string,
    tool_arguments,
)
from llm.providers.lines import LineSplitter
from llm.providers.listings import ollama_models
from llm.providers.pieces import Pieces
from llm.providers.quirks import adjusted, authorised, sampling
from llm.types import ChatRequest, Message


class OllamaWire:
    name = "ollama"
    models_path = "/api/tags"

    def outgoing(self, chat: ChatRequest, native_id: str, quirks: Mapping[str, Any] = NO_QUIRKS) -> tuple[str, dict[str, Any]]:
        options = {**sampling(chat, native_id, quirks), **quirks.get("options", {})}
        if chat.max_tokens is not None:
            options["num_predict"] = chat.max_tokens
        if chat.stop:
            options["stop"] = list(chat.stop)
        names = {call.id: call.name for message in chat.messages for call in message.tool_calls}
        body: dict[str, Any] = {
            "model": native_id,
            "messages": [_message(message, names) for message in chat.messages],
            "stream": True,
        }
        if options:
            body["options"] = options
        if chat.tools and chat.tool_choice != "none":
            if chat.tool_choice != "auto":
                raise UnsupportedRequest("Ollama cannot be made to call a tool: `tool_choice` must be auto or none.", "tool_choice")
            body["tools"] = [as_function(tool) for tool in chat.tools]
        if chat.json_schema is not None:
            body["format"] = dict(chat.json_schema)
        return "/api/chat", adjusted(body, quirks)

    def headers(self, key: str, quirks: Mapping[str, Any] = NO_QUIRKS) -> dict[str, str]:
        return authorised(key, quirks)

    def parser(self, quirks: Mapping[str, Any] = NO_QUIRKS) -> OllamaParser:
        return OllamaParser()

    def parse_models(self, payload: Any) -> tuple[list[ListedModel], str | None]:
        return ollama_models(payload)


class OllamaParser(Pieces):
    def __init__(self) -> None:
        super().__init__(LineSplitter())

    def _take(self, payload: bytes) -> None:
        if not payload.strip():
            return
        line = orjson.loads(payload)
        if error := line.get("error"):
            raise reported(error)
        message = line.get("message") or {}
        if "message" not in line and "done" not in line:
            raise InvalidAnswer("The provider sent a line that is none of Ollama's.")
        self._seen = True
        if thought := message.get("thinking"):
            self._reasoning(string(thought))
        if content := message.get("content"):
            self._text(string(content))
        for call in message.get("tool_calls") or ():
            function = call["function"]
            self._call(None, call.get("id"), function["name"], function.get("arguments") or {})
        if line.get("done") is True:
            self._done(line)

    def _done(self, line: dict[str, Any]) -> None:
        self.complete = True
        self._model = string(line.get("model") or "")
        self._usage(read_usage(line.get("prompt_eval_count"), line.get("eval_count")))
        self._end("length" if line.get("done_reason") == "length" else "stop")


def _message(message: Message, names: Mapping[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.images:
        if any(not image.data for image in message.images):
            raise UnsupportedRequest("Ollama takes images as data, not by their address.", "messages")
        body["images"] = [image.data for image in message.images]
    if message.role == "tool":
        body["tool_call_id"] = message.tool_call_id
        body["tool_name"] = names.get(message.tool_call_id, "")
    if message.tool_calls:
        body["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": tool_arguments(call.arguments)}} for call in message.tool_calls
        ]
    return body


WIRE = OllamaWire()
