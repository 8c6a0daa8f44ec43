"""An ASGI application for tests of the server: its stream goes on until the server drains; /big answers until it is stopped."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from triforce import drain
from triforce.limits import BodyLimit, RequestId, SendLimit

START = {"type": "http.response.start", "status": 200, "headers": []}


async def respond(scope: Any, receive: Any, send: Any) -> None:
    path = scope["path"]
    if path == "/upload":
        while (await receive()).get("more_body"):
            pass
    await send({**START, "headers": []})
    if path == "/stream":
        await send({"type": "http.response.body", "body": b"first\n", "more_body": True})
        await drain.wait()
        await send({"type": "http.response.body", "body": f"draining {drain.seconds_left() > 20}\n".encode(), "more_body": True})
    if path == "/headers":
        lines = b"".join(name + b": " + value + b"\n" for name, value in scope["headers"])
        return await send({"type": "http.response.body", "body": lines})
    while path == "/big":
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await asyncio.sleep(0)  # a send to a client that is gone returns at once
    if path == "/die":
        os._exit(9)
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


limited = RequestId(BodyLimit(SendLimit(respond, seconds=0.5), 1000))


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "lifespan":
        return await limited(scope, receive, send)
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
