"""The parser all wires share: it splits bytes into JSON objects and joins the pieces that a wire finds in them."""

from __future__ import annotations

import secrets
from typing import Protocol

import orjson

from llm.providers.errors import IncompleteAnswer, InvalidAnswer, UpstreamError, reported
from llm.types import Delta, Event, Finish, ToolCallDelta, Usage

MOST_CALLS = 1_000


class Splitter(Protocol):
    overflow: bool
    odd: bytes | None

    def feed(self, data: bytes) -> list[bytes]: ...

    def close(self) -> bytes: ...


class Pieces:
    """A wire's parser gives `_take(payload)`, calls `_text`, `_reasoning`, `_call`, `_usage` and `_end`, sets `_seen` and `complete`.

    What came before an error is given first: the error is raised by the next call.
    """

    def __init__(self, splitter: Splitter) -> None:
        self._splitter = splitter
        self._events: list[Event] = []
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[ToolCallDelta] = []
        self._chunks = 0
        self._reported: Usage | None = None
        self._tools = ToolCalls()
        self._error: UpstreamError | None = None
        self._seen = False
        self.complete = False
        self._finished = False
        self._model = ""

    def feed(self, data: bytes) -> list[Event]:
        if self._error:
            raise self._error
        for line in self._splitter.feed(data):
            if not self._guarded(line):
                break
        self._check()
        return self._given()

    def close(self) -> list[Event]:
        if self._error:
            raise self._error
        if rest := self._splitter.close().strip():
            self._last(rest)
        self._check()
        if not self._error and not self.complete:
            self._error = IncompleteAnswer() if self._seen else InvalidAnswer("The provider answered with nothing of its format.")
        if not self._error:
            self._end("stop")
        return self._given()

    def _check(self) -> None:
        """Whether the splitter met something that no line of the format is."""
        if not self._error and self._splitter.overflow:
            self._error = InvalidAnswer("The provider sent a single event of more than 4 MiB.")
        if not self._error and self._splitter.odd is not None:
            self._error = _stray(self._splitter.odd)

    def _last(self, rest: bytes) -> None:
        """A last line without its end: whole, or torn off in the middle."""
        self._guarded(rest)
        if isinstance(self._error, InvalidAnswer) and self._seen:
            self._error = None if self.complete else IncompleteAnswer()

    def _guarded(self, line: bytes) -> bool:
        try:
            self._take(line)
        except UpstreamError as error:
            self._error = error
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, IndexError) as error:
            self._error = InvalidAnswer(f"The provider sent an event of an unknown shape ({type(error).__name__}).")
        return self._error is None

    def _take(self, payload: bytes) -> None:
        raise NotImplementedError

    def _given(self) -> list[Event]:
        """The events so far; the error only once there is nothing to give before it."""
        self._flush(usage=True)
        events, self._events = self._events, []
        if self._error and not events:
            raise self._error
        return events

    def _flush(self, usage: bool = False) -> None:
        if self._chunks:
            self._events.append(Delta("".join(self._texts), "".join(self._thoughts), tuple(self._calls), self._chunks))
            self._texts, self._thoughts, self._calls, self._chunks = [], [], [], 0
        if usage and self._reported is not None:
            self._events.append(self._reported)
            self._reported = None

    def _text(self, text: str) -> None:
        if self._thoughts or self._calls:
            self._flush()
        self._texts.append(text)
        self._chunks += 1

    def _reasoning(self, text: str) -> None:
        if self._texts or self._calls:
            self._flush()
        self._thoughts.append(text)
        self._chunks += 1

    def _call(self, index: object, call_id: object, name: object, arguments: object) -> None:
        if self._texts or self._thoughts:
            self._flush()
        self._calls.append(self._tools.place(index, call_id, name, arguments))
        self._chunks += 1

    def _usage(self, usage: Usage | None) -> None:
        """Only the last of a feed is passed on: some providers report a running total with each piece."""
        if usage is not None:
            self._reported = usage

    def _end(self, reason: str) -> None:
        """The Finish event, once; calls without arguments get `{}` first, which every client can parse."""
        if self._finished:
            return
        self._finished = True
        if empty := self._tools.unfilled():
            self._flush()
            self._events.append(Delta(tool_calls=empty, chunks=len(empty)))
        self._flush(usage=True)
        self._events.append(Finish("tool_calls" if reason == "stop" and self._tools.count else reason, self._model))


def _stray(line: bytes) -> UpstreamError:
    """A body that is no stream at all: some providers send their errors so, with a 200."""
    try:
        payload = orjson.loads(line)
    except orjson.JSONDecodeError:
        payload = None
    if isinstance(payload, dict) and payload.get("error"):
        return reported(payload["error"])
    return InvalidAnswer("The provider answered with something that is no event stream.")


class ToolCalls:
    """Gives each call of an answer an index from 0 and an id, whatever the provider left out or numbered otherwise."""

    def __init__(self) -> None:
        self.count = 0
        self._prefix = ""
        self._by_id: dict[str, int] = {}
        self._by_index: dict[int, int] = {}
        self._filled: set[int] = set()

    def place(self, index: object, call_id: object, name: object, arguments: object) -> ToolCallDelta:
        given_id = call_id if isinstance(call_id, str) else ""
        given_name = name if isinstance(name, str) else ""
        ours, new = self._find(index, given_id, given_name)
        text = arguments if isinstance(arguments, str) else "" if arguments is None else orjson.dumps(arguments).decode()
        if text:
            self._filled.add(ours)
        if not new:
            return ToolCallDelta(ours, arguments=text)
        return ToolCallDelta(ours, given_id or self._made_up(ours), given_name, text)

    def _find(self, index: object, call_id: str, name: str) -> tuple[int, bool]:
        known = self._by_index.get(index) if isinstance(index, int) else None
        if call_id in self._by_id:
            return self._by_id[call_id], False
        if not call_id and known is not None:
            return known, False
        if not call_id and not name and index is None and self.count:
            return self.count - 1, False
        if self.count >= MOST_CALLS:
            raise InvalidAnswer("The provider called tools without end.")
        ours, self.count = self.count, self.count + 1
        if call_id:
            self._by_id[call_id] = ours
        if isinstance(index, int):
            self._by_index[index] = ours
        return ours, True

    def _made_up(self, index: int) -> str:
        self._prefix = self._prefix or secrets.token_hex(8)
        return f"call_{self._prefix}_{index}"

    def unfilled(self) -> tuple[ToolCallDelta, ...]:
        return tuple(ToolCallDelta(index, arguments="{}") for index in range(self.count) if index not in self._filled)
