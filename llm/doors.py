"""The chat doors: async views under the lean handler of triforce/asgi.py. Each parses, calls llm.chat and renders."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext as _
from rest_framework import exceptions

from accounts.address import client_address
from accounts.authentication import enforce_csrf, request_target
from accounts.proxy import Seen
from accounts.sessions import session_user
from accounts.visitors import visitor_of
from billing.db import in_database
from billing.errors import ApiError, InvalidRequest
from llm import chat as chats
from llm.chat import Chat, Incoming
from llm.dialects import client
from llm.quotes import quote_for
from llm.serializers_chat import ChatSerializer
from llm.types import ChatRequest, Completion, Delta

log = logging.getLogger(__name__)
FIRST_SECONDS = 10.0  # after this much silence the headers go out, and fallback goes on inside the open stream
_chat_fields = ChatSerializer()  # bound once: a serializer made for each request costs more than its validation


async def chat(request: HttpRequest) -> HttpResponseBase:
    """POST /v1/client/chat"""
    parsed = _parse(request)
    admitted = await chats.admit(incoming(request, "client"), parsed)
    if parsed.stream:
        return await _streamed(admitted)
    completion = await chats.complete(admitted)
    return _json(client.render(completion), headers=_headers(admitted))


async def quote(request: HttpRequest) -> HttpResponseBase:
    """POST /v1/quote: what a chat would cost, without asking or holding anything."""
    parsed = _parse(request)
    return _json(await in_database(quote_for, incoming(request, "quote"), parsed))


def _parse(request: HttpRequest) -> ChatRequest:
    if request.method != "POST":
        raise exceptions.MethodNotAllowed(request.method or "")
    if request.content_type != "application/json":
        raise exceptions.UnsupportedMediaType(request.content_type or "")
    try:
        data = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(_("The body is not valid JSON: %(why)s") % {"why": error}) from None
    return client.parse(_chat_fields.checked(data))


def incoming(request: HttpRequest, entry_point: str) -> Incoming:
    """What every door tells llm.chat of a request. A header sent twice becomes one with a comma."""
    scope = request.scope  # type: ignore[attr-defined]
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    peer = scope["client"][0] if scope.get("client") else ""
    address = client_address(peer, headers.get("x-forwarded-for", ""), settings.TRUSTED_PROXY_COUNT)
    seen = Seen(peer, request.method or "", request_target(request))
    in_session = settings.SESSION_COOKIE_NAME in request.COOKIES
    return Incoming(
        request_id=scope["state"]["request_id"],
        headers=headers,
        address=address,
        entry_point=entry_point,
        body=request.body,
        seen=seen,
        session_user=partial(session_user, request) if in_session else None,
        check_csrf=partial(enforce_csrf, request) if in_session else None,
        visitor=visitor_of(request.COOKIES),
    )


async def _streamed(admitted: Chat) -> HttpResponseBase:
    """An event stream whose headers wait for the first piece: until then an error is an HTTP error."""
    parts = chats.stream(admitted)
    first: asyncio.Task[Delta | Completion] = asyncio.ensure_future(anext(parts))
    try:
        await asyncio.wait({first}, timeout=FIRST_SECONDS)
        if first.done():
            first.result()  # raises what the chat raised
    except BaseException:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await parts.aclose()
        raise
    response = StreamingHttpResponse(_events(first, parts), content_type="text/event-stream", headers=_headers(admitted))
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"
    return response


async def _events(first: asyncio.Task[Delta | Completion], parts: AsyncGenerator[Delta | Completion, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(parts):
        try:
            yield client.event(await first)
            async for part in parts:
                if event := client.event(part):
                    yield event
        except ApiError as error:
            yield client.error_event(error.code, str(error), error.extra)
        except Exception:
            log.exception("A stream broke off.")
            yield client.error_event("internal_error", _("Something went wrong on our side."), {})
        finally:
            first.cancel()


def _headers(admitted: Chat) -> dict[str, str]:
    """How long it waited for a slot, where it did."""
    dispatch = admitted.dispatch
    if not dispatch.queue_position:
        return {}
    return {"X-Queue-Position": str(dispatch.queue_position), "X-Queue-Wait-Ms": str(dispatch.queue_ms)}


def _json(data: object, headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(orjson.dumps(data), content_type="application/json", headers=headers)
