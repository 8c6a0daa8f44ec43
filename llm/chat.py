"""THE PATH: every chat, whichever door it comes through, is admit() and then stream() or complete().

admit()   who asks, may they, have they room: one database hop, which opens the receipt (llm/admission.py)
stream()  the provider's answer (llm/dispatch.py), counted as it passes (llm/meter.py)
          and, whatever happens to it or to its reader, one settlement: one more hop, which closes the receipt (llm/settlement.py)
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from billing import quota, slots
from billing.charges import Outcome
from billing.db import in_database, to_the_end
from billing.errors import ApiError, ServiceUnavailable
from llm.admission import MOST_OUTPUT, Chat, Incoming, admit_now, usage_class
from llm.catalogue import ModelEntry
from llm.dispatch import answer
from llm.settlement import begin, settle, settled, settlement_of
from llm.types import ChatRequest, Completion, Delta, Finish, Usage

__all__ = ["Chat", "Incoming", "admit", "complete", "interrupt_all", "keep_alive", "release", "running", "settled", "stream"]
log = logging.getLogger(__name__)
CUT_GRACE = 64  # a provider that keeps to its maximum still sends usage and finish; one that does not is dropped
running: dict[str, Chat] = {}  # this process's open chats, for checkpoints and the drain


async def admit(incoming: Incoming, request: ChatRequest) -> Chat:
    """Authenticate, check, reserve. Raises the ApiError that says why not; then nothing is held and nothing was asked."""
    admitting = asyncio.ensure_future(in_database(admit_now, incoming, request))
    try:
        return await asyncio.shield(admitting)
    except asyncio.CancelledError:
        admitting.add_done_callback(_turn_away)
        raise


def _turn_away(admitting: asyncio.Future[Chat]) -> None:
    """The client left while the database worked for it: what it holds by now is given back."""
    if not admitting.cancelled() and admitting.exception() is None:
        release(admitting.result())


def release(chat: Chat) -> None:
    """Give back what an admitted chat holds that nobody will stream."""
    if chat.replay is None:
        begin(chat, settlement_of(chat, Outcome.REFUSED, "cancelled"))


async def stream(chat: Chat) -> AsyncGenerator[Delta | Completion, None]:
    """The answer's Deltas as they come, then its Completion. Raises ApiError where no route answers or the answer breaks off.

    Closing or cancelling it at any point means the client has left: the provider is dropped and the receipt settled.
    """
    if chat.replay is not None:
        yield Delta(text=chat.replay.text, reasoning=chat.replay.reasoning)
        yield chat.replay
        return
    running[chat.dispatch.request_id] = chat
    ended: tuple[Outcome, str] | None = None
    try:
        async with aclosing(_answer(chat)) as deltas:
            async for delta in deltas:
                yield delta
                if chat.request.stream:
                    chat.meter.delivered = chat.meter.shown.tokens
        ended = chat.meter.outcome(), ""
    except ApiError as error:
        ended = _failure(chat, error), error.code
        raise
    except Exception:
        ended = _broke(chat), "internal_error"
        raise
    finally:
        running.pop(chat.dispatch.request_id, None)
        chat.completion = await settle(chat, *(ended or _left(chat)))
    yield chat.completion


async def complete(chat: Chat) -> Completion:
    """The whole answer. Raises as stream() does."""
    async with aclosing(stream(chat)) as parts:
        async for part in parts:
            if isinstance(part, Completion):
                return part
    raise AssertionError("a stream ends with its Completion")


async def _answer(chat: Chat) -> AsyncGenerator[Delta, None]:
    """The answering route's Deltas that the door shows; all are counted, and cut at the budget."""
    meter = chat.meter
    async with aclosing(answer(chat.dispatch, _capped(chat), prepare=lambda route: _prepare(chat, route))) as events:
        async for event in events:
            if isinstance(event, Usage):
                meter.reported = event
            elif isinstance(event, Finish):
                meter.finish = event
            else:
                if chat.first_token is None:
                    chat.first_token = time.monotonic()
                wanted = not meter.cut and chat.request.shows(event)
                meter.take(event, shown=wanted)
                if wanted:
                    yield event
                if meter.past_budget > CUT_GRACE:
                    chat.dispatch.leaves = "cut"
                    return


def _capped(chat: Chat) -> ChatRequest:
    """The request as the provider gets it: the budget is its maximum."""
    return dataclasses.replace(chat.request, max_tokens=max(1, chat.meter.budget))


async def _prepare(chat: Chat, route: ModelEntry) -> bool:
    """Before each try: forget what the last one sent, clamp what the route cannot do, and move the reservation into its class."""
    chat.meter.start_over()
    chat.first_token = None
    chat.meter.budget = min(chat.reservation.output_budget, route.max_output or MOST_OUTPUT)
    klass = usage_class(chat.caller, route)
    return klass == chat.reservation.usage_class or await to_the_end(_move, chat, klass)


def _move(chat: Chat, klass: str) -> bool:
    moved = quota.move(chat.reservation, klass)
    chat.reservation = moved or chat.reservation
    return moved is not None


def _left(chat: Chat) -> tuple[Outcome, str]:
    """The charging table's row, and the error's code, for an answer that its reader left, or that we end."""
    if chat.dispatch.interrupted:
        return _broke(chat), "service_unavailable"
    if not chat.dispatch.sent:
        return Outcome.REFUSED, "cancelled"  # no provider works for it: nothing to pay
    return Outcome.CANCELLED if chat.meter.received.chunks else Outcome.CANCELLED_EARLY, "cancelled"


def _broke(chat: Chat) -> Outcome:
    """A streamed answer broke off if any of it was sent; of a plain one nothing reached the client."""
    return Outcome.BROKE_OFF if chat.request.stream and chat.meter.shown.chunks else Outcome.REFUSED


def _failure(chat: Chat, error: ApiError) -> Outcome:
    """The charging table's row for an answer that failed."""
    outcome = _broke(chat)
    return Outcome.TIMED_OUT if outcome == Outcome.REFUSED and error.status_code == 504 else outcome


def interrupt_all() -> None:
    """End every running chat as broken off by us: its reader gets an error, and only what it got is charged."""
    for chat in running.values():
        chat.dispatch.interrupt()


async def keep_alive() -> None:
    """Write every open chat's progress and renew what it holds, every CHECKPOINT_SECONDS, until cancelled."""
    while True:
        await asyncio.sleep(quota.CHECKPOINT_SECONDS)
        chats = list(running.values())
        if chats:
            try:
                await in_database(_checkpoint, chats)
            except ServiceUnavailable:
                log.warning("The database is away: %d open receipts could not be checkpointed.", len(chats))
            except Exception:  # without this loop every running chat would be swept as dead
                log.exception("%d open receipts could not be checkpointed.", len(chats))


def _checkpoint(chats: list[Chat]) -> None:
    quota.checkpoint([(chat.dispatch.request_id, chat.meter.delivered) for chat in chats])
    for chat in chats:
        slots.renew(f"account:{chat.caller.subject}", chat.dispatch.request_id)
        if chat.dispatch.gate:
            slots.renew(chat.dispatch.gate, chat.dispatch.request_id)
