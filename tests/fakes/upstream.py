"""A provider to script: the true Ollama, OpenAI and Anthropic wires over real sockets, with every fault a provider can have.

    with FakeUpstream() as upstream:
        upstream.always(Answer(["Hel", "lo"], usage=(7, 2)))             # everybody, from now on
        upstream.always(Answer("Hi"), model="gpt-test")                  # who asks for this model
        upstream.enqueue(Answer(fault="reset_before"), Answer("Ha"))     # the next two requests only
        …
        upstream.wait_for_requests(2)
        upstream.requests[0].body["model"], upstream.requests[0].sent, upstream.requests[0].usage

It records exactly what it sent and when its peer left. An `Answer.gate` holds an answer until the test opens it, so no test sleeps:

        gate = Gate()
        upstream.enqueue(Answer(["tok "] * 100, gate=gate, gate_after=20))
        …                                                                # ask, in a thread or a task
        upstream.wait_until(lambda fake: fake.chats[-1:] and fake.chats[-1].sent == 20)
        gate.set()                                                       # or leave, and:
        assert upstream.chats[-1].closed.wait(1)

The path says the wire: /api/chat Ollama's, …/chat/completions OpenAI's, …/messages Anthropic's; `models` fills the lists of models
of all of them and of Gemini (/v1beta/models). Those are scripted by their path: `enqueue(Answer(fault="401"), path="/v1/models")`.
`refused_url`, `hanging_url` and `tls_garbage_url` are addresses where not even a request arrives.

As a process, which records nothing: python -m tests.fakes.upstream --port 18080 --tokens 100 --delay-ms 0
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from functools import cached_property

import uvloop

from tests.fakes import sockets
from tests.fakes.answers import FAULTS, Answer, Counts, Gate, ToolCall
from tests.fakes.connection import Connection
from tests.fakes.listings import Model
from tests.fakes.loop import LoopThread
from tests.fakes.records import Record

__all__ = ["FAULTS", "Answer", "Counts", "FakeUpstream", "Gate", "Record", "ToolCall"]

BACKLOG = 4096


class FakeUpstream:
    """A server in a thread of its own, at `url` (`url + "/v1"` for the OpenAI wire). `port` 0 = any."""

    def __init__(self, default: Answer | None = None, port: int = 0, recording: bool = True) -> None:
        self.port, self.recording = port, recording
        self.default = default or Answer()
        self.standing: dict[str, Answer] = {}  # by model or path
        self.queues: dict[str, deque[Answer]] = defaultdict(deque)
        self.models: list[Model] = []
        self.page_size = 0  # of the lists of models that have pages; 0 = one page
        self._requests: list[Record] = []
        self.connections: set[Connection] = set()
        self.failures: list[BaseException] = []  # of the fake itself
        self._numbers = itertools.count(1)
        self.news = threading.Condition()  # held while a piece is written and counted, so that nobody sees one without the other
        self._held: list[socket.socket] = []

    def __enter__(self) -> FakeUpstream:
        self._thread = LoopThread("fake-upstream")
        self._thread.run(self.listen())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.run(self._close())
        self._thread.stop()
        for found in self._held:
            found.close()
        if self.failures and kind is None:
            raise self.failures[0]

    # -- the script -------------------------------------------------------------------------------------------------------

    def always(self, answer: Answer, model: str = "", path: str = "") -> None:
        """Answer so from now on: every chat, or who asks for this model (its native id), or this path."""
        if path or model:
            self.standing[path or model] = answer
        else:
            self.default = answer

    def enqueue(self, *answers: Answer, model: str = "", path: str = "") -> None:
        """Answer the next requests so, in this order, before what always() says."""
        self.queues[path or model].extend(answers)

    def reset(self) -> None:
        """As new; connections stay."""
        self.default, self.models, self.page_size = Answer(), [], 0
        self.standing.clear()
        self.queues.clear()
        self._requests.clear()

    # -- what happened ----------------------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[Record]:
        """Everything that was asked, in order; what its asker has read is counted in it."""
        with self.news:
            return self._requests

    @property
    def chats(self) -> list[Record]:
        """The requests that asked a model."""
        return [record for record in self.requests if record.wire]

    def wait_until(self, condition: Callable[[FakeUpstream], object], timeout: float = 10.0) -> None:
        """Return when `condition(self)` holds, which is looked at whenever something happens. Fails the test after `timeout`."""
        with self.news:
            assert self.news.wait_for(lambda: condition(self), timeout), f"never came true; requests: {self.requests}"

    def wait_for_requests(self, number: int, timeout: float = 10.0) -> list[Record]:
        """The first `number` requests, once so many are here."""
        self.wait_until(lambda fake: len(fake.requests) >= number, timeout)
        return self.requests[:number]

    def drop_connections(self, reset: bool = False) -> None:
        """Close all of them, the idle ones in clients' pools too: FIN or RST. Return when that is done."""
        self._thread.run(self._drop(reset))

    # -- addresses --------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_garbage_url(self) -> str:
        """Answers a TLS hello with what is none."""
        return f"https://127.0.0.1:{self.port}"

    @cached_property
    def refused_url(self) -> str:
        """Nobody listens there."""
        self._held.append(sockets.refused())
        return sockets.url(self._held[-1])

    @cached_property
    def hanging_url(self) -> str:
        """A connection there is never made."""
        found = sockets.hanging()
        self._held += found
        return sockets.url(found[0])

    # -- inside the thread ------------------------------------------------------------------------------------------------

    async def listen(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, "127.0.0.1", self.port, backlog=BACKLOG)
        self.port = self._server.sockets[0].getsockname()[1]
        return self._server

    def _connection(self) -> Connection:
        return Connection(self, next(self._numbers))

    def scripted(self, record: Record) -> Answer | None:
        """The answer to this request; None for a list of models that is not scripted."""
        keys = (record.path, record.model, "") if record.wire else (record.path,)
        for key in keys:
            if self.queues.get(key):
                return self.queues[key].popleft()
        return next((self.standing[key] for key in keys if key in self.standing), self.default if record.wire else None)

    def note(self, record: Record) -> None:
        if self.recording:
            self._requests.append(record)
            self.tell()

    def tell(self) -> None:
        """Something happened."""
        if self.recording:
            with self.news:
                self.news.notify_all()

    async def _drop(self, reset: bool) -> None:
        for connection in tuple(self.connections):
            connection.drop(reset)
        while self.connections:
            await asyncio.sleep(0)

    async def _close(self) -> None:
        self._server.close()
        await self._drop(reset=True)


async def _serve(port: int, answer: Answer) -> None:
    upstream = FakeUpstream(answer, port, recording=False)
    server = await upstream.listen()
    print(upstream.url, flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.upstream")
    parser.add_argument("--port", type=int, default=0, help="0 = any; it is printed")
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--delay-ms", type=float, default=0.0, help="between tokens")
    chosen = parser.parse_args()
    answer = Answer(["token "] * chosen.tokens, usage=(12, chosen.tokens), delay=chosen.delay_ms / 1000)
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(chosen.port, answer))


if __name__ == "__main__":
    main()
