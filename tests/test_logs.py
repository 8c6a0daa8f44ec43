"""P30: no credential reaches a log."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.test import Client

from accounts.keys import new_key
from tests import canaries
from tests.canaries import PASSWORD, PROMPT
from triforce import logs
from triforce.logs import RedactSecrets, redact

PLANTED = [
    "tf_live_abcdefghijklmnopqrstuvwxyz0123456789",
    "sk-ant-api03-CANARY-0123456789",
    "sk_live_51CANARY0123456789abcdef",
    "whsec_CANARY0123456789abcdef",
    "AIzaSyCANARY0123456789abcdefghijklmnop",
    "gsk_CANARY0123456789abcdef",
    "xai-CANARY0123456789abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJDQU5BUlkifQ.c2lnbmF0dXJl",
]


@pytest.mark.parametrize("secret", PLANTED)
def test_it_knows_the_shapes_of_keys(secret: str) -> None:
    assert redact(f"upstream said {secret!r} is wrong") == "upstream said '[redacted]' is wrong"


@pytest.mark.parametrize(
    ("line", "clean"),
    [
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer [redacted]"),
        ("{'password': 'hunter22', 'email': 'a@example.com'}", "{'password': '[redacted]', 'email': 'a@example.com'}"),
        ('{"client_secret": "s3cr3t-value"}', '{"client_secret": "[redacted]"}'),
        ("x-api-key: 0123456789", "x-api-key: [redacted]"),
        ("could not reach postgresql://triforce:hunter22@db:5432/x", "could not reach postgresql://triforce:[redacted]@db:5432/x"),
        ("GET /v1beta/models?key=0123456789&alt=sse", "GET /v1beta/models?key=[redacted]&alt=sse"),
        ("tokens: 12 in, 30 out at http://127.0.0.1:9000/health", "tokens: 12 in, 30 out at http://127.0.0.1:9000/health"),
    ],
)
def test_it_blacks_out_what_names_itself_a_secret(line: str, clean: str) -> None:
    assert redact(line) == clean


def test_it_knows_the_secrets_of_our_own_settings(settings: Any) -> None:
    settings.PROVIDER_KEYS = {"openai": "an-odd-key-without-a-shape"}
    logs._own_secrets.cache_clear()
    try:
        assert redact(f"401 for an-odd-key-without-a-shape and {settings.SECRET_KEY}") == "401 for [redacted] and [redacted]"
    finally:
        logs._own_secrets.cache_clear()


def written(message: str, *args: Any, **options: Any) -> str:
    """What a handler with the filter writes."""
    record = logging.LogRecord("test", logging.ERROR, __file__, 1, message, args, options.get("exc_info"))
    assert RedactSecrets().filter(record)
    return logging.Formatter().format(record)


def test_it_cleans_message_arguments_and_exception() -> None:
    secret = PLANTED[0]
    try:
        raise ValueError(f"bad key {secret}")
    except ValueError as error:
        text = written(
            "failed for %s of %s", secret, {"headers": {"x-api-key": secret}}, exc_info=(type(error), error, error.__traceback__)
        )
    assert secret not in text and "[redacted]" in text and "ValueError" in text


def test_it_keeps_a_message_whose_arguments_do_not_fit() -> None:
    assert written("50 % of %d", "many") == "50 % of %d"


def test_every_handler_of_ours_has_the_filter(settings: Any) -> None:
    assert all("redact" in handler["filters"] for handler in settings.LOGGING["handlers"].values())


@pytest.mark.parametrize("secret", [PASSWORD, PROMPT, "sk-test-openai", new_key()])
def test_p30_the_ear_at_the_logs_hears(secret: str) -> None:
    """What it hears in any other test fails that test."""
    logging.getLogger("llm.chat").error("it was %s", secret)
    canaries.hear("an answer", f'{{"detail": "{secret}"}}')
    heard, canaries.heard[:] = canaries.heard.copy(), []
    assert any("an answer" in line for line in heard)
    assert any("the log of llm.chat" in line for line in heard) == (secret in (PASSWORD, PROMPT))  # keys are blacked out


@pytest.mark.django_db
def test_p30_the_ear_at_the_answers_hears(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.errors.AuthenticationRequired.default_detail", f"Not with {PASSWORD}.")
    assert client.get("/v1/auth/me").status_code == 401
    heard, canaries.heard[:] = canaries.heard.copy(), []
    assert len(heard) == 1 and "the answer 401 of /v1/auth/me" in heard[0]
