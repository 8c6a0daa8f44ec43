"""The price before sending: the checks and the arithmetic of admit(), without holding or asking anything."""

from __future__ import annotations

from typing import Any

from accounts.caller import Caller
from billing import clock, quota, rates
from billing.errors import ApiError
from billing.models import Price
from llm.admission import Incoming, allowed_routes, as_preferred, choose_model, holder, output_for, usage_class
from llm.catalogue import find
from llm.composition import compose
from llm.meter import input_bound, input_guess
from llm.persona import with_persona
from llm.types import Ask, ChatRequest


def quote_for(incoming: Incoming, request: ChatRequest) -> dict[str, Any]:
    """The quote of a chat request, as /v1/quote answers it. Raises ApiError where the caller or the request is wrong."""
    return _quote(incoming.caller(), request)


def quote_for_turn(incoming: Incoming, asked: Ask) -> dict[str, Any]:
    """The same for a turn of a conversation, with all that was said before, and its list price in USD at most; None = unknown."""
    caller = incoming.caller()
    composed = compose(caller, asked, quoted=True)
    found = _quote(caller, composed.request)
    entry = find(composed.model_id)
    price = None if entry is None or entry.price_id is None else Price.objects.filter(pk=entry.price_id).first()
    most = None if price is None else found["input_tokens"] * price.input + found["max_output_tokens"] * price.output
    return {**found, "price_usd": None if most is None else float(most) / 1_000_000}


def _quote(caller: Caller, request: ChatRequest) -> dict[str, Any]:
    rates.require(f"reads:{caller.subject}", caller.tier.reads_per_minute)
    request = as_preferred(caller, request)
    entry = choose_model(caller, request)
    if request.persona and caller.brumo:
        request = with_persona(request)
    bound, output = input_bound(request), output_for(request, entry)
    left = quota.left(holder(caller), usage_class(caller, entry), clock.now().date())
    reason = _refusal(bound, output, left)
    if reason is None:
        try:
            allowed_routes(caller, entry, request)
        except ApiError as error:
            reason = error.code
    granted = output if left is None else max(0, min(output, left - bound))
    return {
        "input_tokens": input_guess(request),
        "max_output_tokens": granted,
        "max_charge": bound + granted,
        "share_of_remaining": None if left is None else round((bound + granted) / left, 4) if left else 1.0,
        "would_be_admitted": reason is None,
        "reason": reason,
    }


def _refusal(bound: int, output: int, left: int | None) -> str | None:
    enough = left is None or left >= bound + min(output, quota.LEAST_OUTPUT)
    return None if enough else "quota_exceeded"
