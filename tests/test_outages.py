"""P15 and P16 in real processes: what happens while the database or Redis is away, and how soon all is well again.

With PostgreSQL and Redis they are cut off by a proxy; without, SQLite is locked by another process and Redis never comes.
"""

from __future__ import annotations

import http.client
import json
import resource
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from accounts.models import User
from billing import shared
from billing.models import Tier, UsageEvent
from tests.conftest import PASSWORD
from tests.fakes import sockets
from tests.fakes.proxy import TcpProxy
from tests.fakes.upstream import Answer, FakeUpstream, Gate
from tests.processes import POSTGRES, Server, code_of, database_url, post, read_tokens, wait_until
from tests.test_processes import books, registered, tier  # noqa: F401

LOAD = 6  # clients at once
OUTAGES = {"reset": 8, "blackhole": 20} if POSTGRES else {"locked": 1}  # seconds: so long that pauses which double would show

pytestmark = pytest.mark.usefixtures("committed")


# -- P15 ------------------------------------------------------------------------------------------------------------------


@dataclass
class Load:
    """Clients that chat one after the other until told to stop. `seen`: (when it was sent, status, Retry-After, tokens used)."""

    server: Server
    headers: dict[str, str]
    seen: list[tuple[float, int, str, int]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    longest: float = 0.0  # that one waited for its answer, in seconds

    def __enter__(self) -> Load:
        self.threads = [threading.Thread(target=self.chat) for _ in range(LOAD)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(20)

    def chat(self) -> None:
        client = http.client.HTTPConnection(self.server.host, self.server.port, timeout=30)
        while not self.stopping.is_set():
            sent = time.monotonic()
            answer = post(client, self.headers)
            body = json.loads(answer.read())
            self.longest = max(self.longest, time.monotonic() - sent)
            self.seen.append((sent, answer.status, answer.headers.get("Retry-After", ""), body.get("tokens_used", 0)))
            if answer.status == 503:
                self.stopping.wait(0.1)  # nobody asks again at once
        client.close()

    def wait_for(self, number: int, since: float, *statuses: int) -> None:
        """Until so many requests sent since then were answered so."""
        wait_until(lambda: sum(sent >= since and status in statuses for sent, status, _, _ in list(self.seen)) >= number, 20)


@contextmanager
def database_line(outage: str) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """(a DATABASE_URL, take the database away, bring it back)"""
    if POSTGRES:
        chosen = connection.settings_dict
        with TcpProxy(chosen["HOST"], int(chosen["PORT"] or 5432)) as proxy:
            yield database_url(proxy.host, proxy.port), getattr(proxy, outage), proxy.pass_on
    else:
        other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, check_same_thread=False)
        yield database_url(), lambda: other.execute("BEGIN IMMEDIATE"), lambda: other.execute("ROLLBACK")
        other.close()


@pytest.mark.parametrize("outage", OUTAGES)
def test_p15_the_database_goes_and_comes_under_load(
    upstream: FakeUpstream,
    registered: dict[str, str],  # noqa: F811
    tier: Tier,  # noqa: F811
    outage: str,
) -> None:
    tier.daily_tokens = tier.requests_per_minute = tier.concurrency = 0
    tier.save()
    upstream.always(Answer(["tok "] * 3, usage=(7, 3), delay=0.005))
    with database_line(outage) as (url, away, back), Server(upstream, DATABASE_URL=url) as server, Load(server, registered) as load:
        load.wait_for(20, 0, 200)
        away()
        gone = time.monotonic()
        wait_until(lambda: time.monotonic() > gone + OUTAGES[outage], OUTAGES[outage] + 1)  # who writes to SQLite waits for the lock
        if outage == "reset":
            load.wait_for(LOAD * 8, gone, 503)  # with all of the database's threads waiting it would be a tenth of that
        back()
        restored = time.monotonic()
        load.wait_for(20, restored + (4 if POSTGRES else 0), 200)
        load.stopping.set()
        for thread in load.threads:
            thread.join(20)
        assert server.end() == 0
    assert load.longest < 16  # ten for the database's next word, and three for a new connection
    refused = [entry for entry in load.seen if entry[1] != 200]
    assert all(status == 503 and int(wait) > 0 for _, status, wait, _ in refused)
    assert bool(refused) == POSTGRES
    assert all(gone - 1 < sent < restored + 4 for sent, *_ in refused)
    receipts = books()
    answered = [tokens for _, status, _, tokens in load.seen if status == 200]
    closed = [receipt.charged for receipt in receipts if receipt.state == "settled"]
    assert len(answered) <= len(receipts) <= len(load.seen)
    assert sum(closed) == 10 * len(closed) <= 10 * len(upstream.chats)
    assert len(closed) >= len(answered)


# -- P17 ------------------------------------------------------------------------------------------------------------------


@pytest.mark.only_on("sqlite")
def test_p17_the_disk_is_full(
    upstream: FakeUpstream,
    registered: dict[str, str],  # noqa: F811
) -> None:
    """No file of the server's may grow: as on a full disk, but for its name. What ran meanwhile is settled once there is room."""
    upstream.always(Answer(["tok "] * 4, gate=(gate := Gate()), gate_after=2, usage=(7, 4)))
    with Server(upstream) as server:
        stream = post(server.connect(), registered, stream=True)
        read_tokens(stream, 2)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))
        client = server.connect()
        refused = post(client, registered)
        assert int(refused.headers["Retry-After"]) > 0
        assert code_of(refused) == (503, "service_unavailable")
        gate.set()
        assert b"event: done" in stream.read()
        assert [receipt.state for receipt in books()] == ["open"]
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_until(lambda: UsageEvent.objects.filter(state="settled").count() == 1)
        assert code_of(post(client, registered)) == (200, "")
        assert server.end() == 0
    assert [receipt.charged for receipt in books()] == [11, 11]
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA integrity_check")
        assert cursor.fetchall() == [("ok",)]


# -- P16 ------------------------------------------------------------------------------------------------------------------


@contextmanager
def redis_line(outage: str) -> Iterator[tuple[str, Callable[[], None], Callable[[], None] | None]]:
    """(a REDIS_URL, take Redis away, bring it back; None = it never comes)"""
    if outage == "never":
        nobody = sockets.refused()
        yield sockets.url(nobody).replace("http", "redis") + "/0", lambda: None, None
        nobody.close()
    else:
        real = urlsplit(settings.REDIS_URL)
        with TcpProxy(real.hostname or "127.0.0.1", real.port or 6379) as proxy:
            url = real._replace(netloc=f"{proxy.host}:{proxy.port}").geturl()
            yield url, getattr(proxy, outage), proxy.pass_on


@pytest.mark.parametrize("outage", ["reset", "blackhole", "never"] if settings.REDIS_URL else ["never"])
def test_p16_redis_away_at_start_and_under_load(
    upstream: FakeUpstream,
    registered: dict[str, str],  # noqa: F811
    tier: Tier,  # noqa: F811
    make_user: Callable[..., User],
    outage: str,
) -> None:
    tier.requests_per_minute = 6
    tier.save()
    make_user("registered", email="other@example.org")
    upstream.always(Answer(["Hi"], usage=(7, 3)))
    with redis_line(outage) as (url, away, back):
        away()
        with Server(upstream, workers=1, REDIS_URL=url) as server:
            client = server.connect()
            works_without_redis(client, registered)
            if back is not None:
                back()
                restored = time.monotonic()
                wait_until(lambda: code_of(post(client, registered)) and seen_by_redis(), 5)
                assert time.monotonic() - restored < 5
                away()
                forget_in_redis()
                works_without_redis(client, {})  # a guest now: the account has used its minute up
            assert server.end() == 0
    receipts = books()
    assert {receipt.state for receipt in receipts} == {"settled"}
    assert len(receipts) == len(upstream.chats)


def works_without_redis(client: http.client.HTTPConnection, headers: dict[str, str]) -> None:
    """Login and chat are right and quick; requests a minute are counted in the process."""
    login = {"email": "other@example.org", "password": PASSWORD}
    started = time.monotonic()
    assert code_of(post(client, {}, "/v1/auth/login", **login)) == (200, "")
    outcomes: list[Any] = [code_of(post(client, headers))]
    assert time.monotonic() - started < 5
    while outcomes[-1] == (200, ""):
        outcomes.append(code_of(post(client, headers)))
    assert (len(outcomes), outcomes[-1]) == ((7 if headers else 11), (429, "rate_limited"))
    assert time.monotonic() - started < 10


def seen_by_redis() -> bool:
    return any(True for _ in shared._client().scan_iter("triforce:*rate:chat:*"))


def forget_in_redis() -> None:
    for key in shared._client().scan_iter("triforce:*rate:*"):
        shared._client().delete(key)
