"""A TCP proxy whose line can be cut, reset, slowed down or go dead while it is in use.

with TcpProxy("127.0.0.1", 5432) as proxy:
    …                                  # connect to proxy.host, proxy.port
    proxy.blackhole()                  # nothing arrives any more, nothing is closed
    proxy.pass_on()                    # what was held arrives now
    proxy.cut(); proxy.reset()         # FIN or RST to everybody at once, and to who comes
    proxy.delay(0.2)                   # each block of bytes is that late, in seconds and either direction
"""

from __future__ import annotations

import asyncio

from tests.fakes import sockets
from tests.fakes.loop import LoopThread

BLOCK = 65536


class TcpProxy:
    """Passes on until told otherwise. Every switch has taken effect when its method returns."""

    host = "127.0.0.1"

    def __init__(self, target_host: str, target_port: int) -> None:
        self.target = target_host, target_port
        self.mode = "pass"
        self.accepted = 0  # connections so far
        self._seconds = 0.0
        self._lines: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    def __enter__(self) -> TcpProxy:
        self._thread = LoopThread("tcp-proxy")
        self._thread.run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.run(self._close())
        self._thread.stop()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def open_connections(self) -> int:
        return len(self._lines)

    def pass_on(self) -> None:
        self._thread.run(self._switch("pass"))

    def delay(self, seconds: float) -> None:
        self._thread.run(self._switch("delay", seconds))

    def cut(self) -> None:
        self._thread.run(self._switch("cut"))

    def reset(self) -> None:
        self._thread.run(self._switch("reset"))

    def blackhole(self) -> None:
        """Who connects is connected, to nothing."""
        self._thread.run(self._switch("blackhole"))

    # -- inside the thread ------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        self._passing = asyncio.Event()
        self._passing.set()
        self._server = await asyncio.start_server(self._accept, self.host, 0, backlog=1024)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        await self._hang_up(reset=False)

    async def _switch(self, mode: str, seconds: float = 0.0) -> None:
        self.mode, self._seconds = mode, seconds
        if mode == "blackhole":
            self._passing.clear()
        else:
            self._passing.set()
        if mode in ("cut", "reset"):
            await self._hang_up(reset=mode == "reset")

    async def _hang_up(self, reset: bool) -> None:
        lines = dict(self._lines)
        for line, writers in lines.items():
            line.cancel()
            for writer in writers:
                _end(writer, reset)
        await asyncio.gather(*lines, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line is not None
        self.accepted += 1
        self._lines[line] = writers = [writer]
        reset = self.mode == "reset"
        try:
            if self.mode not in ("cut", "reset"):
                await self._line(reader, writers)
        except OSError:  # a ConnectionError, or a socket that is gone as it is shut down
            reset = True
        except asyncio.CancelledError:
            pass  # by _hang_up, which has ended both sides
        finally:
            for one in writers:
                _end(one, reset)
            del self._lines[line]

    async def _line(self, reader: asyncio.StreamReader, writers: list[asyncio.StreamWriter]) -> None:
        await self._passing.wait()
        target_reader, target_writer = await asyncio.open_connection(*self.target)
        writers.append(target_writer)
        pumps = {asyncio.ensure_future(self._pump(*ends)) for ends in ((reader, target_writer), (target_reader, writers[0]))}
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(BLOCK):
            await self._held()
            writer.write(data)
            await writer.drain()
        await self._held()
        writer.write_eof()

    async def _held(self) -> None:
        if self._seconds:
            await asyncio.sleep(self._seconds)
        await self._passing.wait()


def _end(writer: asyncio.StreamWriter, reset: bool) -> None:
    if reset:
        sockets.reset(writer.transport)
    else:
        writer.close()
