"""What flows through a chat. Frozen, and free of Django: dialects make these, providers consume and produce them.

ChatRequest ─▶ provider ─▶ Delta… Usage Finish ─▶ Completion
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

Role = Literal["system", "user", "assistant", "tool"]
Substitution = Literal["strict", "family", "any"]


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of a message's content."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image of a message: base64 `data` with its media type, or a `url` that the provider fetches (never we)."""

    media_type: str = ""
    data: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model made; `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `content` is plain text unless it carries images."""

    role: Role
    content: str | tuple[Text | Image, ...] = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""

    @property
    def text(self) -> str:
        """All of its text, images left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, Text))

    @property
    def images(self) -> tuple[Image, ...]:
        return () if isinstance(self.content, str) else tuple(part for part in self.content if isinstance(part, Image))


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call; `parameters` is its JSON schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a caller asks, whichever door it came through."""

    messages: tuple[Message, ...]
    model: str = ""  # "" = the caller's default
    temperature: float | None = None
    max_tokens: int | None = None  # None = the door's default
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"  # auto, none, required, or a tool's name
    json_schema: Mapping[str, Any] | None = None  # the answer must be JSON of this schema
    stream: bool = False
    substitution: Substitution = "any"
    substitution_explicit: bool = False  # the caller wrote it, so it may also lead past a spent quota
    persona: bool = False  # this door adds Brumo where no system prompt is given
    shows_reasoning: bool = False  # this door passes a model's reasoning on

    def shows(self, delta: Delta) -> bool:
        """Does this piece reach the client?"""
        return bool(delta.text or delta.tool_calls or (delta.reasoning and self.shows_reasoning))


@dataclass(frozen=True, slots=True)
class Ask:
    """A turn as it is asked for. `request` holds all but what was said before."""

    id: UUID
    request: ChatRequest
    message: str = ""
    system_prompt: str | None = None
    conversation: UUID | None = None  # None = a new one; an unknown id becomes a new one of that id
    parent: UUID | None = None
    at_leaf: bool = True  # go on where the conversation ends; else at `parent`, None = at its root
    attachments: tuple[UUID, ...] = ()
    files: Mapping[int, tuple[UUID, ...]] = field(default_factory=dict)  # of the messages that a temporary chat brings, by their place
    group: UUID | None = None
    temporary: bool = False  # nothing of it is stored
    given: Mapping[str, Any] = field(default_factory=dict)  # temperature, max_tokens and substitution, where they were sent

    @property
    def all_files(self) -> set[UUID]:
        """Those it asks about, and those of what was said before."""
        return {*self.attachments, *(pk for ids in self.files.values() for pk in ids)}


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call: `index` says which call; id and name come once, arguments in pieces."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer. `chunks` is how many pieces of the provider's it joins."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    chunks: int = 1


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `input` is all of the input and `output` all of the output; the others are parts of these two."""

    input: int = 0
    output: int = 0
    cached_input: int = 0
    cache_write: int = 0
    reasoning: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Finish:
    """The provider's terminal event. reason: stop, length, tool_calls, content_filter. `model` as the provider names it."""

    reason: str = "stop"
    model: str = ""


Event = Delta | Usage | Finish


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one route, as the receipt shows it. `status` is an HTTP status, or 0 where none came."""

    model: str
    provider: str
    status: int
    ms: int
    outcome: str  # ok, or an error code: connect, timeout, rate_limited, upstream_error, invalid_answer, breaker_open, cancelled

    def as_dict(self) -> dict[str, Any]:
        return {"model": self.model, "provider": self.provider, "status": self.status, "ms": self.ms, "outcome": self.outcome}


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer, and what it cost. `remaining` None = no limit."""

    request_id: str
    text: str
    model: str
    provider: str
    tier: str
    usage: Usage
    charged: int
    finish_reason: str
    latency_ms: int
    fallback_used: bool = False
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    remaining: int | None = None
    warnings: tuple[str, ...] = ()
