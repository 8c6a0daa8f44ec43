"""The meter: reserve before the provider is asked, settle after it, sweep what nobody settled.

All of its truth is in two tables, usage_day (a counter) and usage_event (a receipt), and every change to both is one atomic
statement (PostgreSQL) or one short IMMEDIATE transaction (SQLite): no lock, no cache, no moment at which two requests
could both see the last token. This is the only module with SQL of its own, because the ORM cannot say "add, but only
where it still fits"; it takes parameters only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from billing import clock
from billing.db import away_within, tried_again
from billing.errors import QuotaExceeded
from billing.models import UsageClass, UsageDay, UsageEvent

LEASE = timedelta(seconds=30)  # an open receipt without a checkpoint for this long belongs to a dead process
CHECKPOINT_SECONDS = 10
LEAST_OUTPUT = 256  # with less than the input and this left, a request is refused rather than cut to nothing
LIVING_SECONDS = 45  # a sweeper that comes twice a minute has noticed an outage that leases did not survive; checkpoints follow it
TRIES = 5


@dataclass(frozen=True, slots=True)
class Holder:
    """Who a reservation is for. `limit` and `key_limit` in tokens a day, 0 = none. `visitor`: who of the guests, for their own share.

    `shadow`: the limit is on trial. What it would refuse goes on, marked; a key's own limit holds all the same.
    """

    subject: str
    account_id: int | None
    tier: str
    limit: int
    key_id: int | None = None
    key_limit: int = 0
    visitor: str = ""
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens held for one request, on one day, in one class."""

    request_id: str
    holder: Holder
    usage_class: str
    day: date
    input_bound: int
    reserved: int

    @property
    def output_budget(self) -> int:
        """The most output tokens this request may make."""
        return self.reserved - self.input_bound


@dataclass(frozen=True, slots=True)
class Balance:
    """A subject's counters of one class and day. `limit` None = none."""

    used: int = 0
    reserved: int = 0
    limit: int | None = None

    @property
    def remaining(self) -> int | None:
        """What is neither used nor held; never negative, also after a downgrade. None = no limit."""
        return None if self.limit is None else max(0, self.limit - self.used - self.reserved)

    @property
    def percent(self) -> int:
        """How much of the limit is used or held; 0 where there is none, 100 at the most."""
        return min(100, 100 * (self.used + self.reserved) // self.limit) if self.limit else 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a receipt is closed with. Tokens as counted; `charged` is capped by what was reserved."""

    state: str
    rule: str
    charged: int = 0
    served_model: str = ""
    attempts: Sequence[dict[str, Any]] = ()
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    price_version: int | None = None
    latency_ms: int | None = None
    ttft_ms: int | None = None
    finish_reason: str = ""
    error_code: str = ""


# -- SQL ------------------------------------------------------------------------------------------------------------------

_HOLD = """
INSERT INTO billing_usageday (subject, usage_class, day, "limit", used, reserved) VALUES {rows}
ON CONFLICT (subject, usage_class, day) DO UPDATE
SET reserved = billing_usageday.reserved + excluded.reserved, "limit" = excluded."limit"
WHERE excluded."limit" IS NULL
   OR billing_usageday.used + billing_usageday.reserved + excluded.reserved <= excluded."limit"
RETURNING 1"""
_HOLD_ROW = "(%s, %s, %s, %s, 0, %s)"
_EVENT_COLUMNS = (
    "request_id, account_id, subject, key_id, key_limited, tier, entry_point, day, usage_class, requested_model, streamed, "
    "reserved, created, expires, visitor, over_limit"
)
_EVENT_VALUES = (
    "%s, %s::bigint, %s, %s::bigint, %s::boolean, %s, %s, %s::date, %s, %s, %s::boolean, %s::bigint, %s::timestamptz, %s::timestamptz, %s, "
    "%s::boolean"
)
_POSTGRES_RESERVE = (
    "WITH held AS ({hold}) INSERT INTO billing_usageevent ("
    + _EVENT_COLUMNS
    + ") SELECT "
    + _EVENT_VALUES
    + " FROM (SELECT count(*) AS rows FROM held) AS counted WHERE counted.rows = {count} RETURNING 1"
)
_SQLITE_EVENT = f"INSERT INTO billing_usageevent ({_EVENT_COLUMNS}) VALUES ({', '.join(['%s'] * 16)})"

_CLOSE = """
UPDATE billing_usageevent
SET state = %s, rule = %s, charged = {least}(%s, reserved), served_model = %s, attempts = {json}, input_tokens = %s,
    cached_input_tokens = %s, cache_write_tokens = %s, output_tokens = %s, reasoning_tokens = %s, estimated = {boolean},
    price_version = {bigint}, latency_ms = {bigint}, ttft_ms = {bigint}, finish_reason = %s, error_code = %s, closed = %s
WHERE request_id = %s AND state = 'open' {which}
RETURNING subject, key_id, key_limited, usage_class, day, reserved, charged"""
_ON_POSTGRES: dict[str, str] = {"least": "LEAST", "json": "%s::jsonb", "boolean": "%s::boolean", "bigint": "%s::bigint"}
_ON_SQLITE = {"least": "MIN", "json": "%s", "boolean": "%s", "bigint": "%s", "which": ""}
# Whoever waited for a receipt on its way into another class may not see the counter that it went to: then nothing is closed here.
_COUNTED = """
  AND EXISTS (SELECT 1 FROM billing_usageday AS d WHERE d.subject = billing_usageevent.subject
    AND d.usage_class = billing_usageevent.usage_class AND d.day = billing_usageevent.day)"""
_POSTGRES_SETTLE = (
    "WITH event AS ("
    + _CLOSE.format(which="AND NOT key_limited" + _COUNTED, **_ON_POSTGRES)
    + """)
UPDATE billing_usageday AS d SET reserved = d.reserved - event.reserved, used = d.used + event.charged
FROM event
WHERE d.day = event.day AND d.subject = event.subject AND d.usage_class = event.usage_class
RETURNING d.subject, d.used, d.reserved, d."limit", event.charged"""
)
# Two counters: locked in the order in which a reservation takes them (the key's last), or the two would deadlock.
_POSTGRES_SETTLE_KEY = (
    "WITH event AS ("
    + _CLOSE.format(which="AND key_limited" + _COUNTED, **_ON_POSTGRES)
    + """), locked AS (
  SELECT d.id, event.reserved AS held, event.charged FROM billing_usageday AS d JOIN event ON d.day = event.day
     AND ((d.subject = event.subject AND d.usage_class = event.usage_class)
      OR (d.subject = 'key:' || event.key_id AND d.usage_class = 'cloud'))
  ORDER BY starts_with(d.subject, 'key:') FOR UPDATE OF d)
UPDATE billing_usageday AS d SET reserved = d.reserved - locked.held, used = d.used + locked.charged
FROM locked WHERE d.id = locked.id
RETURNING d.subject, d.used, d.reserved, d."limit", locked.charged"""
)
_POSTGRES_CLOSE = _CLOSE.format(which="", **_ON_POSTGRES)
_SQLITE_CLOSE = _CLOSE.format(**_ON_SQLITE)
_RELEASE = """
UPDATE billing_usageday SET reserved = reserved - %s, used = used + %s
WHERE subject = %s AND usage_class = %s AND day = %s RETURNING subject, used, reserved, "limit" """
_RECLASS = "UPDATE billing_usageevent SET usage_class = %s WHERE request_id = %s AND state = 'open' RETURNING subject"
# Two classes of one subject: locked in one order, whichever way a request moves.
_POSTGRES_BOTH = """
SELECT 1 FROM billing_usageday WHERE subject = %s AND day = %s AND usage_class IN (%s, %s) ORDER BY usage_class FOR UPDATE"""
_CHECKPOINT = "UPDATE billing_usageevent SET output_tokens = %s, expires = %s WHERE request_id = %s AND state = 'open'"


def _on_postgres() -> bool:
    return connection.vendor == "postgresql"


# -- reserve --------------------------------------------------------------------------------------------------------------


def _limit(holder: Holder, usage_class: str) -> int | None:
    """The holder's own limit in that class; None = none."""
    return holder.limit or None if usage_class == UsageClass.CLOUD else None


def _rows(holder: Holder, usage_class: str, day: date, tokens: int) -> list[tuple[Any, ...]]:
    """The counters a request holds on: its subject's, and its key's where that has a limit of its own."""
    rows: list[tuple[Any, ...]] = [(holder.subject, usage_class, day, _limit(holder, usage_class), tokens)]
    if holder.key_limit:
        rows.append((f"key:{holder.key_id}", UsageClass.CLOUD, day, holder.key_limit, tokens))
    return rows


def _together(rows: Sequence[Any]) -> AbstractContextManager[Any]:
    """A single statement needs no transaction, unless two counters must both have room or neither is touched."""
    return transaction.atomic() if len(rows) > 1 or not _on_postgres() else nullcontext()


class _NoRoom(Exception):
    """Rolls back the counter that had room where the other had none."""


@tried_again
def _try_reserve(reservation: Reservation, entry_point: str, model: str, streamed: bool, now: datetime, over_limit: bool = False) -> bool:
    """Hold exactly `reservation.reserved` and write its receipt, or change nothing."""
    holder = reservation.holder
    rows = _rows(holder, reservation.usage_class, reservation.day, reservation.reserved)
    if any(limit is not None and tokens > limit for _, _, _, limit, tokens in rows):
        return False
    hold = _HOLD.format(rows=", ".join([_HOLD_ROW] * len(rows)))
    held = [value for row in rows for value in row]
    event = [
        reservation.request_id, holder.account_id, holder.subject, holder.key_id, bool(holder.key_limit), holder.tier, entry_point,
        reservation.day, reservation.usage_class, model, streamed, reservation.reserved, now, now + LEASE, holder.visitor, over_limit,
    ]  # fmt: skip
    try:
        with _together(rows), connection.cursor() as cursor:
            if _on_postgres():
                cursor.execute(_POSTGRES_RESERVE.format(hold=hold, count=len(rows)), held + event)
                done = cursor.fetchone() is not None
            else:
                cursor.execute(hold, held)
                done = len(cursor.fetchall()) == len(rows)
                if done:
                    cursor.execute(_SQLITE_EVENT, event)
            if not done and len(rows) > 1:
                raise _NoRoom
    except _NoRoom:
        return False
    return done


def reserve(
    *,
    request_id: str,
    holder: Holder,
    usage_class: str,
    input_bound: int,
    output: int,
    entry_point: str,
    model: str,
    streamed: bool = False,
    over_limit: bool = False,
) -> Reservation:
    """Hold `input_bound` + up to `output` tokens and open the receipt. Raises QuotaExceeded where too few are left.

    `over_limit` marks the receipt: a limit on trial, which the holder no longer has, would have refused it.

    Asks for everything first, which nearly always fits. Only where it does not are the counters read, and what is left asked for;
    somebody else may be quicker, so the last try asks for the least that makes sense.
    """
    now = clock.now()
    least = input_bound + min(output, LEAST_OUTPUT)
    tokens = input_bound + output
    for turn in range(TRIES):
        wanted = Reservation(request_id, holder, usage_class, now.date(), input_bound, tokens)
        if _try_reserve(wanted, entry_point, model, streamed, now, over_limit):
            return wanted
        if turn == 0:
            sweep(holder.subject)  # a dead process may hold what this request needs
        if holder.shadow:
            own = balance(holder.subject, usage_class, now.date(), _limit(holder, usage_class)).remaining
            return reserve(
                request_id=request_id, holder=replace(holder, limit=0, shadow=False), usage_class=usage_class, input_bound=input_bound,
                output=output, entry_point=entry_point, model=model, streamed=streamed, over_limit=own is not None and own < least,
            )  # fmt: skip
        rest = left(holder, usage_class, now.date())
        if rest is None or rest < least or turn == TRIES - 1:
            break
        tokens = least if turn == TRIES - 2 else max(least, min(input_bound + output, rest))
    raise refusal(holder, usage_class, now.date(), needed=least)


def refusal(holder: Holder, usage_class: str, day: date, *, needed: int) -> QuotaExceeded:
    """The error that says which limit, how far it is spent, and when it starts anew."""
    own = balance(holder.subject, usage_class, day, holder.limit or None)
    key = balance(f"key:{holder.key_id}", UsageClass.CLOUD, day, holder.key_limit) if holder.key_limit else None
    by_key = key is not None and key.remaining is not None and key.remaining < needed
    spent = key if by_key and key is not None else own
    reset = clock.resets_at(day)
    seconds = max(1, int((reset - clock.now()).total_seconds()) + 1)
    return QuotaExceeded(
        limit=spent.limit,
        used=spent.used,
        reserved=spent.reserved,
        remaining=spent.remaining,
        needed=needed,
        resets_at=clock.stamp(reset),
        scope="api_key" if by_key else "account",
        headers={
            "Retry-After": str(seconds),
            "RateLimit-Policy": f'"tokens";q={spent.limit};w=86400',
            "RateLimit": f'"tokens";r={spent.remaining};t={seconds}',
        },
    )


@tried_again
def move(reservation: Reservation, usage_class: str) -> Reservation | None:
    """Take the reservation over into another class, for a fallback that answers from there. None where that has no room."""
    if usage_class == reservation.usage_class:
        return reservation
    holder = reservation.holder
    limit = None if holder.shadow else _limit(holder, usage_class)
    if limit is not None and reservation.reserved > limit:
        return None
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_RECLASS, [usage_class, reservation.request_id])
            receipt = cursor.fetchone()
            if receipt is None:
                raise _NoRoom
            (subject,) = receipt  # not the holder's: the account may have been deleted meanwhile, and its receipts renamed
            if _on_postgres():
                cursor.execute(_POSTGRES_BOTH, [subject, reservation.day, reservation.usage_class, usage_class])
            cursor.execute(_HOLD.format(rows=_HOLD_ROW), [subject, usage_class, reservation.day, limit, reservation.reserved])
            if not cursor.fetchall():
                raise _NoRoom
            cursor.execute(
                "UPDATE billing_usageday SET reserved = reserved - %s WHERE subject = %s AND usage_class = %s AND day = %s",
                [reservation.reserved, subject, reservation.usage_class, reservation.day],
            )
    except _NoRoom:
        return None
    return Reservation(reservation.request_id, holder, usage_class, reservation.day, reservation.input_bound, reservation.reserved)


# -- settle ---------------------------------------------------------------------------------------------------------------


@tried_again
def settle(request_id: str, settlement: Settlement) -> tuple[int, Balance] | None:
    """Close the receipt, release its hold and count its charge, on the day it was opened. Once: a second call changes nothing.

    Returns (charged, the subject's balance after it), or None where the receipt was closed already.
    """
    s = settlement
    close = [
        s.state, s.rule, s.charged, s.served_model, json.dumps(list(s.attempts)), s.input_tokens, s.cached_input_tokens,
        s.cache_write_tokens, s.output_tokens, s.reasoning_tokens, s.estimated, s.price_version, s.latency_ms, s.ttft_ms,
        s.finish_reason, s.error_code, clock.now(), request_id,
    ]  # fmt: skip
    rows = _settle_at_once(close) if _on_postgres() else []
    for subject, used, reserved, limit, charged in rows or _settle_in_steps(close):
        if not subject.startswith("key:"):
            return charged, Balance(used, reserved, limit)
    return None


def _settle_at_once(close: list[Any]) -> list[Any]:
    """In one statement, which nearly always does it; else it has changed nothing."""
    with connection.cursor() as cursor:
        cursor.execute(_POSTGRES_SETTLE, close)
        rows = cursor.fetchall()
        if not rows:
            cursor.execute(_POSTGRES_SETTLE_KEY, close)
            rows = cursor.fetchall()
        return rows


def _settle_in_steps(close: list[Any]) -> list[Any]:
    """In one transaction: each step sees what was written while the one before it waited."""
    rows = []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_POSTGRES_CLOSE if _on_postgres() else _SQLITE_CLOSE, close)
        event = cursor.fetchone()
        if event is None:
            return []
        subject, key_id, key_limited, usage_class, day, reserved, charged = event
        counters = [(subject, usage_class)] + ([(f"key:{key_id}", UsageClass.CLOUD)] if key_limited else [])
        for name, klass in counters:
            cursor.execute(_RELEASE, [reserved, charged, name, klass, day])
            rows += [(*row, charged) for row in cursor.fetchall()]
    return rows


@tried_again
def checkpoint(progress: Sequence[tuple[str, int]]) -> None:
    """Write (request_id, output tokens so far) of running requests and keep their receipts from expiring for 30 s more."""
    expires = clock.now() + LEASE
    rows = [(output, expires, request_id) for request_id, output in sorted(progress)]  # the order in which a deletion locks them
    if rows:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(_CHECKPOINT, rows)


def sweep(subject: str = "") -> int:
    """Settle every expired receipt (of one subject) from its last checkpoint: its process died. Returns how many.

    Not just after the database was away: then the living could not renew theirs, and do so first.
    """
    if away_within(LIVING_SECONDS):
        return 0
    # in the order of the index of what is open: in that of their numbers SQLite would walk through every receipt there is
    expired = UsageEvent.objects.filter(state=UsageEvent.State.OPEN, expires__lt=clock.now()).order_by("expires")
    if subject:
        expired = expired.filter(subject=subject)
    count = 0
    for request_id, output, model in expired.values_list("request_id", "output_tokens", "requested_model")[:1000]:
        done = settle(
            request_id,
            Settlement(
                state=UsageEvent.State.EXPIRED, rule="broke_off", charged=output, output_tokens=output, estimated=True,
                served_model=model if output else "", error_code="process_lost",
            ),
        )  # fmt: skip
        count += done is not None
    return count


# -- read -----------------------------------------------------------------------------------------------------------------


def charged_by(request_id: str) -> int:
    """What a closed receipt says was charged."""
    return UsageEvent.objects.filter(request_id=request_id).values_list("charged", flat=True).first() or 0


def balance(subject: str, usage_class: str, day: date, limit: int | None) -> Balance:
    """The counters of that day against a limit of today. Read for people; a decision is reserve()'s alone."""
    row = UsageDay.objects.filter(subject=subject, usage_class=usage_class, day=day).values_list("used", "reserved").first()
    used, reserved = row or (0, 0)
    return Balance(used, reserved, limit)


def left(holder: Holder, usage_class: str, day: date) -> int | None:
    """What is left for this holder: the smaller of its own and its key's rest. None = no limit; one on trial is none."""
    return counted(holder, usage_class, day)[1]


def counted(holder: Holder, usage_class: str, day: date) -> tuple[Balance, int | None]:
    """The holder's own counters, and what is left() for it, in one reading."""
    holder = replace(holder, limit=0) if holder.shadow else holder
    balances = [balance(subject, klass, day, limit) for subject, klass, _, limit, _ in _rows(holder, usage_class, day, 0)]
    return balances[0], min((rest.remaining for rest in balances if rest.remaining is not None), default=None)
