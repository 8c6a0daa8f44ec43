"""What starts and stops with the web process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from billing import db
from billing.db import in_database
from billing.errors import ServiceUnavailable
from billing.quota import sweep
from llm import asking, availability, chat, sockets, turns
from llm.providers import local, transport
from triforce import drain, embedded

log = logging.getLogger(__name__)
Message = MutableMapping[str, Any]
FLUSH_SECONDS = 5.0
LAST_WORDS_SECONDS = 2.0  # before the grace ends: time to send the error event and settle
SETTLE_SECONDS = 8.0  # after the last request; longer only where the database is away
_tasks: list[asyncio.Task[None]] = []


async def lifespan(receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    """The ASGI lifespan protocol."""
    await receive()
    await start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await stop()
    await send({"type": "lifespan.shutdown.complete"})


async def start() -> None:
    """Settle what a dead process left open, then keep our own chats' receipts alive."""
    await _unless_away(in_database(sweep))
    for loop in (chat.keep_alive, turns.keep_saved, sockets.watch, _flush_availability, _end_streams):
        _tasks.append(asyncio.create_task(loop()))
    await asyncio.to_thread(embedded.start)  # Celery closes connections as it starts, which no event loop may do


async def stop() -> None:
    """End what start() began; turns go on without their sockets up to the drain's end, and everything that ended is settled first."""
    await asking.begun()
    await turns.ended(drain.GRACE_SECONDS)
    for task in _tasks:
        task.cancel()
    await asyncio.gather(*_tasks, return_exceptions=True)
    _tasks.clear()
    await chat.settled(SETTLE_SECONDS)
    await _unless_away(in_database(availability.flush))
    await asyncio.to_thread(embedded.stop)
    await asyncio.to_thread(local.local_model.stop)
    await transport.close()
    await asyncio.to_thread(db.close)


async def _flush_availability() -> None:
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        try:
            await _unless_away(in_database(availability.flush))
        except Exception:  # without this loop nothing would be known of any model until the next start
            log.exception("What was learnt of the models could not be written down.")


async def _end_streams() -> None:
    """When the drain's grace is nearly over, end what still runs with an error event."""
    await drain.wait()
    await asyncio.sleep(max(0.0, drain.seconds_left() - LAST_WORDS_SECONDS))
    chat.interrupt_all()


async def _unless_away(work: Awaitable[Any]) -> None:
    try:
        await work
    except ServiceUnavailable:
        log.warning("The database is away.")
