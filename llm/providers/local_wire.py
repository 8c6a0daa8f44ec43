"""The built-in model's wire: OpenAI's, with what a model of this size cannot do left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llm.persona import PERSONA
from llm.providers.base import NO_QUIRKS, UnsupportedRequest
from llm.providers.openai import OpenAIWire
from llm.types import ChatRequest, Message

LONGEST_ANSWER = 512  # tokens
CONTEXT_WINDOW = 2048  # tokens of question and answer together
SHORT_PERSONA = "You are Brumo, a calm, warm bear with a dry sense of humour. Be short and precise."


class LocalWire(OpenAIWire):
    name = "local"

    def outgoing(self, chat: ChatRequest, native_id: str, quirks: Mapping[str, Any] = NO_QUIRKS) -> tuple[str, dict[str, Any]]:
        if any(message.images for message in chat.messages):
            raise UnsupportedRequest("The built-in model sees no images.", "messages")
        if chat.tools and chat.tool_choice not in ("auto", "none"):
            raise UnsupportedRequest("The built-in model calls no tools.", "tool_choice")
        fitted = replace(
            chat,
            messages=tuple(map(_understandable, chat.messages)),
            max_tokens=min(chat.max_tokens or LONGEST_ANSWER, LONGEST_ANSWER),
            tools=(),
        )
        return super().outgoing(fitted, native_id, quirks)


def _understandable(message: Message) -> Message:
    """It knows no German: the German persona makes it babble, and costs it half a second to read."""
    return replace(message, content=SHORT_PERSONA) if message.content == PERSONA else message


WIRE = LocalWire()
