"""Sockets that misbehave below HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
import time


def refused() -> socket.socket:
    """Bound but not listening: who connects is refused, and nobody else gets the port."""
    found = socket.socket()
    found.bind(("127.0.0.1", 0))
    return found


def hanging() -> list[socket.socket]:
    """A listener, first, whose queue is full: who connects waits for ever. The others fill it."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            filler.connect(listener.getsockname())
    return [listener, *fillers]


def url(found: socket.socket) -> str:
    return f"http://127.0.0.1:{found.getsockname()[1]}"


async def delivered(transport: asyncio.WriteTransport, seconds: float = 2.0) -> None:
    """Return when the peer's kernel has what was written, for an RST throws away what has not left."""
    found: socket.socket = transport.get_extra_info("socket")
    until = time.monotonic() + seconds
    while time.monotonic() < until and not transport.is_closing():
        (waiting,) = struct.unpack("i", fcntl.ioctl(found.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))
        if not waiting and not transport.get_write_buffer_size():
            return
        await asyncio.sleep(0.001)


def reset(transport: asyncio.WriteTransport) -> None:
    """Close with an RST: asyncio's own abort() sends a FIN unless the socket is told not to linger."""
    if not transport.is_closing():
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
