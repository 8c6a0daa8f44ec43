"""Which provider answers: routes, retries, breakers, gates and time limits. Nothing here knows callers or money.

`answer()` asks the routes in turn and yields the first answer's events. Once a token has reached the client it never
starts over: what breaks then is an error.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import orjson
from django.conf import settings
from django.utils.translation import gettext as _

from billing import slots
from billing.db import in_database
from billing.errors import ApiError, InvalidRequest, ServiceUnavailable
from llm import availability
from llm.breaker import breakers
from llm.catalogue import ModelEntry, fallbacks_of
from llm.errors import UpstreamFailed, UpstreamTimeout, UpstreamUnavailable
from llm.providers import is_on, spoken_id, transport, wire_for
from llm.providers.endpoints import contact
from llm.providers.errors import UnsupportedRequest, UpstreamError
from llm.types import Attempt, ChatRequest, Delta, Event, Finish

T = TypeVar("T")
PLAIN_SECONDS = 110.0  # real clients give up at 120
STREAM_SECONDS = 600.0
IDLE_SECONDS = 30.0
END_SECONDS = 1.0  # from an answer's terminal event to the end of its body, where a late report of usage may come
RETRIES = 2
THE_REQUESTS_FAULT = frozenset({400, 413, 422})
LONGEST_PAUSE = 2.0  # a provider that asks for more is left for the next route
GATE_POLL_SECONDS = 0.05


@dataclass(slots=True)
class Dispatch:
    """One request's way through its routes, as it goes. The chat reads it for headers, receipt and clean-up."""

    request_id: str
    routes: tuple[ModelEntry, ...]
    deadline: float  # time.monotonic()
    came: float = field(default_factory=time.time)
    head_start: float = 0.0
    attempts: list[Attempt] = field(default_factory=list)
    route: ModelEntry | None = None  # the one being asked, then the one that answers
    gate: str = ""  # the provider whose slot is held
    queue_position: int = 0
    queue_ms: int = 0
    sent: bool = False  # is a provider at work, or has one answered?
    response: transport.Response | None = None  # the provider's answer being read
    leaves: str = "cancelled"  # what is noted of an answer that its reader leaves
    interrupted: bool = False

    def interrupt(self) -> None:
        """Stop now: no further route, and the answer being read breaks off."""
        self.interrupted, self.deadline = True, 0.0
        if self.response is not None:
            self.response.abort()

    def note(self, route: ModelEntry, started: float, status: int, outcome: str) -> None:
        ms = round((time.monotonic() - started) * 1000)
        self.attempts.append(Attempt(route.model_id, route.provider.slug, status, ms, outcome))


def routes_for(entry: ModelEntry, request: ChatRequest) -> tuple[ModelEntry, ...]:
    """The model asked for, then what may stand in for it under the request's substitution rule; only providers that are on."""
    routes = (entry, *fallbacks_of(entry, request.substitution))
    on = tuple(route for route in routes if is_on(route.provider))
    if not on:
        raise UpstreamUnavailable(tried=[])
    return on


async def answer(
    dispatch: Dispatch, request: ChatRequest, *, prepare: Callable[[ModelEntry], Awaitable[bool]]
) -> AsyncGenerator[Event, None]:
    """The events of the first route that answers; `dispatch.route` says which.

    `prepare(route)` is asked before each try: what an earlier one sent is void by then. False leaves the route out (its class has no room).
    A streamed request never starts over after the first Delta that it shows; a plain one may.
    Raises UpstreamUnavailable, UpstreamTimeout or UpstreamFailed when no route answered, or when the answer broke off.
    """
    last: UpstreamError | None = None
    unsupported: UnsupportedRequest | None = None
    for number, route in enumerate(dispatch.routes):
        dispatch.route = route
        remaining = dispatch.deadline - time.monotonic()
        if remaining <= 0:
            break
        begin_by = time.monotonic() + remaining / (len(dispatch.routes) - number)  # its share of what is left
        for turn in range(RETRIES + 1):
            begun = False
            started = time.monotonic()
            if not await prepare(route):
                dispatch.note(route, started, 0, "no_room")
                break
            try:
                if not breakers.allow(dispatch.request_id, route.provider.slug, route.model_id):
                    dispatch.note(route, started, 0, "breaker_open")
                    break
                async with aclosing(_ask(dispatch, route, request, begin_by)) as events:
                    async for event in events:
                        begun = begun or (isinstance(event, Delta) and request.shows(event))
                        yield event
                return
            except (GeneratorExit, asyncio.CancelledError):
                dispatch.note(route, started, 200 if begun else 0, dispatch.leaves)
                raise
            except UnsupportedRequest as error:
                dispatch.note(route, started, 0, error.code)
                unsupported = error
                break
            except UpstreamError as error:
                last = error
                dispatch.sent = False  # what failed is nobody's to pay
                _learn(dispatch, route, error, started, begun)
                if begun and request.stream:
                    raise broken_off(dispatch, error) from error
                pause = _pause(turn, error)
                if begun or not error.retryable or turn == RETRIES or pause is None:
                    break
                if time.monotonic() + pause >= dispatch.deadline:
                    break
                breakers.give_back(dispatch.request_id, route.provider.slug, route.model_id)  # before the pause, not after it
                await asyncio.sleep(pause)
            finally:
                breakers.give_back(dispatch.request_id, route.provider.slug, route.model_id)
                await _leave_gate(dispatch)
    if unsupported is not None and last is None:
        raise InvalidRequest(unsupported.message, field=unsupported.field) from unsupported
    raise _all_failed(dispatch, last)


async def _ask(dispatch: Dispatch, route: ModelEntry, request: ChatRequest, begin_by: float) -> AsyncGenerator[Event, None]:
    """One try at one route: its events, up to and with its terminal one. `begin_by`: when the first must be there, by time.monotonic()."""
    provider = route.provider
    wire = wire_for(provider.wire)
    path, body = wire.outgoing(_within(request, route), spoken_id(provider, route.native_id), provider.quirks)
    patience = min(provider.first_byte_seconds, begin_by - time.monotonic())
    await _enter_gate(dispatch, route, patience)
    started = time.monotonic()
    async with (
        contact(provider, provider.wire, lambda: min(begin_by, dispatch.deadline)) as endpoint,
        _asked(
            dispatch,
            transport.current().post(
                endpoint.base_url + path,
                endpoint.headers,
                orjson.dumps(body),
                first_byte_timeout=patience,
                deadline=begin_by,
                allow_private=endpoint.private,
            ),
        ) as response,
    ):
        if response.status != 200:
            raise await response.error()
        parser = wire.parser(provider.quirks)
        first: float | None = None
        finish: Finish | None = None
        begun = ended = False
        try:
            async for data in response.chunks(IDLE_SECONDS):
                events = parser.feed(data)
                if events and not begun:
                    begun = True
                    response.ends_by(dispatch.deadline)
                if parser.complete and not ended:
                    ended = True
                    response.ends_by(min(dispatch.deadline, time.monotonic() + END_SECONDS))
                for event in events:
                    if first is None and isinstance(event, Delta):
                        first = time.monotonic() - started
                    if isinstance(event, Finish):
                        finish = event  # held back: some providers report the usage after it
                    else:
                        yield event
        except UpstreamError:
            if not parser.complete:
                raise  # else the answer is whole, however its connection ended
        for event in parser.close():
            if isinstance(event, Finish):
                finish = event
            else:
                yield event
    breakers.succeeded(dispatch.request_id, provider.slug, route.model_id)
    dispatch.note(route, started, 200, "ok")
    availability.record(route.model_id, provider.slug, True, None if first is None else round(first * 1000), "")
    yield finish or Finish()


@asynccontextmanager
async def _asked(dispatch: Dispatch, response: transport.Response) -> AsyncGenerator[transport.Response, None]:
    """The provider's answer, open for as long as the block runs; interrupt() reaches it from before the request is sent."""
    dispatch.response = response
    try:
        if dispatch.interrupted:
            response.abort()
        async with response:
            yield response
    finally:
        dispatch.response = None
        dispatch.sent = dispatch.sent or response.sent


def _within(request: ChatRequest, route: ModelEntry) -> ChatRequest:
    """The request with its maximum inside the route's own."""
    if route.max_output is None or request.max_tokens is None or request.max_tokens <= route.max_output:
        return request
    return replace(request, max_tokens=route.max_output)


def _learn(dispatch: Dispatch, route: ModelEntry, error: UpstreamError, started: float, begun: bool) -> None:
    """Write the attempt down, and let breakers and availability know, unless it was the request that the provider did not like."""
    dispatch.note(route, started, error.status, error.code)
    if error.status in THE_REQUESTS_FAULT or dispatch.interrupted:
        return
    availability.record(route.model_id, route.provider.slug, False, None, error.code)
    if error.code in ("connect", "timeout") and not begun:
        breakers.failed(dispatch.request_id, route.provider.slug)
    if error.code in ("connect", "timeout", "upstream_error", "invalid_answer", "incomplete"):
        breakers.failed(dispatch.request_id, route.model_id)


def _pause(turn: int, error: UpstreamError) -> float | None:
    """Seconds before the next try, jittered; None where the provider wants more patience than a request has."""
    if error.retry_after is not None:
        return error.retry_after if error.retry_after <= LONGEST_PAUSE else None
    return random.uniform(0.5, 1.0) * 0.2 * 2**turn


async def _enter_gate(dispatch: Dispatch, route: ModelEntry, patience: float) -> None:
    """Wait for one of the provider's slots, where it has a gate. Raises UpstreamError (rate_limited) when none came free."""
    provider = route.provider
    if not provider.concurrency:
        return
    name, member, started = f"provider:{provider.slug}", dispatch.request_id, time.monotonic()
    try:
        while True:
            position = await _shared(_enter, name, provider.concurrency, member, dispatch.head_start, dispatch.came)
            if position == 0:
                dispatch.gate = name
                return
            dispatch.queue_position = dispatch.queue_position or position
            left = started + patience - time.monotonic()
            if left <= 0 or dispatch.interrupted:
                raise UpstreamError("queue_full", "No slot came free in time.", retryable=False)
            await asyncio.sleep(min(left, GATE_POLL_SECONDS * min(position, 20)))  # who stands far back asks seldom
    except BaseException:
        await asyncio.shield(asyncio.ensure_future(_shared(slots.leave, name, member)))
        raise
    finally:
        dispatch.queue_ms += round((time.monotonic() - started) * 1000)


async def _shared(function: Callable[..., T], *args: Any) -> T:
    """A look at the slots: another thread's work where Redis is asked, else a few microseconds of ours."""
    return await in_database(function, *args) if settings.REDIS_URL else function(*args)


def _enter(name: str, capacity: int, member: str, head_start: float, came: float) -> int:
    return slots.enter(name, capacity, member, head_start=head_start, came=came, wait=True)


async def _leave_gate(dispatch: Dispatch) -> None:
    if dispatch.gate:
        name, dispatch.gate = dispatch.gate, ""
        await asyncio.shield(asyncio.ensure_future(_shared(slots.leave, name, dispatch.request_id)))


def _tried(dispatch: Dispatch) -> list[dict[str, Any]]:
    return [attempt.as_dict() for attempt in dispatch.attempts]


def broken_off(dispatch: Dispatch, error: UpstreamError) -> ApiError:
    """The error of an answer that broke off after its first token."""
    if dispatch.interrupted:
        return ServiceUnavailable(_("The server restarts. Only what reached you is charged; please ask again."))
    kind = UpstreamTimeout if error.code == "timeout" else UpstreamFailed
    return kind(_("The answer broke off. Only what reached you is charged."), tried=_tried(dispatch))


def _all_failed(dispatch: Dispatch, last: UpstreamError | None) -> ApiError:
    """504 where time ran out, 503 where nobody could be reached, else 502; with everything that was tried."""
    if dispatch.interrupted:
        return ServiceUnavailable(headers={"Retry-After": "5"})
    codes = {attempt.outcome for attempt in dispatch.attempts}
    tried = _tried(dispatch)
    if "timeout" in codes or time.monotonic() >= dispatch.deadline:
        return UpstreamTimeout(tried=tried)
    if codes <= {"connect", "breaker_open", "queue_full", "no_room", "rate_limited", "unauthorized"}:
        wait = 15 if last is None or last.retry_after is None else max(1, round(last.retry_after))
        return UpstreamUnavailable(tried=tried, headers={"Retry-After": str(wait)})
    return UpstreamFailed(tried=tried)
