"""P1, P3 and P18 in real processes: they die, they end, they share their limits. Two workers where PostgreSQL and Redis are, else one."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from accounts.models import User
from billing import quota
from billing.models import Tier, UsageDay, UsageEvent
from tests.fakes.upstream import Answer, FakeUpstream, Gate
from tests.processes import WORKERS, Server, code_of, database_url, post, read_tokens, wait_until
from tests.test_serve import KEY, ROOT
from tests.wired import reply_of

TOKENS = 20
PARALLEL = 200

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def tier() -> Iterator[Tier]:
    """registered, whose limits are as they were after the test."""
    row = Tier.objects.get(slug="registered")
    before = (row.daily_tokens, row.requests_per_minute, row.concurrency)
    yield row
    row.daily_tokens, row.requests_per_minute, row.concurrency = before
    row.save()


@pytest.fixture
def enterprise(make_user: Callable[..., User], bearer: Callable[[User], dict[str, str]]) -> dict[str, str]:
    return bearer(make_user("enterprise", email="ent@example.org"))


@pytest.fixture
def registered(make_user: Callable[..., User], bearer: Callable[[User], dict[str, str]]) -> dict[str, str]:
    return bearer(make_user("registered", email="reg@example.org"))


def books() -> list[UsageEvent]:
    """All receipts, after checking them against the counters: also in the middle of things, what is open is what is held."""
    receipts = list(UsageEvent.objects.order_by("created"))
    for day in UsageDay.objects.all():
        own = [receipt for receipt in receipts if (receipt.subject, receipt.usage_class) == (day.subject, day.usage_class)]
        assert day.reserved == sum(receipt.reserved for receipt in own if receipt.state == "open")
        assert day.used == sum(receipt.charged for receipt in own if receipt.state != "open")
    return receipts


def test_p03_a_killed_worker_loses_no_receipt_and_harms_no_other(upstream: FakeUpstream, enterprise: dict[str, str]) -> None:
    upstream.always(Answer(["tok "] * 2 * TOKENS, gate=(gate := Gate()), gate_after=TOKENS, usage=(7, 2 * TOKENS)))
    with Server(upstream, lease=1) as server:
        victim, *others = server.workers
        streams = {worker: [post(server.connect(worker), enterprise, stream=True) for _ in range(2)] for worker in (victim, *others)}
        for stream in (stream for own in streams.values() for stream in own):
            read_tokens(stream, TOKENS)
        wait_until(lambda: UsageEvent.objects.filter(output_tokens=TOKENS).count() == len(upstream.chats))  # the checkpoint
        os.kill(victim, signal.SIGKILL)
        for stream in streams[victim]:
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                stream.read()
        wait_until(lambda: sum(record.closed.is_set() for record in upstream.chats) == 2)
        wait_until(lambda: UsageEvent.objects.filter(state="open", expires__lt=quota.clock.now()).count() == 2)
        if others:
            assert quota.sweep() == 2
        else:
            restart(upstream)
        gate.set()
        for worker in others:
            assert all(b"event: done" in stream.read() for stream in streams[worker])
            wait_until(lambda: len(server.workers) == WORKERS and victim not in server.workers)
            assert post(server.connect(), enterprise).status == 200  # it was replaced
            assert server.end() == 0
    receipts = [receipt for receipt in books() if receipt.streamed]
    lost = [receipt for receipt in receipts if receipt.state == "expired"]
    assert [(receipt.rule, receipt.charged, receipt.error_code) for receipt in lost] == [("broke_off", TOKENS, "process_lost")] * 2
    assert [receipt.charged for receipt in receipts if receipt.state == "settled"] == [7 + 2 * TOKENS] * 2 * len(others)


def restart(upstream: FakeUpstream) -> None:
    """The only process was killed: the next one settles what it left, before it answers."""
    with Server(upstream) as server:
        assert server.ask("GET", "/health").status == 200
        assert not UsageEvent.objects.filter(state="open").exists()
        assert server.end() == 0


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_p01_200_parallel_requests_to_all_workers_never_pass_the_limit(
    upstream: FakeUpstream, registered: dict[str, str], tier: Tier, streamed: bool
) -> None:
    tier.daily_tokens, tier.requests_per_minute, tier.concurrency = 20_000, 0, 0
    tier.save()
    upstream.always(Answer(["word"] * 20, usage=(300, 400)))
    with Server(upstream) as server:
        responses = asyncio.run(flood(f"http://{server.host}:{server.port}", registered, stream=streamed))
        assert server.end() == 0
    answered = [reply_of(response).end for response in responses if response.status_code == 200]
    assert {response.status_code for response in responses} == {200, 429}
    receipts = books()
    day = UsageDay.objects.get(usage_class="cloud")
    assert (day.reserved, day.used) == (0, sum(end["tokens_used"] for end in answered))
    assert 10_000 < day.used <= 20_000
    assert len(receipts) == len(answered) == len(upstream.chats)


async def flood(url: str, headers: dict[str, str], **fields: Any) -> list[httpx.Response]:
    body = {"message": "Hi", "system_prompt": "x", "model": "ollama/gpt-oss:120b-cloud", "max_tokens": 1000, **fields}
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=httpx.Limits(max_connections=PARALLEL)) as client:
        return await asyncio.gather(*(client.post("/v1/client/chat", json=body, headers=headers) for _ in range(PARALLEL)))


def test_rates_and_concurrency_hold_across_workers(upstream: FakeUpstream, registered: dict[str, str], tier: Tier) -> None:
    tier.requests_per_minute, tier.concurrency = 12, 4
    tier.save()
    upstream.always(Answer(["tok "], gate=(gate := Gate())))
    with Server(upstream) as server:
        clients = [server.connect(worker) for worker in server.workers for _ in range(4 // WORKERS)]
        streams = [start(client, registered) for client in clients]
        upstream.wait_for_requests(4)
        spare = [server.connect(worker) for worker in server.workers]
        assert [code_of(post(client, registered)) for client in spare] == [(429, "concurrency_limited")] * WORKERS
        gate.set()
        assert all(stream.getresponse().read().endswith(b"}\n\n") for stream in streams)
        outcomes = [code_of(post(spare[turn % WORKERS], registered)) for turn in range(10 - WORKERS)]
        assert outcomes == [(200, "")] * (8 - WORKERS) + [(429, "rate_limited")] * 2
        assert server.end() == 0
    assert {receipt.state for receipt in books()} == {"settled"}


def start(client: http.client.HTTPConnection, headers: dict[str, str]) -> http.client.HTTPConnection:
    """A streamed chat sent, nothing read."""
    body = b'{"message": "Hi", "model": "ollama/gpt-oss:120b-cloud", "stream": true}'
    client.request("POST", "/v1/client/chat", body, {"Content-Type": "application/json", **headers})
    return client


def test_a_tier_limit_set_by_command_holds_in_every_worker_within_2_seconds(
    upstream: FakeUpstream, registered: dict[str, str], tier: Tier
) -> None:
    with Server(upstream) as server:
        clients = [server.connect(worker) for worker in server.workers]
        assert [post(client, registered).read() and 200 for client in clients] == [200] * WORKERS
        environment = {"PATH": os.environ["PATH"], "SECRET_KEY": KEY, "DATABASE_URL": database_url(), "LOCAL_MODEL": "off"}
        command = [sys.executable, "manage.py", "set_tier_limit", "registered", "--daily-tokens", "100"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=30)
        set_at = time.monotonic()
        for client in clients:
            wait_until(lambda client=client: code_of(post(client, registered)) == (429, "quota_exceeded"), 2)
        assert time.monotonic() - set_at < 2
        assert server.end() == 0


def test_p18_a_stream_that_ends_in_time_is_whole(upstream: FakeUpstream, enterprise: dict[str, str]) -> None:
    upstream.always(Answer(["tok "] * 2 * TOKENS, gate=(gate := Gate()), gate_after=TOKENS, usage=(7, 2 * TOKENS)))
    with Server(upstream) as server:
        streams = [post(server.connect(worker), enterprise, stream=True) for worker in server.workers]
        for stream in streams:
            read_tokens(stream, TOKENS)
        server.process.send_signal(signal.SIGTERM)
        server.ask_until_refused()
        gate.set()
        assert all(b"event: done" in stream.read() for stream in streams)
        assert server.wait() == 0
    assert [(receipt.state, receipt.charged) for receipt in books()] == [("settled", 7 + 2 * TOKENS)] * WORKERS


def test_p18_a_stream_that_does_not_end_gets_an_error_event(upstream: FakeUpstream, enterprise: dict[str, str]) -> None:
    upstream.always(Answer(["tok "] * TOKENS, fault="silence_after"), model="gpt-oss:120b-cloud")
    upstream.always(Answer(fault="hang"), model="gpt-oss:20b-cloud")
    with Server(upstream, grace=3) as server:
        streams = [post(server.connect(worker), enterprise, stream=True) for worker in server.workers]
        for stream in streams:
            read_tokens(stream, TOKENS)
        silent = start(server.connect(), {})
        upstream.wait_for_requests(len(streams) + 1)
        server.process.send_signal(signal.SIGTERM)
        for stream in streams:
            assert b'event: error\ndata: {"code":"service_unavailable"' in stream.read()
        assert silent.getresponse().read()
        assert server.wait() == 0
    outcomes = sorted((receipt.state, receipt.rule, receipt.charged) for receipt in books())
    assert outcomes == [("settled", "broke_off", TOKENS)] * (WORKERS + 1)
    assert all(record.closed.wait(1) for record in upstream.chats)
