"""The price before sending: the checks and the arithmetic of admit(), without holding or asking anything."""

from __future__ import annotations

from typing import Any

from billing import clock, quota, rates
from billing.errors import ApiError
from llm.admission import Incoming, allowed_routes, choose_model, holder, output_for, usage_class
from llm.meter import input_bound, input_guess
from llm.persona import with_persona
from llm.types import ChatRequest


def quote_for(incoming: Incoming, request: ChatRequest) -> dict[str, Any]:
    """The quote of a chat request, as /v1/quote answers it. Raises ApiError where the caller or the request is wrong."""
    caller = incoming.caller()
    rates.require(f"reads:{caller.subject}", caller.tier.reads_per_minute)
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
