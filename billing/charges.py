"""What is charged: the published table, as one function. `docs/metering.md` shows it; the tests are parametrised by it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a request ended; the rule's name on the receipt."""

    ANSWERED = "answered"
    EMPTY = "answered_empty"  # zero completion tokens
    REFUSED = "refused"  # by us, or by every provider, before a token
    TIMED_OUT = "timed_out"  # before a token
    BROKE_OFF = "broke_off"  # after tokens: the provider's fault or ours
    CANCELLED_EARLY = "cancelled_before_token"
    CANCELLED = "cancelled"  # by the client, mid-answer
    REPLAYED = "replayed"


@dataclass(frozen=True, slots=True)
class Charge:
    """Tokens that count, by direction."""

    input: int
    output: int

    @property
    def total(self) -> int:
        return self.input + self.output


def charge(outcome: Outcome, *, input_tokens: int, output_tokens: int, delivered: int) -> Charge:
    """The charging table.

    `input_tokens` and `output_tokens` are as reported, else estimated; `delivered` is the output that reached the client.
    """
    match outcome:
        case Outcome.ANSWERED | Outcome.CANCELLED:
            return Charge(input_tokens, output_tokens)
        case Outcome.CANCELLED_EARLY:
            return Charge(input_tokens, 0)
        case Outcome.BROKE_OFF:
            return Charge(0, delivered)
        case Outcome.EMPTY | Outcome.REFUSED | Outcome.TIMED_OUT | Outcome.REPLAYED:
            return Charge(0, 0)
