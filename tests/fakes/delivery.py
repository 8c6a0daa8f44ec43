"""Sends an answer over a connection, as whole and as fast as its fault lets it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from tests.fakes import sockets
from tests.fakes.answers import Answer, Gate
from tests.fakes.http11 import response_head
from tests.fakes.records import Record
from tests.fakes.wires import Body, Piece, Wire, framed

if TYPE_CHECKING:
    from tests.fakes.connection import Connection

PAUSES = {"bytes": 0.0, "split": 0.0005}  # seconds after each write
BREATH = 64  # pieces after which the loop may look at something else


async def deliver(connection: Connection, record: Record, answer: Answer, body: Body, wire: Wire) -> None:
    """All of it, or what comes before the fault. A gate or a fault that says nothing more waits until the peer leaves."""
    delivery = Delivery(connection, record, answer, body)
    if await delivery.begin() and await delivery.tokens() and await delivery.goes_on(wire):
        await delivery.end()


class Delivery:
    """Steps of one answer; each says whether the next one follows."""

    def __init__(self, connection: Connection, record: Record, answer: Answer, body: Body) -> None:
        self.connection, self.record, self.answer, self.body = connection, record, answer, body
        self.fault, self.plain = answer.fault, body.length is not None
        self.chunked = not self.plain or self.fault == "endless"
        self.limit = len(body.tokens) if answer.after is None else answer.after

    async def begin(self) -> bool:
        """The headers, and what comes before the first token."""
        answer = self.answer
        if self.fault == "hang":
            await _for_ever()
        if pause := answer.first_byte_delay + (answer.delay * len(answer.texts) if self.plain else 0):
            await asyncio.sleep(pause)
        if self.plain and answer.gate is not None and not answer.gate_after:
            await opened(answer.gate)
        if self.fault in ("close_before", "reset_before"):
            return await self._leave()
        self.connection.write(response_head(answer.status, self.body.content_type, self._length(), answer.headers))
        if self.fault == "silence_before":
            await _for_ever()
        while self.fault == "only_comments":
            await self._send(Piece(b"\n" if self.body.content_type == "application/x-ndjson" else b": still there\n\n"))
            await asyncio.sleep(0.02)
        if self.fault in ("cut_before", "reset_headers"):
            return await self._leave()
        await self._send_all(self.body.head)
        return True

    def _length(self) -> int | None:
        if self.chunked:
            return None
        return sum(len(piece.data) for piece in self.body.tokens) if self.fault == "no_end" else self.body.length

    async def tokens(self) -> bool:
        await self._round(gate=self.answer.gate)
        while self.fault == "endless":
            await self._round(gate=None)
            await asyncio.sleep(0.001)
        return True

    async def _round(self, gate: threading.Event | None) -> None:
        answer, pieces = self.answer, self.body.tokens
        stop = min(answer.gate_after, len(pieces))
        for number, piece in enumerate(pieces[: self.limit]):
            if gate is not None and number == stop:
                await opened(gate)
            await self._send(piece)
            if answer.delay and not self.plain:
                await asyncio.sleep(answer.delay)
            elif number % BREATH == BREATH - 1:
                await asyncio.sleep(0)
        if gate is not None and stop == len(pieces):
            await opened(gate)

    async def goes_on(self, wire: Wire) -> bool:
        """Whether the end follows, once the tokens are out."""
        if self.fault == "silence_after":
            await _for_ever()
        if self.fault in ("cut_after", "reset_after"):
            return await self._leave()
        if self.fault == "error_event":
            await self._send(Piece(wire.error_event(self.answer.error)))
        return True

    async def end(self) -> None:
        if self.fault not in ("no_end", "error_event"):
            await self._send_all(self.body.tail)
            await self._send_all(self.body.end)
        if self.fault == "stays_open":
            await _for_ever()
        if self.chunked:
            self.connection.write(b"0\r\n\r\n")
        await self.connection.room()
        self.record.finish()

    async def _leave(self) -> bool:
        if self.fault.startswith("reset"):
            await sockets.delivered(self.connection.transport)
            self.connection.reset()
        else:
            self.connection.close()
        return False

    async def _send_all(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            await self._send(piece)

    async def _send(self, piece: Piece) -> None:
        if self.fault in ("bytes", "split", "slow"):
            for part in parts(piece.data, self.fault):
                self.connection.write(framed(part) if self.chunked else part)
                await self.connection.room()
                await asyncio.sleep(PAUSES.get(self.fault, 1 / self.answer.rate))
        else:
            with self.connection.upstream.news:  # whoever has read it finds it counted
                self.connection.write(piece.framed if self.chunked else piece.data)
                if not self.connection.full:
                    return self.record.add(piece)
            await self.connection.room()
        self.record.add(piece)


def parts(data: bytes, fault: str) -> Iterator[bytes]:
    """One byte each; for "split", cut inside every character of several bytes, in the middle and before the last byte."""
    cuts: Sequence[int] = range(1, len(data))
    if fault == "split":
        inside = {place for place in cuts if data[place] & 0xC0 == 0x80}
        cuts = sorted(inside | ({len(data) // 2, len(data) - 1} & set(cuts)))
    start = 0
    for cut in [*cuts, len(data)]:
        yield data[start:cut]
        start = cut


async def opened(gate: threading.Event) -> None:
    """Return when the gate is open."""
    if not isinstance(gate, Gate):
        while not gate.is_set():
            await asyncio.sleep(0.005)
        return
    loop, is_open = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(is_open.set)

    gate.wakes(wake)
    try:
        await is_open.wait()
    finally:
        gate.forgets(wake)


async def _for_ever() -> None:
    await asyncio.Event().wait()
