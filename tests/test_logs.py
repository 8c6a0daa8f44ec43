"""P30: no credential reaches a log."""

from __future__ import annotations

import logging
from typing import Any

import pytest

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
