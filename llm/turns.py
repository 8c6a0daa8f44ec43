"""Turns that run: each is a task of the process, not of the socket that asked, and goes on when that is lost.

What came so far is in memory for whoever follows here, and once a second in its row, for everybody else and for a process that dies
(llm/following.py reads both). Once its end is in its row it leaves the memory; a temporary one, which has none, stays a while.
Only cancel() stops one; from another process through its row.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from copy import copy
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.caller import Caller
from billing import clock
from billing.db import away_within, in_database
from billing.errors import ApiError, ServiceUnavailable
from llm import chat as chats
from llm.chat import Chat
from llm.dialects import socket
from llm.models import LOST, Turn
from llm.persona import saying
from llm.types import Delta

log = logging.getLogger(__name__)
SAVE_SECONDS = 1.0
KEPT_SECONDS = 600.0  # a temporary turn in memory past its end
LOST_AFTER = timedelta(seconds=30)  # a turn that was not saved for so long has no process any more
_running: dict[UUID, Running] = {}


class Running:
    """A turn of this process, running or just ended. Its frames are made once, for all who follow.

    The chat, and all that was sent to the model with it, is its task's alone and goes with that.
    """

    def __init__(self, turn: Turn, chat: Chat, temporary: bool = False) -> None:
        self.turn, self.asker, self.temporary = turn, chat.caller, temporary
        self.frames: list[bytes] = []
        self.end: bytes | None = None
        self.ended_at = 0.0
        self._answer: list[str] = []
        self._reasoning: list[str] = []
        self._news = asyncio.Event()
        self._began = self._cancelled = self._unsaved_end = False
        self.task = asyncio.create_task(self._run(chat))

    def is_of(self, caller: Caller) -> bool:
        """Does it belong to them? Guests behind one address are told apart by their browsers."""
        return (self.asker.owner, self.asker.visitor) == (caller.owner, caller.visitor)

    # -- for those who follow ---------------------------------------------------------------------------------------------

    async def follow(self, after: int) -> AsyncGenerator[bytes, None]:
        """Its frames past the first `after`, as they come, and its last one."""
        while True:
            news = self._news
            while after < len(self.frames):
                yield self.frames[after]
                after += 1
            if self.end is not None:
                yield self.end
                return
            await news.wait()

    def cancel(self) -> None:
        """Stop it: the provider is dropped, what came is kept and charged as the table says."""
        if self._cancelled or self.end is not None:
            return
        self._cancelled = True
        if self._began:
            self.task.cancel()

    # -- running ----------------------------------------------------------------------------------------------------------

    async def _run(self, chat: Chat) -> None:
        self._began = True
        try:
            if self._cancelled:
                chats.release(chat)
            else:
                async with aclosing(chats.stream(chat)) as parts:
                    async for part in parts:
                        if isinstance(part, Delta):
                            self._take(part)
            await self._finish(chat, Turn.State.CANCELLED if self._cancelled else Turn.State.DONE)
        except asyncio.CancelledError:
            if not self._cancelled:
                raise
            self.task.uncancel()
            await self._finish(chat, Turn.State.CANCELLED)
        except ApiError as error:
            await self._finish(chat, Turn.State.FAILED, error.code, str(error), error.extra)
        except Exception:
            log.exception("A turn broke off.")
            await self._finish(chat, Turn.State.FAILED, "internal_error", _("Something went wrong on our side."))

    def _take(self, delta: Delta) -> None:
        for kind, text, parts, sign in (("reasoning", delta.reasoning, self._reasoning, -1), ("delta", delta.text, self._answer, 1)):
            if text := storable(text):
                parts.append(text)
                self.turn.pieces.append(sign * len(text))
                self.frames.append(socket.delta(kind, str(self.turn.pk), len(self.frames) + 1, text))
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _finish(self, chat: Chat, state: Turn.State, code: str = "", detail: str = "", extra: dict[str, Any] | None = None) -> None:
        """Its last frame, once it is saved."""
        turn, completion = self.turn, chat.completion
        if completion is not None:
            for name, value in socket.usage_of(completion).items():
                setattr(turn, name, value)
        turn.state, turn.error_code, turn.error_detail = state, code, detail[:500]
        if state == Turn.State.CANCELLED:
            turn.finish_reason = "cancelled"
        self._collect()
        self._answer, self._reasoning = [turn.answer], [turn.reasoning]
        self._unsaved_end = not self.temporary
        try:
            await save([self])
        except ServiceUnavailable:
            log.warning("The end of a turn could not be saved yet; it is tried again.")
        remaining = None if completion is None else completion.remaining
        self.end = last_frame(turn, self.asker.tier.slug, chat.reservation.usage_class, remaining, extra)
        self.ended_at = time.monotonic()
        self._tell()

    def _collect(self) -> None:
        self.turn.answer, self.turn.reasoning = "".join(self._answer), "".join(self._reasoning)

    # -- saving -----------------------------------------------------------------------------------------------------------

    @property
    def needs_saving(self) -> bool:
        """While it runs, also to show that it lives."""
        return not self.temporary and (self.end is None or self._unsaved_end)

    @property
    def is_over(self) -> bool:
        """Is it nobody's any more, or to be read in its row?"""
        if self.end is None or self.needs_saving:
            return False
        return not self.temporary or self.ended_at < time.monotonic() - KEPT_SECONDS

    def row(self) -> Row:
        """It as it is to be written down, at one moment: its pieces always fit its text."""
        turn, names = self.turn, ["answer", "reasoning", "pieces"]
        self._collect()
        if turn.state != Turn.State.RUNNING:
            names += ["state", "error_code", "error_detail", *socket.USAGE]
        return Row(turn.pk, turn.state == Turn.State.RUNNING, {name: copy(getattr(turn, name)) for name in names})

    def was_saved(self, row: Row) -> None:
        if not row.is_running:
            self._unsaved_end = False


class Row(NamedTuple):
    turn_id: UUID
    is_running: bool
    values: dict[str, Any]

    def write(self) -> None:
        """A running one is never written over an end that is there already."""
        rows = Turn.objects.filter(pk=self.turn_id)
        if self.is_running:
            rows = rows.filter(state=Turn.State.RUNNING)
        rows.update(saved=clock.now(), **self.values)


def storable(text: str) -> str:
    """The text as every database and every reader can take it: no NUL, no lone surrogate."""
    return text.replace("\x00", "") if text.isascii() else text.replace("\x00", "").encode("utf-8", "replace").decode()


def last_frame(turn: Turn, tier: str, usage_class: str | None, remaining: int | None, extra: dict[str, Any] | None = None) -> bytes:
    """`done` with the response object, or `error` where the turn failed. `remaining` is of that class; None = no limit."""
    turn_id = str(turn.pk)
    if turn.state == Turn.State.FAILED:
        return socket.error(turn.error_code, turn.error_sentence, saying(turn.error_code, turn_id), extra or {}, turn_id)
    return socket.frame(
        "done",
        id=turn_id,
        response=turn.answer,
        reasoning=turn.reasoning,
        requested_model=turn.requested_model,
        tier=tier,
        request_id=turn.request_id,
        tokens_remaining=remaining,
        usage_class=usage_class,
        conversation=None if turn.conversation_id is None else str(turn.conversation_id),
        **{name: getattr(turn, name) for name in socket.USAGE},
    )


# -- the process's turns --------------------------------------------------------------------------------------------------


def start(turn: Turn, chat: Chat, *, temporary: bool = False) -> Running:
    """Run an admitted chat as this turn."""
    running = Running(turn, chat, temporary)
    _running[turn.pk] = running
    return running


def here(turn_id: UUID) -> Running | None:
    """The turn, where this process runs it, or still has it in memory."""
    return _running.get(turn_id)


async def cancel(turn_id: UUID) -> None:
    """Stop a turn, whichever process runs it."""
    running = here(turn_id)
    if running is not None:
        running.cancel()
    else:
        await in_database(Turn.objects.filter(pk=turn_id, state=Turn.State.RUNNING).update, cancel_requested=True)


async def save(turns: list[Running]) -> None:
    """Write them down, and stop those that another process was asked to stop. Raises ServiceUnavailable."""
    waiting = [running for running in turns if running.needs_saving]
    rows = [running.row() for running in waiting]
    if rows:
        stopped = await in_database(_write, rows)
        for running, row in zip(waiting, rows, strict=True):
            running.was_saved(row)
        for turn_id in stopped:
            _running[turn_id].cancel()


def _write(rows: list[Row]) -> list[UUID]:
    with transaction.atomic():
        for row in rows:
            row.write()
    ids = [row.turn_id for row in rows if row.is_running]
    return list(Turn.objects.filter(pk__in=ids, cancel_requested=True).values_list("pk", flat=True)) if ids else []


async def keep_saved() -> None:
    """Save what runs once a second, and forget what is over; until cancelled."""
    while True:
        await asyncio.sleep(SAVE_SECONDS)
        for turn_id, running in list(_running.items()):
            if running.is_over:
                del _running[turn_id]
        try:
            await save(list(_running.values()))
        except ServiceUnavailable:
            log.warning("The database is away: turns are kept in memory.")
        except Exception:  # without this loop every running turn would be taken for lost
            log.exception("Turns could not be saved.")


async def ended(patience: float) -> None:
    """Return when every turn of this process has ended, or after `patience` seconds."""
    tasks = [running.task for running in _running.values()]
    if tasks:
        await asyncio.wait(tasks, timeout=patience)


def sweep() -> int:
    """End the turns whose process died; what they had is kept. Returns how many. Not just after the database was away."""
    if away_within(LOST_AFTER.total_seconds()):
        return 0
    lost = Turn.objects.filter(state=Turn.State.RUNNING, saved__lt=clock.now() - LOST_AFTER)
    return lost.update(state=Turn.State.FAILED, error_code=LOST)
