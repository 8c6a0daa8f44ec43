"""Prices: versions, never nonsense, never a jump unseen."""

from __future__ import annotations

from decimal import Decimal

import pytest

from billing.models import Price
from llm.models import LanguageModel
from llm.prices import approve, propose

pytestmark = pytest.mark.django_db


@pytest.fixture
def model() -> LanguageModel:
    return LanguageModel.objects.get(model_id="ollama/gpt-oss:20b-cloud")


def test_a_first_price_is_used(model):
    price = propose(model, {"input": 1, "output": "2.5", "cached_input": 0.1}, "live")
    model.refresh_from_db()
    assert model.price == price and price.approved
    assert (price.input, price.output, price.cached_input, price.cache_write) == (1, Decimal("2.5"), Decimal("0.1"), None)


@pytest.mark.parametrize(
    "price",
    [
        {"input": -1, "output": 1},
        {"input": 1, "output": -1},
        {"input": 1, "output": 1, "cached_input": -1},
        {"input": float("nan"), "output": 1},
        {"input": float("inf"), "output": 1},
        {"input": None, "output": 1},
        {"input": 1},
        {},
        {"input": "free", "output": 1},
        {"input": True, "output": 1},
        {"input": 10**6, "output": 1},
    ],
)
def test_what_is_no_price_is_never_written(model, price):
    assert propose(model, price, "live") is None
    assert not Price.objects.exists()


def test_the_same_price_is_no_new_version(model):
    propose(model, {"input": 1, "output": 2}, "live")
    assert propose(model, {"input": "1.000", "output": 2.0}, "snapshot 2") is None
    assert Price.objects.count() == 1


def test_a_change_is_a_new_version_and_the_old_one_stays(model):
    old = propose(model, {"input": 1, "output": 2}, "live")
    new = propose(model, {"input": 3, "output": 2}, "live")
    model.refresh_from_db()
    old.refresh_from_db()
    assert model.price == new and new.pk > old.pk and old.input == 1


@pytest.mark.parametrize(("before", "after"), [(1, "3.01"), (1, "0.33"), (1, 0), (0, 1)])
def test_a_jump_waits_for_an_operator(model, before, after):
    old = propose(model, {"input": before, "output": 2}, "live")
    held = propose(model, {"input": after, "output": 2}, "live")
    model.refresh_from_db()
    assert not held.approved and model.price == old
    assert propose(model, {"input": after, "output": 2}, "live") is None  # asked once
    assert approve(held)
    model.refresh_from_db()
    held.refresh_from_db()
    assert model.price == held and held.approved


def test_an_operators_no_and_an_operators_own_price_hold(model):
    first = propose(model, {"input": 1, "output": 2}, "live")
    propose(model, {"input": 2, "output": 2}, "live")
    approve(first)
    model.refresh_from_db()
    assert propose(model, {"input": 2, "output": 2}, "live") is None
    own = propose(model, {"input": "1.1", "output": 2}, "operator alice")
    assert model.price == own
    assert propose(model, {"input": "1.2", "output": 2}, "live") is None
    model.refresh_from_db()
    assert model.price == own
