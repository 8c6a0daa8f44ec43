"""Rolling windows, in this process and in Redis, with Redis away, and under parallel tries."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from billing import rates, shared
from tests.clocks import ahead, later

STORES = ["process", *(["redis"] if os.environ.get("REDIS_URL") else [])]
APART = [(store, seconds) for store in STORES for seconds in ([3600, -3600] if store == "redis" else [0])]  # a process has one clock


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, settings) -> Iterator[str]:
    settings.REDIS_URL = os.environ["REDIS_URL"] if request.param == "redis" else ""
    shared._client.cache_clear()
    shared._scripts.clear()
    yield request.param
    shared._client.cache_clear()
    shared._scripts.clear()


def test_it_allows_so_many_in_a_window(store: str) -> None:
    verdicts = [rates.hit("test:a", 3, 60) for _ in range(4)]
    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False]
    assert [verdict.remaining for verdict in verdicts] == [2, 1, 0, 0]
    assert 59 <= verdicts[-1].retry_after <= 60


def test_it_rolls(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rates.hit("test:b", 2, 60).allowed
    later(monkeypatch, 30)
    assert rates.hit("test:b", 2, 60).allowed
    later(monkeypatch, 29)
    assert not rates.hit("test:b", 2, 60).allowed
    later(monkeypatch, 1)
    assert rates.hit("test:b", 2, 60).allowed
    assert not rates.hit("test:b", 2, 60).allowed


@pytest.mark.parametrize(("store", "seconds"), APART, indirect=["store"])
def test_machines_whose_clocks_disagree_count_together(store: str, seconds: float) -> None:
    assert rates.hit("test:g", 2).allowed
    with ahead(seconds):
        assert rates.hit("test:g", 2).allowed
        there = rates.hit("test:g", 2)
    here = rates.hit("test:g", 2)
    assert [(verdict.allowed, 59 <= verdict.retry_after <= 60) for verdict in (here, there)] == [(False, True)] * 2


def test_it_looks_without_counting(store: str) -> None:
    assert all(rates.blocked("test:c", 1).allowed for _ in range(3))
    rates.hit("test:c", 1)
    assert not rates.blocked("test:c", 1).allowed
    rates.clear("test:c")
    assert rates.blocked("test:c", 1).allowed


def test_it_counts_parallel_tries_exactly(store: str) -> None:
    with ThreadPoolExecutor(20) as threads:
        verdicts = list(threads.map(lambda _: rates.hit("test:d", 10), range(50)))
    assert sum(verdict.allowed for verdict in verdicts) == 10


def test_zero_is_no_limit(store: str) -> None:
    assert all(rates.hit("test:e", 0).allowed for _ in range(100))


def test_p16_it_counts_in_the_process_while_redis_is_away(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(shared, "_client", lambda: redis.Redis(port=1, socket_connect_timeout=0.2))
    monkeypatch.setattr(shared, "_away_until", 0.0)
    shared._scripts.clear()
    assert [rates.hit("test:f", 2).allowed for _ in range(3)] == [True, True, False]
    shared._scripts.clear()


@pytest.fixture
def few(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process keeps count of ten keys, twenty at the most."""
    settings.REDIS_URL = ""
    monkeypatch.setattr(rates, "MANY", 10)
    monkeypatch.setattr(rates, "MOST", 20)
    monkeypatch.setattr(rates, "_looked", 0.0)


def test_a_scan_of_addresses_fills_no_memory(few: None) -> None:
    rates.hit("test:early", 5)
    for number in range(100):
        rates.hit(f"test:{number}", 5)
        rates.hit("test:busy", 1000)
    assert len(rates._windows) == 20
    assert rates.hit("test:busy", 1000).remaining == 1000 - 101  # whoever is seen is not forgotten
    assert rates.hit("test:early", 5).remaining == 4


def test_what_no_window_counts_any_more_is_dropped_by_its_own_window(few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        rates.hit(f"test:minute:{number}", 5, 60)
        rates.hit(f"test:hour:{number}", 5, 3600)
    later(monkeypatch, 61)
    rates.hit("test:now", 5)
    assert set(rates._windows) == {"test:now", *(f"test:hour:{number}" for number in range(8))}


def test_it_looks_for_what_to_drop_now_and_then(few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        rates.hit(f"test:{number}", 5, 1)
    later(monkeypatch, 2)
    rates.hit("test:a", 5)
    assert len(rates._windows) == 13  # it has looked just before
    later(monkeypatch, rates.LOOK_SECONDS)
    rates.hit("test:b", 5)
    assert set(rates._windows) == {"test:a", "test:b"}
