"""P30 over the whole run: what must stay secret, and an ear at each log line and each error's body.

Every test signs in with PASSWORD, most ask PROMPT, and keys are made all along; after each test nothing of it may have been heard.
"""

from __future__ import annotations

import copy
import logging
import re
from functools import cache, wraps
from typing import Any

from django.conf import settings
from django.test import Client

from triforce.limits import App, Message, Receive, Scope, Send
from triforce.logs import RedactSecrets

PASSWORD = "Honig-und-Lachs-7"
PROMPT = "Hi, canary 5d1c7e"
SHAPES = r"\btf_live_[0-9A-Za-z]{36}|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}"
FORMATTER = logging.Formatter()
heard: list[str] = []


@cache
def _secrets() -> re.Pattern[str]:
    ours = (settings.SECRET_KEY, settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET)
    providers = ("sk-test-openai", "gsk-test", "sk-ant-test")
    return re.compile("|".join([SHAPES, *(re.escape(secret) for secret in (PASSWORD, PROMPT, *ours, *providers))]))


def hear(where: str, text: str) -> None:
    if found := _secrets().search(text):
        heard.append(f"{found[0]!r} in {where}: {text[max(0, found.start() - 200) : found.end() + 200]!r}")


class Ear(logging.Handler):
    """Hears what our own handlers would write: with their filter, and without changing the record for others."""

    def emit(self, record: logging.LogRecord) -> None:
        own = copy.copy(record)
        RedactSecrets().filter(own)
        hear(f"the log of {own.name}", FORMATTER.format(own))


_ear = Ear()


def listen() -> None:
    """At the logs from now on; Django's setup, which the live server runs anew, takes other handlers than its own away."""
    _secrets()  # those of the run, before a test has settings of its own
    logging.getLogger().addHandler(_ear)  # once, however often it is asked


def listen_to_answers() -> None:
    """That the tests' client of Django's gets, for the whole run."""
    asked = Client.request

    @wraps(asked)
    def request(self: Client, **environment: Any) -> Any:
        response = asked(self, **environment)
        if response.status_code >= 400 and not response.streaming:
            hear(f"the answer {response.status_code} of {environment.get('PATH_INFO')}", response.content.decode(errors="replace"))
        return response

    Client.request = request  # type: ignore[method-assign]


def overheard(app: App) -> App:
    """The application, with an ear at the bodies of its errors."""

    async def listening(scope: Scope, receive: Receive, send: Send) -> None:
        status, body = 0, b""

        async def heard_send(message: Message) -> None:
            nonlocal status, body
            status = message.get("status", status)
            if status >= 400:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    hear(f"the answer {status} of {scope['path']}", body.decode(errors="replace"))
            await send(message)

        await app(scope, receive, heard_send)

    return listening
