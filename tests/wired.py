"""Asking a model on a wire of one's choice through the live server, and comparing the books with what its provider saw."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import httpx

from billing.models import UsageDay, UsageEvent
from llm import chat
from tests.canaries import PROMPT
from tests.fakes.upstream import FakeUpstream
from tests.server import LiveServer

NOT_ASKED = ("breaker_open", "no_room", "queue_full")
STAND_IN = "groq/stand-in"  # at a provider of its own, so that no breaker of the faulty one stands in its way


@dataclass(frozen=True)
class Wired:
    """A model that the fake upstream answers for on that wire; `STAND_IN` is its only fallback."""

    wire: str
    model_id: str

    @property
    def native_id(self) -> str:
        return self.model_id.partition("/")[2]


@dataclass(frozen=True)
class Reply:
    """What a client got. `end`: the data of the stream's last event, or the body; `code` of its error, "" where it has none."""

    status: int
    code: str
    text: str
    end: dict[str, Any]
    headers: httpx.Headers

    @property
    def outcome(self) -> tuple[int, str]:
        return self.status, self.code


def ask(http: httpx.Client, model: str, **fields: Any) -> Reply:
    """POST /v1/client/chat, plain or with stream=True."""
    headers = fields.pop("headers", None)
    body = {"message": PROMPT, "system_prompt": "x", "model": model, "substitution": "strict", **fields}
    return reply_of(http.post("/v1/client/chat", json=body, headers=headers))


def reply_of(response: httpx.Response) -> Reply:
    if response.headers["content-type"] != "text/event-stream":
        body = response.json()
        return Reply(response.status_code, body.get("error", {}).get("code", ""), body.get("response", ""), body, response.headers)
    events = events_of(response.text)
    kind, end = events[-1]
    assert kind in ("done", "error"), f"the stream ended with {kind}"
    assert {name for name, _ in events[:-1]} <= {"delta"}
    text = "".join(data["text"] for name, data in events if name == "delta")
    return Reply(response.status_code, end.get("code", ""), text, end, response.headers)


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    """(name, data) of each server-sent event; comments are left out."""
    events = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            events.append((lines["event"], json.loads(lines["data"])))
    return events


def at_rest(live: LiveServer) -> None:
    """Return when nothing runs and everything that ran is settled."""
    live.run(_at_rest())


async def _at_rest() -> None:
    while chat.running:
        await asyncio.sleep(0.005)
    await chat.settled()


def oracle(live: LiveServer, upstream: FakeUpstream) -> list[UsageEvent]:
    """The receipts in order, after checking that at rest they agree with the counters and with the provider's record."""
    at_rest(live)
    receipts = list(UsageEvent.objects.order_by("created"))
    charged: dict[tuple[str, str], int] = defaultdict(int)
    for receipt in receipts:
        assert receipt.state in ("settled", "failed")
        assert 0 <= receipt.charged <= receipt.reserved
        if receipt.state == "failed":
            assert (receipt.rule in ("refused", "timed_out"), receipt.charged, receipt.served_model) == (True, 0, "")
        if receipt.estimated and receipt.rule != "broke_off":
            assert receipt.output_tokens <= sum(max(record.sent, len(record.text.encode()) // 6 + 1) for record in upstream.chats)
        charged[receipt.subject, receipt.usage_class] += receipt.charged
    for day in UsageDay.objects.all():
        assert (day.reserved, day.used) == (0, charged.pop((day.subject, day.usage_class), 0))
    assert not any(charged.values())
    asked = [attempt for receipt in receipts for attempt in receipt.attempts if attempt["outcome"] not in NOT_ASKED]
    assert len(upstream.chats) <= len(asked)
    return receipts
