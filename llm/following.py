"""Reading a turn, from wherever it runs or ran: its frames past the last one that the reader has, as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import ParamSpec, TypeVar
from uuid import UUID

from accounts.caller import Caller
from billing import clock, quota
from billing.db import in_database
from billing.errors import ServiceUnavailable
from llm import turns
from llm.admission import holder, usage_class
from llm.catalogue import find
from llm.conversations import find_turn
from llm.dialects import socket
from llm.models import Turn

P = ParamSpec("P")
T = TypeVar("T")
LOOK_SECONDS = 0.5  # how often the row of a turn that another process runs is read


async def follow(caller: Caller, turn_id: UUID, after: int) -> AsyncGenerator[bytes, None]:
    """The frames of the caller's turn from number `after` + 1 on, and its last one. Raises NotFound."""
    running = turns.here(turn_id)
    if running is not None and running.is_of(caller):
        source = running.follow(after)
    else:
        source = _saved(caller, await _surely(find_turn, caller, turn_id), after)
    async with aclosing(source) as frames:
        async for frame in frames:
            yield frame


async def _saved(caller: Caller, turn: Turn, after: int) -> AsyncGenerator[bytes, None]:
    """A turn as its row has it, read until it has ended."""
    while True:
        for frame in frames_of(turn, after):
            yield frame
        after = max(after, len(turn.pieces))
        if turn.state != Turn.State.RUNNING:
            yield turns.last_frame(turn, caller.tier.slug, *await _surely(_left, caller, turn))
            return
        await asyncio.sleep(LOOK_SECONDS)
        turn = await _surely(find_turn, caller, turn.pk)


async def _surely(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Its result, once the database is there: while it is away the turn may well run on, so it is not said to have failed."""
    while True:
        try:
            return await in_database(function, *args, **kwargs)
        except ServiceUnavailable:
            await asyncio.sleep(LOOK_SECONDS)


def frames_of(turn: Turn, after: int) -> Iterator[bytes]:
    """The row's pieces past the first `after`, as they were sent."""
    answer = reasoning = 0
    for seq, piece in enumerate(turn.pieces, start=1):
        if piece > 0:
            text, answer = turn.answer[answer : answer + piece], answer + piece
        else:
            text, reasoning = turn.reasoning[reasoning : reasoning - piece], reasoning - piece
        if seq > after:
            yield socket.delta("delta" if piece > 0 else "reasoning", str(turn.pk), seq, text)


def _left(caller: Caller, turn: Turn) -> tuple[str | None, int | None]:
    """The class of the model that answered, None = it is not known any more; and what is left today in it, None = no limit."""
    entry = find(turn.model or turn.requested_model)
    if entry is None:
        return None, None
    klass = usage_class(caller, entry)
    return klass, quota.left(holder(caller), klass, clock.now().date())
