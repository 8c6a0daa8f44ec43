"""What a fake provider is told to say: an `Answer`, its faults and its parts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, NamedTuple

FAULTS = {
    # before an answer
    "hang": "reads the request and says nothing",
    "close_before": "FIN before a byte",
    "reset_before": "RST before a byte",
    "silence_before": "sends the headers and nothing more",
    "only_comments": "sends the headers, and then what says nothing, for ever",
    "cut_before": "FIN after the headers, before a token",
    "reset_headers": "RST after the headers, before a token",
    # in the middle of it: after all tokens, or after `Answer.after` of them
    "cut_after": "FIN in the middle of the body",
    "reset_after": "RST in the middle of the body",
    "silence_after": "says nothing more",
    "no_end": "the body ends properly, without [DONE], done:true or message_stop",
    "stays_open": "the whole answer, and then the body does not end",
    "error_event": "an error inside the stream",
    "endless": "repeats its tokens for ever, whatever the maximum",
    # how it is cut into packets
    "bytes": "one byte a write",
    "split": "writes that end inside UTF-8 characters and lines",
    "slow": "`Answer.rate` bytes a second",
    # what it reports
    "usage_with_text": "usage in a chunk that also carries text",
    "usage_after_finish": "usage in an event of its own after the end was told",
    "zero_tokens": "no text, and 0 completion tokens reported",
    "negative_usage": "both counts below 0",
    "huge_usage": "both counts 10**15",
    "wrong_model": "names another model",
    # no answer of the wire at all
    "empty": "200 with nothing",
    "html": "200 with HTML",
    "garbage": "200 with bytes of no format",
    "huge": "200 with 8 MiB of one JSON value",
    "401": "the key is refused",
    "404": "the model is unknown",
    "429": "too many requests, without Retry-After",
    "429_retry_after": "too many requests, Retry-After: 1",
    "500": "an error of the provider's own",
    "503": "overloaded",
    "html_502": "502 with a proxy's page",
    "slots_429": "Ollama Cloud has no free slot: 429",
    "slots_503": "Ollama Cloud has no free slot: 503",
}

HTML = b"<html><head><title>Welcome</title></head><body>Sign in to the hotel's network</body></html>"
BAD_GATEWAY = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></center></body>\r\n</html>\r\n"
)
NO_SLOT = "timed out waiting for a concurrent request slot"

# Faults that are other values of an answer's own fields.
PRESETS: dict[str, dict[str, Any]] = {
    "zero_tokens": {"chunks": (), "usage": (7, 0)},
    "negative_usage": {"usage": (-7, -2)},
    "huge_usage": {"usage": (10**15, 10**15)},
    "wrong_model": {"model": "someone-elses-model"},
    "empty": {"raw": b""},
    "html": {"raw": HTML, "headers": {"Content-Type": "text/html"}},
    "garbage": {"raw": bytes(range(256)) * 4},
    "huge": {"raw": b'{"x": "' + b"y" * (8 * 1024 * 1024) + b'"}', "headers": {"Content-Type": "application/json"}},
    "401": {"status": 401, "error": "Incorrect API key provided"},
    "404": {"status": 404, "error": "model not found"},
    "429": {"status": 429, "error": "Rate limit reached"},
    "429_retry_after": {"status": 429, "error": "Rate limit reached", "headers": {"Retry-After": "1"}},
    "500": {"status": 500, "error": "Internal server error"},
    "503": {"status": 503, "error": "Server overloaded, please retry shortly"},
    "html_502": {"status": 502, "raw": BAD_GATEWAY, "headers": {"Content-Type": "text/html"}},
    "slots_429": {"status": 429, "error": NO_SLOT},
    "slots_503": {"status": 503, "error": NO_SLOT},
}


class Counts(NamedTuple):
    """What is reported. `input` and `output` are whole: `cached` and `written` are parts of the one, `reasoning` of the other."""

    input: int
    output: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0


class ToolCall(NamedTuple):
    name: str
    arguments: Mapping[str, Any] = {}
    id: str = "call_1"


class Gate(threading.Event):
    """An event for `Answer.gate` that wakes what waits for it at once. A plain threading.Event is looked at every 5 ms instead."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: set[Callable[[], object]] = set()

    def set(self) -> None:
        super().set()
        for wake in tuple(self._waiting):
            wake()

    def wakes(self, wake: Callable[[], object]) -> None:
        """Call this, from any thread, when the gate opens; at once if it is open."""
        self._waiting.add(wake)
        if self.is_set():
            wake()

    def forgets(self, wake: Callable[[], object]) -> None:
        self._waiting.discard(wake)


@dataclass(frozen=True, eq=False)
class Answer:
    """What to answer with. Any status but 200 sends `error` as the wire's error body. Times in seconds."""

    chunks: Sequence[str] | str = field(default_factory=lambda: ["Hello", " world"])  # one text a token
    usage: tuple[int, ...] | Counts | None = (7, 2)  # None = not reported
    finish: str = "stop"  # stop, length, tool_calls or content_filter; each wire has its own words for it
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    error: str = "the provider's own words"
    raw: bytes | None = None  # the whole body, in place of the wire's
    model: str = ""  # as the answer names it; "" = as asked
    fault: str = ""  # one of FAULTS
    delay: float = 0.0  # between tokens; a plain answer takes as long in all
    gate: threading.Event | None = None  # waited for after `gate_after` tokens
    gate_after: int = 0
    reasoning: Sequence[str] | str = ()  # one text a token, before `chunks`
    tool_calls: Sequence[ToolCall] = ()  # after `chunks`
    first_byte_delay: float = 0.0  # before the headers
    after: int | None = None  # how many tokens come before the fault; None = all
    rate: float = 1.0  # bytes a second of the fault "slow"

    def __post_init__(self) -> None:
        if self.fault and self.fault not in FAULTS:
            raise ValueError(f"{self.fault!r} is none of {', '.join(FAULTS)}")

    @property
    def texts(self) -> list[str]:
        return _listed(self.chunks)

    @property
    def thoughts(self) -> list[str]:
        return _listed(self.reasoning)

    @property
    def counts(self) -> Counts | None:
        return None if self.usage is None else Counts(*self.usage)

    @property
    def arguments(self) -> list[ToolCall]:
        return [ToolCall(*call) for call in self.tool_calls]


def _listed(value: Sequence[str] | str) -> list[str]:
    return ([value] if value else []) if isinstance(value, str) else list(value)


@lru_cache(maxsize=1024)
def spelled_out(answer: Answer) -> Answer:
    """With the fields that its fault stands for; what the test set itself is kept."""
    preset = PRESETS.get(answer.fault, {})
    usual = Answer()
    ours = {one.name for one in fields(answer) if getattr(answer, one.name) != getattr(usual, one.name)}
    found = {name: value for name, value in preset.items() if name not in ours}
    if "headers" in preset:
        found["headers"] = {**preset["headers"], **answer.headers}
    return replace(answer, **found) if found else answer
