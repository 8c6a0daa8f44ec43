"""The published charging table is this test's parametrisation."""

import re
from pathlib import Path

import pytest

from billing.charges import Charge, Outcome, charge

REPORTED_IN, REPORTED_OUT, DELIVERED = 100, 50, 30
TABLE = {
    Outcome.ANSWERED: Charge(100, 50),
    Outcome.EMPTY: Charge(0, 0),
    Outcome.REFUSED: Charge(0, 0),
    Outcome.TIMED_OUT: Charge(0, 0),
    Outcome.BROKE_OFF: Charge(0, 30),
    Outcome.CANCELLED_EARLY: Charge(100, 0),
    Outcome.CANCELLED: Charge(100, 50),
    Outcome.REPLAYED: Charge(0, 0),
}


@pytest.mark.parametrize("outcome", Outcome)
def test_it_charges_as_published(outcome: Outcome) -> None:
    assert charge(outcome, input_tokens=REPORTED_IN, output_tokens=REPORTED_OUT, delivered=DELIVERED) == TABLE[outcome]


def test_it_is_published_in_full() -> None:
    published = Path("docs/metering.md").read_text()
    rules = set(re.findall(r"^\| `(\w+)` \|", published, re.MULTILINE))
    assert rules == {outcome.value for outcome in Outcome}
