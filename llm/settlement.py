"""The last half of a chat: whatever became of it, its receipt is closed, its place given back, its answer kept for a replay.

In a task of its own, which a client that leaves cannot cancel, and which tries again for as long as the database is away; what the
process's end leaves over is the sweeper's.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from billing import notices, quota, slots
from billing.charges import Outcome, charge
from billing.db import in_database
from billing.errors import ServiceUnavailable
from billing.models import UsageClass, UsageEvent
from billing.quota import Balance, Settlement
from llm import idempotency
from llm.admission import Chat
from llm.catalogue import ModelEntry
from llm.types import Completion

log = logging.getLogger(__name__)
SETTLE_PAUSES = (0.2, 0.5, 1.0, 2.0)  # seconds between the first tries
SETTLE_PAUSE = 4.0  # between all later ones
SETTLE_PATIENCE = 2.0  # a client does not wait longer than this for its balance
_settling: set[asyncio.Task[Any]] = set()


async def settle(chat: Chat, outcome: Outcome, error_code: str) -> Completion:
    """Close the receipt in a task of its own, which a client that leaves cannot cancel. Waits for it, but not for ever."""
    settlement = settlement_of(chat, outcome, error_code)
    task = begin(chat, settlement)
    await asyncio.wait({task}, timeout=SETTLE_PATIENCE)  # never cancels it
    if task.done():
        charged, balance, warnings = task.result()
    else:
        charged, balance, warnings = settlement.charged, Balance(), (_("The balance could not be read just now; nothing is lost."),)
    return _completion(chat, settlement, charged, balance, warnings)


def begin(chat: Chat, settlement: Settlement) -> asyncio.Task[tuple[int, Balance, tuple[str, ...]]]:
    """Settle in a task that nobody but the end of the process can cancel."""
    task = asyncio.create_task(_settle_surely(chat, settlement))
    _settling.add(task)
    task.add_done_callback(_settling.discard)
    return task


async def settled(patience: float | None = None) -> None:
    """Wait until everything that ended is settled, for at most `patience` seconds; at shutdown and in tests."""
    try:
        async with asyncio.timeout(patience):
            while _settling:
                await asyncio.wait(_settling)
    except TimeoutError:
        log.error("%d receipts could not be closed; the sweeper will.", len(_settling))


async def _settle_surely(chat: Chat, settlement: Settlement) -> tuple[int, Balance, tuple[str, ...]]:
    for turn in itertools.count():
        try:
            return await in_database(_close, chat, settlement)
        except ServiceUnavailable:
            await asyncio.sleep(SETTLE_PAUSES[turn] if turn < len(SETTLE_PAUSES) else SETTLE_PAUSE)
    raise AssertionError("unreachable")


def _close(chat: Chat, settlement: Settlement) -> tuple[int, Balance, tuple[str, ...]]:
    """The last database hop: slot, receipt, notices, stored answer. One that is to be repeated is charged and kept, or neither."""
    slots.leave(f"account:{chat.caller.subject}", chat.dispatch.request_id)
    with nullcontext() if chat.idempotency_id is None else transaction.atomic():
        return _written(chat, settlement)


def _written(chat: Chat, settlement: Settlement) -> tuple[int, Balance, tuple[str, ...]]:
    done = quota.settle(chat.dispatch.request_id, settlement)
    charged, balance = done or _read_back(chat)
    if chat.reservation.holder.shadow:
        balance = replace(balance, limit=None)  # on trial: counted, and nothing is refused
    mail_to = chat.caller.email if chat.caller.quota_mails else ""
    warnings = notices.notify(chat.reservation, mail_to, charged, balance, language=chat.caller.language)
    if settlement.state == UsageEvent.State.SETTLED and not settlement.error_code:
        if chat.idempotency_id is not None:
            idempotency.store(chat.idempotency_id, _completion(chat, settlement, charged, balance, warnings))
    else:
        idempotency.forget(chat.idempotency_id)
    return charged, balance, warnings


def _read_back(chat: Chat) -> tuple[int, Balance]:
    """What an earlier try wrote, whose answer was lost on the way."""
    held = chat.reservation
    limit = held.holder.limit or None if held.usage_class == UsageClass.CLOUD else None
    return quota.charged_by(held.request_id), quota.balance(held.holder.subject, held.usage_class, held.day, limit)


def settlement_of(chat: Chat, outcome: Outcome, error_code: str) -> Settlement:
    """What the receipt is closed with."""
    usage = chat.meter.usage()
    due = charge(outcome, input_tokens=usage.input, output_tokens=usage.output, delivered=chat.meter.delivered)
    route = chat.dispatch.route
    free = outcome in (Outcome.REFUSED, Outcome.TIMED_OUT)
    now = time.monotonic()
    return Settlement(
        state=UsageEvent.State.FAILED if free else UsageEvent.State.SETTLED,
        rule=outcome,
        charged=due.total,
        served_model="" if free or route is None else route.model_id,
        attempts=[attempt.as_dict() for attempt in chat.dispatch.attempts],
        input_tokens=usage.input,
        cached_input_tokens=usage.cached_input,
        cache_write_tokens=usage.cache_write,
        output_tokens=usage.output if outcome != Outcome.BROKE_OFF else chat.meter.delivered,
        reasoning_tokens=usage.reasoning,
        estimated=usage.estimated,
        price_version=None if route is None else route.price_id,
        latency_ms=round((now - chat.started) * 1000),
        ttft_ms=None if chat.first_token is None else round((chat.first_token - chat.started) * 1000),
        finish_reason="" if error_code else chat.meter.finish_reason,
        error_code=error_code,
    )


def _completion(chat: Chat, settlement: Settlement, charged: int, balance: Balance, warnings: tuple[str, ...]) -> Completion:
    route = chat.dispatch.route or chat.entry
    meter = chat.meter
    return Completion(
        request_id=chat.dispatch.request_id,
        text="".join(meter.text),
        reasoning="".join(meter.reasoning),
        tool_calls=tuple(meter.calls.values()),
        model=route.model_id,
        provider=route.provider.slug,
        tier=chat.caller.tier.slug,
        usage=meter.usage(),
        charged=charged,
        finish_reason=settlement.finish_reason or "stop",
        latency_ms=settlement.latency_ms or 0,
        fallback_used=route.model_id != chat.entry.model_id,
        remaining=balance.remaining,
        warnings=(*chat.warnings, *_clamped(chat, route), *warnings),
    )


def _clamped(chat: Chat, route: ModelEntry) -> tuple[str, ...]:
    """The warning that a fallback can answer only so much."""
    if route.max_output is None or chat.reservation.output_budget <= route.max_output:
        return ()
    return (_("%(model)s answers with at most %(most)d tokens.") % {"model": route.model_id, "most": route.max_output},)
