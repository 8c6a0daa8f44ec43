"""The first half of a chat: who asks, may they, have they room. One database hop, which opens the receipt and holds the tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from django.conf import settings
from django.utils.translation import gettext as _

from accounts.caller import Caller, caller_for
from accounts.errors import InsufficientScope
from accounts.proxy import Seen
from billing import clock, quota, rates, slots
from billing.errors import ConcurrencyLimited, InvalidRequest, QuotaExceeded
from billing.models import UsageClass
from billing.quota import Holder, Reservation
from llm import idempotency
from llm.catalogue import ModelEntry, get_model, models_for
from llm.dispatch import PLAIN_SECONDS, STREAM_SECONDS, Dispatch, routes_for
from llm.meter import Meter, input_bound, input_guess
from llm.persona import with_persona
from llm.types import ChatRequest, Completion, Substitution

DEFAULT_OUTPUT = 4096
MOST_OUTPUT = 131_072  # where a model's own cap is not known


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a door knows of a request besides its content. `headers` with lower-case names."""

    request_id: str
    headers: Mapping[str, str]
    address: str
    entry_point: str
    body: bytes = b""
    seen: Seen | None = None  # the request line, for trusted-proxy mode
    session_user: Callable[[], Any] | None = None  # of the cookie; looked up in the database hop
    check_csrf: Callable[[], None] | None = None  # raises where a session writes without its token
    visitor: str = ""  # a guest's browser

    def caller(self) -> Caller:
        """Who asks. Synchronous: the database is asked. Raises as caller_for does."""
        session_user = self.session_user() if self.session_user else None
        caller = caller_for(self.headers, self.address, session_user=session_user, seen=self.seen, visitor=self.visitor)
        if caller.carrier == "session" and self.check_csrf:
            self.check_csrf()
        return caller


@dataclass(slots=True)
class Chat:
    """An admitted chat: its receipt is open, its tokens are held. Hand it to stream() or complete(), at once."""

    caller: Caller
    request: ChatRequest
    entry: ModelEntry
    reservation: Reservation
    dispatch: Dispatch
    meter: Meter
    idempotency_id: int | None = None
    warnings: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    first_token: float | None = None
    replay: Completion | None = None
    completion: Completion | None = None  # once it is settled, however it ended


def admit_now(incoming: Incoming, request: ChatRequest) -> Chat:
    """Authenticate, check, reserve. Synchronous; raises the ApiError that says why not, and then nothing is held."""
    caller = incoming.caller()
    rates.require(f"chat:{caller.subject}", caller.tier.requests_per_minute)
    request = as_preferred(caller, request)
    entry = choose_model(caller, request)
    output = output_for(request, entry)
    stored = idempotency.begin(caller.owner, incoming.headers.get("idempotency-key", ""), incoming.body, incoming.request_id)
    if stored.completion is not None:
        return _replayed(caller, request, entry, incoming, stored.completion)
    try:
        return _reserve(caller, request, entry, output, incoming, stored.id)
    except BaseException:
        idempotency.forget(stored.id)
        raise


def as_preferred(caller: Caller, request: ChatRequest) -> ChatRequest:
    """The request with the caller's own rule of substitution where it names none. It leads past no spent quota: that a request must say."""
    return request if request.substitution_explicit else replace(request, substitution=cast(Substitution, caller.substitution))


def choose_model(caller: Caller, request: ChatRequest) -> ModelEntry:
    """The model the caller means and may use. Raises InsufficientScope, ModelNotFound or ModelNotInTier."""
    if not caller.may("chat"):
        raise InsufficientScope(scope="chat")
    entry = get_model(request.model or caller.default_model or settings.DEFAULT_MODEL, caller.tier)
    if caller.key_models and entry.model_id not in caller.key_models:
        raise InsufficientScope(_("This API key is not for %(model)s.") % {"model": entry.model_id}, models=list(caller.key_models))
    return entry


def output_for(request: ChatRequest, entry: ModelEntry) -> int:
    """The output asked for, in tokens. Raises InvalidRequest above the model's cap."""
    cap = entry.max_output or MOST_OUTPUT
    if request.max_tokens is not None and request.max_tokens > cap:
        raise InvalidRequest(_("max_tokens is at most %(cap)d for %(model)s.") % {"cap": cap, "model": entry.model_id}, field="max_tokens")
    return min(request.max_tokens or DEFAULT_OUTPUT, cap)


def _reserve(caller: Caller, request: ChatRequest, entry: ModelEntry, output: int, incoming: Incoming, stored: int | None) -> Chat:
    """Take a slot of the account and hold the tokens."""
    if request.persona and caller.brumo:
        request = with_persona(request)
    bound = input_bound(request)
    slot = f"account:{caller.subject}"
    if slots.enter(slot, caller.tier.concurrency, incoming.request_id):
        raise _no_slot(caller.tier.concurrency)
    warnings: list[str] = []
    try:
        routes = allowed_routes(caller, entry, request)
        try:
            reservation = _hold(caller, entry, entry, bound, output, request, incoming)
        except QuotaExceeded as refusal:
            other, reservation = _degrade(caller, entry, bound, output, request, incoming, refusal)
            routes = allowed_routes(caller, other, request)
            warnings.append(_("The day's tokens are spent, so %(model)s answers, which does not count.") % {"model": other.model_id})
    except BaseException:
        slots.leave(slot, incoming.request_id)
        raise
    seconds = STREAM_SECONDS if request.stream else PLAIN_SECONDS
    dispatch = Dispatch(incoming.request_id, routes, time.monotonic() + seconds, head_start=caller.tier.queue_head_start)
    meter = Meter(input_guess(request), reservation.output_budget)
    return Chat(caller, request, entry, reservation, dispatch, meter, stored, warnings)


def _no_slot(concurrency: int) -> ConcurrencyLimited:
    policy, rest = f'"concurrency";q={concurrency}', '"concurrency";r=0;t=1'
    return ConcurrencyLimited(limit=concurrency, headers={"Retry-After": "1", "RateLimit-Policy": policy, "RateLimit": rest})


def allowed_routes(caller: Caller, entry: ModelEntry, request: ChatRequest) -> tuple[ModelEntry, ...]:
    """The request's routes that are in the caller's tier and can see what it shows; a key that names its models is never led to others."""
    return tuple(
        route
        for route in routes_for(entry, request)
        if route.min_tier_position <= caller.tier.position
        and (not caller.key_models or route.model_id in caller.key_models)
        and (route is entry or sees(route, request))
    )


def sees(entry: ModelEntry, request: ChatRequest) -> bool:
    """Can it look at the request's images, if it has some?"""
    return entry.may_see or not any(message.images for message in request.messages)


def usage_class(caller: Caller, entry: ModelEntry) -> str:
    """Which of the caller's two counters that model belongs to."""
    unlimited = caller.tier.ollama_unlimited and entry.provider.usage_class == UsageClass.UNLIMITED
    return UsageClass.UNLIMITED if unlimited else UsageClass.CLOUD


def holder(caller: Caller) -> Holder:
    """The caller as the meter knows it."""
    tier = caller.tier
    limit, key_limit = tier.daily_tokens, caller.key_daily_tokens
    return Holder(caller.subject, caller.user_id, tier.slug, limit, caller.key_id, key_limit, caller.share, tier.shadow)


def _hold(
    caller: Caller, asked: ModelEntry, entry: ModelEntry, bound: int, output: int, request: ChatRequest, incoming: Incoming
) -> Reservation:
    """Hold the tokens in the class of `entry`, on a receipt for the model asked for."""
    return quota.reserve(
        request_id=incoming.request_id,
        holder=holder(caller),
        usage_class=usage_class(caller, entry),
        input_bound=bound,
        output=output,
        entry_point=incoming.entry_point,
        model=asked.model_id,
        streamed=request.stream,
    )


def _degrade(
    caller: Caller, entry: ModelEntry, bound: int, output: int, request: ChatRequest, incoming: Incoming, refusal: QuotaExceeded
) -> tuple[ModelEntry, Reservation]:
    """Where the caller said `any`, go on with a model that does not count; else say which would still work."""
    unlimited = [other for other in models_for(caller.tier) if usage_class(caller, other) == UsageClass.UNLIMITED]
    alternatives = [other for other in unlimited if sees(other, request)]
    if caller.key_models:
        alternatives = [other for other in alternatives if other.model_id in caller.key_models]
    if refusal.extra["scope"] == "api_key":
        alternatives = []  # a key's own limit counts every model
    refusal.extra["models_available_now"] = [other.model_id for other in alternatives]
    if not (request.substitution == "any" and request.substitution_explicit and alternatives):
        raise refusal
    other = alternatives[0]
    return other, _hold(caller, entry, other, bound, min(output, other.max_output or MOST_OUTPUT), request, incoming)


def _replayed(caller: Caller, request: ChatRequest, entry: ModelEntry, incoming: Incoming, completion: Completion) -> Chat:
    """A chat that only repeats a stored answer: nothing is held, asked or charged."""
    reservation = Reservation(incoming.request_id, holder(caller), UsageClass.CLOUD, clock.now().date(), 0, 0)
    dispatch = Dispatch(incoming.request_id, (), time.monotonic())
    return Chat(caller, request, entry, reservation, dispatch, Meter(0, 0), replay=completion)
