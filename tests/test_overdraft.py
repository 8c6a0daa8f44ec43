"""P1 through the server: however many requests come at once, no account passes its limit, and at rest the books agree."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from accounts.models import User
from billing.models import Tier, UsageDay, UsageEvent
from tests.fakes.upstream import Answer, FakeUpstream
from tests.server import LiveServer
from tests.wired import at_rest

PARALLEL = 200


@pytest.fixture
def nearly_spent_tier(live: LiveServer) -> Any:
    """registered with 20,000 tokens a day, no rate and no concurrency limit, for the time of the test."""
    row = Tier.objects.get(slug="registered")
    before = (row.daily_tokens, row.requests_per_minute, row.concurrency)
    row.daily_tokens, row.requests_per_minute, row.concurrency = 20_000, 0, 0
    row.save()
    yield row
    row.daily_tokens, row.requests_per_minute, row.concurrency = before
    row.save()


async def flood(url: str, headers: dict[str, str], **fields: Any) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=PARALLEL)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as http:
        body = {"message": "Hi", "system_prompt": "x", "max_tokens": 1000, **fields}
        return await asyncio.gather(*(http.post("/v1/client/chat", json=body, headers=headers) for _ in range(PARALLEL)))


@pytest.mark.parametrize("streamed", [False, True])
def test_p01_200_parallel_requests_never_pass_the_limit(
    live: LiveServer,
    upstream: FakeUpstream,
    nearly_spent_tier: Tier,
    make_user: Callable[..., User],
    bearer: Callable[[User], dict[str, str]],
    streamed: bool,
) -> None:
    upstream.always(Answer(["word"] * 20, usage=(300, 400)))
    user = make_user()
    responses = asyncio.run(flood(live.url, bearer(user), stream=streamed))
    statuses = {response.status_code for response in responses}
    assert statuses == {200, 429}
    refusals = [response.json()["error"] for response in responses if response.status_code == 429]
    assert {refusal["code"] for refusal in refusals} == {"quota_exceeded"}
    assert {refusal["limit"] for refusal in refusals} == {20_000}
    at_rest(live)  # on a busy machine the last receipts close after their answers
    row = UsageDay.objects.get(subject=user.subject, usage_class="cloud")
    events = UsageEvent.objects.filter(account=user)
    assert row.reserved == 0
    assert row.used <= 20_000
    assert row.used == sum(event.charged for event in events)
    answered = sum(response.status_code == 200 for response in responses)
    assert events.count() == answered == len(upstream.chats)
    assert row.used > 10_000  # each holds a little over 1,000, so refusing before half of the day is spent would be wrong
