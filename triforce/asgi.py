"""Where a connection goes: the chat doors to the lean handler, everything else to Django's own; and what starts and stops with us."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "triforce.settings")

from django.conf import settings
from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from llm.consumers import ChatConsumer  # noqa: E402  (needs Django set up)
from triforce.lean import lean  # noqa: E402
from triforce.lifespan import lifespan  # noqa: E402
from triforce.limits import BodyLimit, Receive, RequestId, Scope, Send, SendLimit  # noqa: E402

chat_socket = ChatConsumer.as_asgi()
UPLOAD_PATHS = ("/v1/attachments", "/v1/conversations/import")
LEAN_PATHS = frozenset({"/v1/client/chat", "/v1/quote", "/health", "/healthz"})


async def http(scope: Scope, receive: Receive, send: Send) -> None:
    handler = lean if scope["path"].rstrip("/") in LEAN_PATHS else django_application
    await handler(scope, receive, send)  # type: ignore[arg-type]


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"].rstrip("/") == "/ws/chat":
        await chat_socket(scope, receive, send)
    else:
        await receive()
        await send({"type": "websocket.close", "code": 1000})  # there is none here: the handshake is refused


socket = RequestId(SendLimit(websocket, seconds=30))
limited = RequestId(BodyLimit(SendLimit(http, seconds=30), settings.MAX_BODY_BYTES, dict.fromkeys(UPLOAD_PATHS, settings.MAX_UPLOAD_BYTES)))


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await socket(scope, receive, send)
    else:
        await limited(scope, receive, send)
