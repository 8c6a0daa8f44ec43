"""Brumo: added once, only where nobody else speaks first; the same saying for the same situation."""

from __future__ import annotations

import pytest
from django.utils.translation import override

from llm.persona import PERSONA, SAYINGS, SITUATIONS, saying, with_persona
from llm.types import ChatRequest, Message

QUESTION = Message("user", "Was ist ein Mutex?")


def test_it_speaks_first_where_nobody_else_does():
    request = with_persona(ChatRequest((QUESTION,), model="ollama/x", max_tokens=5))
    assert request.messages == (Message("system", PERSONA), QUESTION)
    assert (request.model, request.max_tokens) == ("ollama/x", 5)


@pytest.mark.parametrize("messages", [(Message("system", "Be brief."), QUESTION), (QUESTION, Message("system", "Be brief."))])
def test_it_leaves_a_given_system_prompt_alone(messages):
    request = ChatRequest(messages)
    assert with_persona(request) is request


def test_it_is_never_added_twice():
    once = with_persona(ChatRequest((QUESTION,)))
    assert with_persona(once) is once


def test_it_is_short():
    # German takes 5.6 characters a token with o200k (billing/estimate.py); 3 is a poor tokenizer's
    assert len(PERSONA) <= 150 * 3


def test_it_says_the_same_for_the_same_request():
    assert saying("quota_exceeded", "req_1") == saying("quota_exceeded", "req_1")
    assert {saying("quota_exceeded", str(number)) for number in range(20)} == set(map(str, SAYINGS["quota"]))


def test_it_has_a_saying_for_every_situation():
    assert set(SITUATIONS.values()) | {"server", "welcome"} == set(SAYINGS)
    assert all(saying(code, "x") for code in [*SITUATIONS, *SAYINGS])


def test_it_takes_a_situation_it_does_not_know_as_its_own_fault():
    assert saying("internal_error", "x") in map(str, SAYINGS["server"])


def test_it_says_nothing_false_in_either_language():
    for language in ("de", "en"):
        with override(language):
            assert saying("rate_limited", "x").strip()
