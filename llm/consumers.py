"""The websocket door, /ws/chat/: frames in, frames out. Turns run elsewhere (llm/turns.py); a socket asks, follows and stops them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping
from contextlib import aclosing
from typing import Any
from uuid import UUID

import orjson
from channels.generic.websocket import AsyncWebsocketConsumer
from django.utils import translation
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError

from accounts.caller import Caller
from accounts.errors import SessionEnded
from accounts.revocation import Credential
from billing.db import in_database
from billing.errors import ApiError, InvalidRequest, RateLimited
from billing.field_errors import invalid
from llm import asking, sockets, turns
from llm.admission import Incoming
from llm.conversations import find_turn
from llm.dialects import socket
from llm.following import follow
from llm.models import Turn
from llm.persona import saying
from llm.quotes import quote_for_turn
from llm.serializers_chat import ChatFrameSerializer, TurnFrameSerializer

log = logging.getLogger(__name__)
FRAMES_PER_SECOND = 20
_chat_fields = ChatFrameSerializer()
_turn_fields = TurnFrameSerializer()


class ChatConsumer(AsyncWebsocketConsumer):
    """One socket."""

    channel_layer_alias = "none"  # nothing is broadcast: a layer would cost every socket a channel

    caller: Caller
    credential: Credential | None = None
    gone = False

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Channels' own would hop into a thread for each frame, to look after connections that no socket holds."""
        await getattr(self, message["type"].replace(".", "_"))(message)

    async def connect(self) -> None:
        self.following: dict[UUID, asyncio.Task[None]] = {}
        self.work: set[asyncio.Task[None]] = set()
        self.allowance, self.counted = float(FRAMES_PER_SECOND), time.monotonic()
        self.doorway = sockets.Doorway(self.scope)
        translation.activate(self.doorway.language)
        try:
            self.caller, self.credential, ready = await in_database(self.doorway.enter)
        except SessionEnded:  # said as to those who were inside as it ended: a refused handshake would only be tried again
            await self.accept()
            return await self.close(sockets.SIGNED_OUT)
        except ApiError as error:
            return await self.refuse(error)
        await self.accept()
        sockets.register(self)
        await self.say(ready)

    async def refuse(self, error: ApiError) -> None:
        """No: an HTTP answer, where the server can give one to a handshake."""
        if "websocket.http.response" not in self.scope.get("extensions", {}):
            return await self.close()
        headers = [(b"content-type", b"application/json")]
        await self.base_send({"type": "websocket.http.response.start", "status": error.status_code, "headers": headers})
        await self.base_send({"type": "websocket.http.response.body", "body": orjson.dumps(error.body())})

    async def disconnect(self, code: int) -> None:
        """The line is gone. Its turns go on."""
        self.gone = True
        sockets.forget(self)
        for task in (*self.work, *self.following.values()):
            task.cancel()

    async def say(self, frame: bytes) -> None:
        if not self.gone:
            await self.send(text_data=frame.decode())

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        """From our side: nothing is said any more."""
        self.gone = True
        await super().close(code, reason)

    # -- frames -----------------------------------------------------------------------------------------------------------

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        turn_id = None
        try:
            self._count()
            data = _parsed(text_data)
            turn_id = str(data.get("id", ""))[:36] or None
            handler = self.handlers.get(str(data.get("type")))
            if handler is None:
                raise InvalidRequest(_("Unknown type. There are: %(types)s.") % {"types": ", ".join(self.handlers)}, field="type")
            await handler(self, data)
        except Exception as error:
            await self.complain(error, turn_id)

    def _count(self) -> None:
        now = time.monotonic()
        self.allowance = min(FRAMES_PER_SECOND, self.allowance + (now - self.counted) * FRAMES_PER_SECOND)
        self.counted = now
        if self.allowance < 1:
            raise RateLimited(retry_after=1)
        self.allowance -= 1

    async def complain(self, error: Exception, turn_id: str | None) -> None:
        if isinstance(error, ValidationError):
            error = invalid(error)
        if isinstance(error, ApiError):
            code, detail, extra = error.code, str(error), error.extra
            if "Retry-After" in error.headers:
                extra = {**extra, "retry_after": int(error.headers["Retry-After"])}
        else:
            log.error("A frame could not be answered.", exc_info=error)
            code, detail, extra = "internal_error", _("Something went wrong on our side."), {}
        await self.say(socket.error(code, detail, saying(code, turn_id or ""), extra, turn_id))

    async def ping(self, data: Mapping[str, Any]) -> None:
        await self.say(socket.frame("pong"))

    async def chat(self, data: Mapping[str, Any]) -> None:
        asked = socket.parse(_chat_fields.checked(data))
        self._spawn(self._ask(self.doorway.incoming("websocket"), asked), str(asked.id))

    async def _ask(self, incoming: Incoming, asked: Any) -> None:
        turn = await asking.ask(incoming, asked)
        await self.say(_started(turn))
        self._follow(turn.pk, 0)

    async def quote(self, data: Mapping[str, Any]) -> None:
        asked = socket.parse(_chat_fields.checked(data))
        self._spawn(self._quote(asked), str(asked.id))

    async def _quote(self, asked: Any) -> None:
        found = await in_database(quote_for_turn, self.doorway.incoming("quote"), asked)
        await self.say(socket.frame("quote", id=str(asked.id), **found))

    async def cancel(self, data: Mapping[str, Any]) -> None:
        turn_id = _turn_fields.run_validation(data)["id"]
        running = turns.here(turn_id)
        if running is None or not running.is_of(self.caller):
            await in_database(find_turn, self.caller, turn_id)
        await turns.cancel(turn_id)

    async def resume(self, data: Mapping[str, Any]) -> None:
        fields = _turn_fields.run_validation(data)
        self._follow(fields["id"], fields.get("after", 0))

    handlers = {"chat": chat, "cancel": cancel, "resume": resume, "quote": quote, "ping": ping}

    # -- what goes on beside it -------------------------------------------------------------------------------------------

    def _follow(self, turn_id: UUID, after: int) -> None:
        """Pass its frames on, in place of an earlier reading of the same turn."""
        if (earlier := self.following.pop(turn_id, None)) is not None:
            earlier.cancel()
        task = self._spawn(self._pass_on(turn_id, after), str(turn_id))
        self.following[turn_id] = task
        task.add_done_callback(lambda done: self.following.get(turn_id) is done and self.following.pop(turn_id))

    async def _pass_on(self, turn_id: UUID, after: int) -> None:
        async with aclosing(follow(self.caller, turn_id, after)) as frames:
            async for frame in frames:
                await self.say(frame)

    def _spawn(self, work: Coroutine[Any, Any, None], turn_id: str) -> asyncio.Task[None]:
        async def guarded() -> None:
            try:
                await work
            except OSError as error:  # it reads nothing, or is gone: there is nobody to tell
                self.gone = True
                log.info("A socket is given up: %r", error)
            except Exception as error:
                await self.complain(error, turn_id)

        task = asyncio.create_task(guarded())
        self.work.add(task)
        task.add_done_callback(self.work.discard)
        return task


def _parsed(text: str | None) -> dict[str, Any]:
    try:
        data = orjson.loads(text or "")
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(_("The body is not valid JSON: %(why)s") % {"why": error}) from None
    if not isinstance(data, dict):
        raise InvalidRequest(_("A frame is a JSON object."))
    return data


def _started(turn: Turn) -> bytes:
    if turn.conversation_id is None:
        return socket.frame("started", id=str(turn.pk), conversation=None, parent=None, title="")
    parent = None if turn.parent_id is None else str(turn.parent_id)
    return socket.frame("started", id=str(turn.pk), conversation=str(turn.conversation_id), parent=parent, title=turn.conversation.title)
