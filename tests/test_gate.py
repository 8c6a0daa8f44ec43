"""The priority queue through the server: a slot goes to whoever has waited longest, a higher tier's head start included."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from accounts.models import User
from billing import slots
from llm import chat, dispatch
from llm.catalogue import find
from llm.models import Provider
from llm.providers.errors import UpstreamError
from tests.fakes.upstream import Answer, FakeUpstream, Gate
from tests.server import LiveServer
from tests.wired import Reply, Wired, ask, oracle

pytestmark = [pytest.mark.usefixtures("no_pauses"), pytest.mark.parametrize("wired", ["openai"], indirect=True)]


@pytest.fixture
def one_slot(wired: Wired) -> Iterator[None]:
    """Its provider takes one request at a time."""
    Provider.objects.filter(slug=wired.wire).update(concurrency=1)
    yield
    Provider.objects.filter(slug=wired.wire).update(concurrency=0)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


async def queued(number: int) -> None:
    """Until so many requests wait for a slot."""
    while sum(running.dispatch.queue_position > 0 and not running.dispatch.gate for running in chat.running.values()) < number:
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_enterprise_goes_before_a_guest_that_came_first(
    http: httpx.Client,
    live: LiveServer,
    upstream: FakeUpstream,
    wired: Wired,
    one_slot: None,
    pool: ThreadPoolExecutor,
    make_user: Callable[..., User],
    bearer: Callable[[User], dict[str, str]],
    streamed: bool,
) -> None:
    upstream.enqueue(Answer(["first"], gate=(gate := Gate())))
    upstream.always(Answer(["later"]))
    enterprise = bearer(make_user("enterprise"))

    def send(message: str, headers: dict[str, str] | None = None) -> Any:
        return pool.submit(ask, http, wired.model_id, message=message, headers=headers, stream=streamed)

    first = send("first")
    upstream.wait_for_requests(1)
    guest = send("guest")
    live.run(queued(1))
    paying = send("enterprise", enterprise)
    live.run(queued(2))
    gate.set()
    answers: list[Reply] = [future.result(10) for future in (first, guest, paying)]
    assert [answer.outcome for answer in answers] == [(200, "")] * 3
    assert [record.body["messages"][-1]["content"] for record in upstream.chats] == ["first", "enterprise", "guest"]
    assert "X-Queue-Position" not in answers[0].headers
    for waited in answers[1:]:
        assert waited.headers["X-Queue-Position"] == "1"  # the guest was first in the queue when it came
        assert int(waited.headers["X-Queue-Wait-Ms"]) > 0
    oracle(live, upstream)


def test_a_waiting_request_that_leaves_gives_up_its_place(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, one_slot: None, pool: ThreadPoolExecutor
) -> None:
    upstream.enqueue(Answer(["first"], gate=(gate := Gate())))
    first = pool.submit(ask, http, wired.model_id)
    upstream.wait_for_requests(1)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{live.url}/v1/client/chat", json={"message": "Hi", "model": wired.model_id, "substitution": "strict"}, timeout=0.3)
    gate.set()
    assert first.result(10).outcome == (200, "")
    assert ask(http, wired.model_id).outcome == (200, "")
    assert len(upstream.chats) == 2
    assert [receipt.rule for receipt in oracle(live, upstream)] == ["answered", "refused", "answered"]


def test_a_slot_comes_free_whatever_the_provider_does(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, one_slot: None
) -> None:
    for fault in ("503", "garbage", "cut_after", "reset_before"):
        upstream.enqueue(Answer(fault=fault))
        ask(http, wired.model_id, stream=True)
    answer = ask(http, wired.model_id)
    assert (answer.outcome, "X-Queue-Position" in answer.headers) == ((200, ""), False)
    oracle(live, upstream)


@pytest.mark.parametrize(("position", "looks"), [(1, (8, 21)), (5, (3, 5)), (1000, (2, 2))])
def test_who_stands_far_back_asks_seldom(monkeypatch: pytest.MonkeyPatch, wired: Wired, position: int, looks: tuple[int, int]) -> None:
    """However many wait, they keep the process no busier than the first few do."""
    asked: list[str] = []

    def stands(name: str, *_args: Any, **_more: Any) -> int:
        asked.append(name)
        return position

    monkeypatch.setattr(slots, "enter", stands)
    route = find(wired.model_id)
    assert route is not None
    route = replace(route, provider=replace(route.provider, concurrency=1))
    waiting = dispatch.Dispatch("r", (route,), 0.0)
    with pytest.raises(UpstreamError, match="No slot came free in time"):
        asyncio.run(dispatch._enter_gate(waiting, route, 1.0))
    assert looks[0] <= len(asked) <= looks[1]
    assert waiting.queue_position == position


def test_no_slot_in_time_is_503(
    http: httpx.Client,
    live: LiveServer,
    upstream: FakeUpstream,
    wired: Wired,
    one_slot: None,
    pool: ThreadPoolExecutor,
) -> None:
    upstream.enqueue(Answer(["first"], gate=(gate := Gate())))
    first = pool.submit(ask, http, wired.model_id)
    upstream.wait_for_requests(1)
    Provider.objects.filter(slug=wired.wire).update(first_byte_seconds=1)
    try:
        late = ask(http, wired.model_id)
    finally:
        Provider.objects.filter(slug=wired.wire).update(first_byte_seconds=60)
        gate.set()
    assert late.outcome == (503, "upstream_unavailable")
    assert [attempt["outcome"] for attempt in late.end["error"]["tried"]] == ["queue_full"]
    assert first.result(10).outcome == (200, "")
    oracle(live, upstream)
