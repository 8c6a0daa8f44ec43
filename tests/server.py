"""The real server for tests: uvicorn with our application in a thread of the test process, on a real socket."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvicorn

from tests.canaries import overheard
from triforce.limits import Receive, Scope, Send
from triforce.serve import configuration, listen

T = TypeVar("T")


class LiveServer:
    """`with LiveServer() as server:` serves at `server.url`. `run()` runs a coroutine in its event loop."""

    def __enter__(self) -> LiveServer:
        self._socket = listen("127.0.0.1", 0)
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = configuration()
        config.app = overheard(_application)
        self._server = _Quiet(config)
        self._thread = threading.Thread(target=self._serve, name="live-server", daemon=True)
        self._thread.start()
        assert self._server.ready.wait(20), "the server did not start"
        return self

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
            runner.run(self._server.serve(sockets=[self._socket]))

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._socket.close()
        assert not self._thread.is_alive(), "the server did not stop"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine run in the server's loop."""
        assert self._server.loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._server.loop).result(20)


async def _application(scope: Scope, receive: Receive, send: Send) -> None:
    from triforce.asgi import application  # which needs Django set up

    await application(scope, receive, send)


class _Quiet(uvicorn.Server):
    """Says when it is ready, and installs no signal handlers: it is a guest in this process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.loop = asyncio.get_running_loop()
        self.ready.set()
