"""Three thin ASGI wrappers around everything: an id for each request, bounds on bodies, a bound on clients that do not read."""

from __future__ import annotations

import asyncio
import logging
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, MutableMapping
from typing import Any, TypeVar

import orjson
from django.utils import translation

from accounts.accept_language import api_language
from billing.errors import ApiError
from billing.request_ids import new_request_id
from triforce.errors import PayloadTooLarge, RequestTimeout, render

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Coroutine[Any, Any, Message]]
Send = Callable[[Message], Coroutine[Any, Any, None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)
STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
LINGER_SECONDS = 2.0
BYTES_A_SECOND = 8 * 1024  # a body that comes faster has all the time it needs
T = TypeVar("T")


class ClientStalled(ConnectionError):
    """The client did not read for too long; whoever writes to it stops here."""


class RequestId:
    """Puts an id of ours into scope["state"]["request_id"] and on the answer as X-Request-ID. A client's own id is not taken."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        request_id = new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id
        header = (b"x-request-id", request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] in STARTS:
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await self.app(scope, receive, send_with_id)


class SendLimit:
    """Gives a client `seconds` to take each message that does not fit the buffers; then ClientStalled ends its request.

    A send that finishes at once, as nearly all do, costs no timer and no task.
    """

    def __init__(self, app: App, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)

        async def send_in_time(message: Message) -> None:
            sending = send(message)
            try:
                waits_for = sending.send(None)
            except StopIteration:
                return
            try:
                async with asyncio.timeout(self.seconds):
                    await _rest(sending, waits_for)
            except TimeoutError:
                raise ClientStalled(f"The client read nothing for {self.seconds:g} s.") from None

        try:
            await self.app(scope, receive, send_in_time)
        except ClientStalled as stalled:
            log.info("%s Its connection is closed.", stalled)


@types.coroutine
def _rest(work: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """The remainder of a coroutine whose first step was taken by hand."""
    try:
        while True:
            try:
                value = yield waits_for
            except BaseException as error:
                waits_for = work.throw(error)
            else:
                waits_for = work.send(value)
    except StopIteration as done:
        return done.value


class BodyLimit:
    """Answers 413 to a body of more than `limit` bytes, before reading where its length is announced, else where it passes the limit;
    and 408 to one that takes longer than `seconds`, and a second more for each BYTES_A_SECOND of it."""

    def __init__(self, app: App, limit: int, limits: Mapping[str, int] | None = None, seconds: float = 30.0) -> None:
        self.app = app
        self.limit = limit
        self.limits = limits or {}  # of paths that take more
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        limit = self.limits.get(scope["path"].rstrip("/"), self.limit)
        length = dict(scope["headers"]).get(b"content-length", b"").lstrip(b"0")
        if length.isdigit() and (len(length) > 19 or int(length) > limit):
            return await refuse(PayloadTooLarge(), scope, receive, send)
        body = _BoundedBody(receive, send, limit, self.seconds)
        await self.app(scope, body.receive, body.send)
        if body.refusal and not body.answered:
            await refuse(body.refusal, scope, receive, send)


class _BoundedBody:
    """One request's receive and send. Past a limit the app sees its client leave, and says nothing any more."""

    def __init__(self, receive: Receive, send: Send, limit: int, seconds: float) -> None:
        self._receive = receive
        self._send = send
        self._left = limit
        self._deadline = time.monotonic() + seconds
        self._whole = False
        self.refusal: ApiError | None = None
        self.answered = False

    async def receive(self) -> Message:
        if self.refusal:
            return {"type": "http.disconnect"}
        if self._whole:
            return await self._receive()
        try:
            message = await self._in_time()
        except TimeoutError:
            self.refusal = RequestTimeout()
            return {"type": "http.disconnect"}
        self._whole = not message.get("more_body")
        size = len(message.get("body", b""))
        self._left -= size
        self._deadline += size / BYTES_A_SECOND
        if self._left < 0:
            self.refusal = PayloadTooLarge()
            return {"type": "http.disconnect"}
        return message

    async def _in_time(self) -> Message:
        """The next message. One that is there, as nearly all are, costs no timer."""
        receiving = self._receive()
        try:
            waits_for = receiving.send(None)
        except StopIteration as done:
            return done.value
        async with asyncio.timeout(self._deadline - time.monotonic()):
            return await _rest(receiving, waits_for)

    async def send(self, message: Message) -> None:
        if self.refusal and not self.answered:
            return
        self.answered = True
        await self._send(message)


async def refuse(why: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Says why, and closes the connection. Reads on for a moment: closing on unread bytes would reset the answer away."""
    accept = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
    with translation.override(api_language(accept)):
        status, headers, content = render(why)
    body = orjson.dumps(content)
    headers |= {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                pass
    except TimeoutError:
        pass  # it goes on sending: closed all the same
    await send({"type": "http.response.body", "body": b"", "more_body": False})
