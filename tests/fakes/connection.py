"""One connection to a fake provider: requests one after another, and an eye on whether the peer is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from tests.fakes import http11, replies, sockets
from tests.fakes.delivery import deliver
from tests.fakes.records import Record
from tests.fakes.wires import Piece

if TYPE_CHECKING:
    from tests.fakes.upstream import FakeUpstream

TLS_HELLO = b"\x16"


class Connection(asyncio.Protocol):
    def __init__(self, upstream: FakeUpstream, number: int) -> None:
        self.upstream, self.number = upstream, number
        self.buffer = bytearray()
        self.record: Record | None = None  # what is being answered
        self.work: asyncio.Task[None] | None = None
        self.full = False
        self._room = asyncio.Event()
        self._room.set()

    # -- what the loop tells ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]  # uvloop's is none of asyncio's classes
        self.transport.set_write_buffer_limits(high=0)  # full = not all of it is with the kernel
        self.upstream.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if not self.buffer and data.startswith(TLS_HELLO):
            self.write(bytes(range(255, -1, -1)))
            return self.close()
        self.buffer += data
        self._next()

    def pause_writing(self) -> None:
        self.full = True
        self._room.clear()

    def resume_writing(self) -> None:
        self.full = False
        self._room.set()

    def eof_received(self) -> None:
        self._peer_left()

    def connection_lost(self, error: Exception | None) -> None:
        self._peer_left()
        self.upstream.connections.discard(self)

    def _peer_left(self) -> None:
        if self.record is not None:
            self.record.peer_left()
            self.record = None
        if self.work is not None:
            self.work.cancel()

    # -- what a delivery asks for -----------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    async def room(self) -> None:
        """Return when all that was written is with the kernel."""
        await self._room.wait()

    def close(self) -> None:
        """FIN, by us: the peer did not leave."""
        self.record = None
        self.transport.close()

    def reset(self) -> None:
        """RST, by us."""
        self.record = None
        sockets.reset(self.transport)

    def drop(self, reset: bool) -> None:
        """Leave, whatever is being done."""
        if self.work is not None:
            self.work.cancel()
        if reset:
            self.reset()
        else:
            self.close()

    # -- requests ---------------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        while self.work is None and not self.transport.is_closing():
            try:
                request = http11.take(self.buffer)
            except ValueError:
                self.write(http11.response_head(400, "text/plain", 0, {"Connection": "close"}))
                return self.close()
            if request is None:
                return
            self._serve(request)

    def _serve(self, request: http11.Request) -> None:
        record = Record.of(request, replies.chat_wire(request), self.number, self.upstream.tell)
        self.record = record
        self.upstream.note(record)
        record.answer = self.upstream.scripted(record)
        reply = replies.reply(request, record, record.answer, self.upstream.models, self.upstream.page_size)
        if reply.at_once:
            self._send_at_once(record, reply)
        else:
            self._work(deliver(self, record, reply.answer, reply.body, reply.wire))

    def _send_at_once(self, record: Record, reply: replies.Reply) -> None:
        body, pieces = reply.body, [*reply.body.tokens, *reply.body.end]
        head = http11.response_head(reply.answer.status, body.content_type, body.length, reply.answer.headers)
        with self.upstream.news:
            self.write(b"".join([head, *(piece.data for piece in pieces)]))
            if not self.full:
                self._all_sent(record, pieces)
                return self._done()
        self._work(self._drained(record, pieces))

    async def _drained(self, record: Record, pieces: list[Piece]) -> None:
        await self.room()
        self._all_sent(record, pieces)

    def _all_sent(self, record: Record, pieces: list[Piece]) -> None:
        for piece in pieces:
            record.add(piece)
        record.finish()

    def _work(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.work = asyncio.get_running_loop().create_task(coroutine)
        self.work.add_done_callback(self._worked)

    def _worked(self, work: asyncio.Task[None]) -> None:
        self.work = None
        if not work.cancelled() and (error := work.exception()) is not None:
            self.upstream.failures.append(error)
            self.reset()
        self._done()
        self._next()

    def _done(self) -> None:
        """Nothing is being answered any more."""
        record, self.record = self.record, None
        if record is not None and record.headers.get("connection", "").lower() == "close":
            self.transport.close()
