"""Counting one answer while it runs: what came from the provider, what went to the client, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from billing.charges import Outcome
from billing.estimate import IMAGE_TOKENS, MESSAGE_TOKENS, guess, upper_bound
from llm.types import ChatRequest, Delta, Finish, ToolCall, Usage

JOINED_BYTES = 16  # a piece longer than this joins several tokens, which are then counted by their bytes


@dataclass(slots=True)
class Count:
    """Output as it passes: nearly every provider sends one token a piece; longer pieces count a token every six bytes."""

    chunks: int = 0
    bytes: int = 0

    def add(self, delta: Delta) -> None:
        self.chunks += delta.chunks
        for text in (delta.text, delta.reasoning, *(call.arguments for call in delta.tool_calls)):
            if text:
                self.bytes += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))

    @property
    def tokens(self) -> int:
        """A fair count."""
        return self.chunks if self.bytes <= self.chunks * JOINED_BYTES else round(self.bytes / 6)

    @property
    def least(self) -> int:
        """A count that no tokenizer stays under: what an answer is cut by."""
        return self.chunks if self.bytes <= self.chunks * JOINED_BYTES else self.bytes // 12


@dataclass(slots=True)
class Meter:
    """One request's running count. Reset with each try."""

    input_guess: int
    budget: int  # output tokens
    received: Count = field(default_factory=Count)
    shown: Count = field(default_factory=Count)  # of these, what its door passes on
    delivered: int = 0  # tokens that reached the client
    reported: Usage | None = None
    finish: Finish | None = None
    cut: bool = False  # we ended it at the budget
    past_budget: int = 0  # pieces that came all the same; dropped
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: dict[int, ToolCall] = field(default_factory=dict)

    def start_over(self) -> None:
        self.received, self.shown = Count(), Count()
        self.reported = self.finish = None
        self.cut, self.past_budget = False, 0
        self.text, self.reasoning, self.calls = [], [], {}

    def take(self, delta: Delta, *, shown: bool) -> None:
        """Count a piece and keep it for the whole answer; past the budget, drop it."""
        if self.cut:
            self.past_budget += delta.chunks
            return
        self.received.add(delta)
        if shown:
            self.shown.add(delta)
        if delta.text:
            self.text.append(delta.text)
        if delta.reasoning:
            self.reasoning.append(delta.reasoning)
        for piece in delta.tool_calls:
            call = self.calls.get(piece.index, ToolCall("", "", ""))
            self.calls[piece.index] = ToolCall(piece.id or call.id, piece.name or call.name, call.arguments + piece.arguments)
        self.cut = self.received.least >= self.budget

    def usage(self) -> Usage:
        """What the provider reported, else our own count, flagged. No output, where some came, is no report of it."""
        if self.reported is None:
            return Usage(input=self.input_guess, output=self.received.tokens, estimated=True)
        if self.received.chunks and not self.reported.output:
            return replace(self.reported, output=self.received.tokens, estimated=True)
        return self.reported

    def outcome(self) -> Outcome:
        """How a request that ended by itself ended."""
        return Outcome.ANSWERED if self.received.chunks and self.usage().output else Outcome.EMPTY

    @property
    def finish_reason(self) -> str:
        return "length" if self.cut or self.finish is None else self.finish.reason


def input_guess(request: ChatRequest) -> int:
    """A fair guess of the input's tokens, for what nobody reports."""
    return sum(guess(text) for text in _texts(request)) + _overhead(request)


def input_bound(request: ChatRequest) -> int:
    """An upper bound of the input's tokens, to reserve by."""
    return sum(upper_bound(text) for text in _texts(request)) + _overhead(request)


def _texts(request: ChatRequest) -> list[str]:
    texts = [message.text for message in request.messages]
    texts += [call.arguments for message in request.messages for call in message.tool_calls]
    texts += [tool.name + tool.description + str(tool.parameters) for tool in request.tools]
    return texts + ([str(request.json_schema)] if request.json_schema else [])


def _overhead(request: ChatRequest) -> int:
    images = sum(len(message.images) for message in request.messages)
    return MESSAGE_TOKENS * (len(request.messages) + 1) + IMAGE_TOKENS * images
