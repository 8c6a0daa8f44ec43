"""A lean ASGI handler for the chat doors: Django's URLs, requests, views and responses, without its threads and middleware.

Django's stock handler costs 1.0 ms of CPU a request, more than everything else a chat does here. This one reads the body, runs the async
view, watches for a client that leaves, and keeps silent streams alive. It sends no request signals, so only views that
touch the database through billing.db may stand behind it.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import cache

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.urls import get_resolver
from django.utils import translation

from accounts.accept_language import api_language
from triforce.errors import as_api_error, json_response, request_id_of
from triforce.limits import Receive, Scope, Send

log = logging.getLogger(__name__)
KEEP_ALIVE_SECONDS = 10.0
KEEP_ALIVE = b": keep-alive\n\n"


async def lean(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of the chat doors."""
    body = await _body(receive)
    if body is None:
        return
    work = asyncio.ensure_future(_answer(scope, body, send))
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not work.done():
            work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    if not work.cancelled() and (error := work.exception()) is not None:
        raise error


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where the client left before its end."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return bytes(message.get("body", b""))
    parts = []
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    return None


async def _left(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(scope: Scope, body: bytes, send: Send) -> None:
    request = ASGIRequest(scope, io.BytesIO(body))
    with translation.override(api_language(request.META.get("HTTP_ACCEPT_LANGUAGE", ""))):
        response = await _response(request)
        await _send(response, send)


async def _response(request: ASGIRequest) -> HttpResponseBase:
    try:
        return await _view(request.path_info.rstrip("/"))(request)
    except Exception as error:  # Resolver404 is one
        if as_api_error(error) is None:
            log.exception("Internal error in request %s", request_id_of(request))
        return json_response(error)


@cache
def _view(path: str) -> Callable[[HttpRequest], Awaitable[HttpResponseBase]]:
    """The view of one of the few paths that triforce.asgi sends here. Raises Resolver404."""
    return get_resolver().resolve(path).func


async def _send(response: HttpResponseBase, send: Send) -> None:
    headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    if not isinstance(response, StreamingHttpResponse):
        content = response.content  # type: ignore[attr-defined]
        headers.append((b"content-length", str(len(content)).encode("ascii")))
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        return
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await _send_stream(response, send)


async def _send_stream(response: StreamingHttpResponse, send: Send) -> None:
    """The stream's parts as they come, and a comment after each ten seconds of silence."""
    loop = asyncio.get_running_loop()
    last = loop.time()

    async def keep_alive() -> None:
        while True:
            await asyncio.sleep(max(0.0, last + KEEP_ALIVE_SECONDS - loop.time()))
            if loop.time() - last >= KEEP_ALIVE_SECONDS:
                await beat()

    async def beat() -> None:
        nonlocal last
        last = loop.time()
        await send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True})

    beating = asyncio.ensure_future(keep_alive())
    try:
        async with aclosing(response._iterator) as parts:  # type: ignore[attr-defined]
            async for part in parts:
                last = loop.time()
                await send({"type": "http.response.body", "body": part, "more_body": True})
    finally:
        beating.cancel()
    await send({"type": "http.response.body", "body": b""})
