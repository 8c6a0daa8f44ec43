"""Asking a turn: written down, admitted, and run. Once begun it belongs to the process, whatever becomes of who asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

from django.utils.translation import ngettext

from accounts.errors import Conflict
from billing.db import in_database
from llm import attachments, conversations, turns
from llm import chat as chats
from llm.admission import Incoming
from llm.composition import Composed, compose
from llm.models import Turn
from llm.types import Ask

_beginning: dict[UUID, asyncio.Task[Turn]] = {}  # by the turn's id


async def ask(incoming: Incoming, asked: Ask) -> Turn:
    """The turn, which runs; one of that id that is there already is returned as it is, and not asked again.

    Raises ApiError where it is refused; then nothing of it is left.
    """
    while (earlier := _beginning.get(asked.id)) is not None:
        await asyncio.wait({earlier})  # it runs then, or was refused and may be asked again
    beginning = _beginning[asked.id] = asyncio.create_task(_begin(incoming, asked))
    beginning.add_done_callback(lambda _done: _beginning.pop(asked.id))
    return await asyncio.shield(beginning)


async def _begin(incoming: Incoming, asked: Ask) -> Turn:
    try:
        asked, turn, composed = await in_database(_open, incoming, asked)
    except Conflict:
        return await in_database(_there_already, incoming, asked)
    try:
        chat = await chats.admit(incoming, composed.request)
    except BaseException:
        if not asked.temporary:
            await in_database(conversations.withdraw, turn)
        raise
    chat.warnings += _warnings(composed)
    turns.start(turn, chat, temporary=asked.temporary)
    return turn


def _there_already(incoming: Incoming, asked: Ask) -> Turn:
    """The caller's turn of that id; a temporary one only this process knows. Raises NotFound."""
    caller, running = incoming.caller(), turns.here(asked.id)
    if running is not None and running.is_of(caller):
        return running.turn
    return conversations.find_turn(caller, asked.id)


def _open(incoming: Incoming, asked: Ask) -> tuple[Ask, Turn, Composed]:
    caller = incoming.caller()
    if caller.is_guest and not caller.visitor:
        asked = replace(asked, temporary=True)  # nobody could ever read it again
    if turns.here(asked.id) is not None:
        raise Conflict
    composed = compose(caller, asked)
    if asked.temporary:
        if asked.all_files:
            attachments.put_off(caller, asked.all_files)
        return asked, Turn(id=asked.id, requested_model=composed.model_id, request_id=incoming.request_id), composed
    return asked, conversations.open_turn(caller, asked, composed, incoming.request_id), composed


def _warnings(composed: Composed) -> list[str]:
    dropped = ngettext(
        "The first question no longer fits the model's context and was left out.",
        "The first %(number)d questions no longer fit the model's context and were left out.",
        composed.dropped,
    )
    left_behind = ngettext(
        "A file of an earlier question was not sent again.",
        "%(number)d files of earlier questions were not sent again.",
        composed.left_behind,
    )
    counted = ((dropped, composed.dropped), (left_behind, composed.left_behind))
    return [words % {"number": number} for words, number in counted if number]


async def begun() -> None:
    """Return when everything that is being asked runs, or was refused."""
    while _beginning:
        await asyncio.wait(_beginning.values())
