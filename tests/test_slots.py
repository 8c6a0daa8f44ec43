"""Places held while something runs, and the queue in front of them."""

import os
import time
from collections.abc import Iterator

import pytest

from billing import shared, slots
from tests.clocks import ahead, later

STORES = ["process", *(["redis"] if os.environ.get("REDIS_URL") else [])]
APART = [(store, seconds) for store in STORES for seconds in ([3600, -3600] if store == "redis" else [0])]  # a process has one clock


@pytest.fixture(params=STORES, autouse=True)
def store(request: pytest.FixtureRequest, settings) -> Iterator[str]:
    settings.REDIS_URL = os.environ["REDIS_URL"] if request.param == "redis" else ""
    shared._client.cache_clear()
    shared._scripts.clear()
    yield request.param
    shared._client.cache_clear()
    shared._scripts.clear()


def test_it_holds_so_many_places() -> None:
    assert [slots.enter("t", 2, member) for member in "abc"] == [0, 0, 1]
    slots.leave("t", "a")
    assert slots.enter("t", 2, "c") == 0


def test_who_does_not_wait_stands_in_nobodys_way() -> None:
    slots.enter("t", 1, "a")
    assert slots.enter("t", 1, "b") == 1
    slots.leave("t", "a")
    assert slots.enter("t", 1, "c") == 0


def test_it_lets_in_who_came_first() -> None:
    now = time.time()
    slots.enter("t", 1, "holder")
    assert slots.enter("t", 1, "late", came=now + 1, wait=True) == 1
    assert slots.enter("t", 1, "early", came=now, wait=True) == 1
    assert slots.enter("t", 1, "late", came=now + 1, wait=True) == 2
    slots.leave("t", "holder")
    assert slots.enter("t", 1, "late", came=now + 1, wait=True) == 2
    assert slots.enter("t", 1, "early", came=now, wait=True) == 0


def test_a_head_start_goes_first_and_starves_nobody() -> None:
    now = time.time()
    slots.enter("t", 1, "holder")
    slots.enter("t", 1, "guest", came=now - 130, wait=True)
    slots.enter("t", 1, "new guest", came=now - 10, wait=True)
    assert slots.enter("t", 1, "unlimited", came=now, head_start=120, wait=True) == 2
    slots.leave("t", "holder")
    assert slots.enter("t", 1, "unlimited", came=now, head_start=120, wait=True) == 2
    assert slots.enter("t", 1, "guest", came=now - 130, wait=True) == 0


def test_a_dead_process_gives_its_places_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    slots.enter("t", 1, "dead")
    slots.enter("t", 1, "dead waiter", came=now - 100, wait=True)
    later(monkeypatch, slots.LEASE_SECONDS + 1)
    assert slots.enter("t", 1, "alive", wait=True) == 0


def test_a_renewed_place_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    slots.enter("t", 1, "alive")
    later(monkeypatch, 20)
    slots.renew("t", "alive")
    later(monkeypatch, 25)
    assert slots.enter("t", 1, "other") == 1


def test_what_is_lost_is_not_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    slots.enter("t", 1, "slow")
    later(monkeypatch, slots.LEASE_SECONDS + 1)
    assert slots.enter("t", 1, "other") == 0
    slots.renew("t", "slow")
    slots.leave("t", "other")
    assert slots.enter("t", 1, "next") == 0


@pytest.mark.parametrize(("store", "seconds"), APART, indirect=["store"])
def test_machines_whose_clocks_disagree_keep_each_others_places(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    slots.enter("t", 2, "here")
    with ahead(seconds):
        assert slots.enter("t", 2, "there") == 0
        assert slots.enter("t", 2, "one too many") == 1
    assert slots.enter("t", 2, "one too many") == 1
    with ahead(seconds):
        slots.renew("t", "there")
    assert slots.enter("t", 2, "one too many") == 1
    later(monkeypatch, slots.LEASE_SECONDS + 1)
    assert [slots.enter("t", 2, member) for member in "ab"] == [0, 0]


@pytest.mark.parametrize(("store", "seconds"), APART, indirect=["store"])
def test_machines_whose_clocks_disagree_stand_in_one_queue(seconds: float) -> None:
    slots.enter("t", 1, "holder")
    came = time.time()
    queue = [("there", seconds, came + seconds - 2), ("here", 0, came - 1), ("there too", seconds, came + seconds)]
    for _ in range(2):
        for place, (member, its_clock, its_came) in enumerate(queue, 1):
            with ahead(its_clock):
                assert slots.enter("t", 1, member, came=its_came, wait=True) == place
    slots.leave("t", "holder")
    assert slots.enter("t", 1, "here", came=came - 1, wait=True) == 2
    with ahead(seconds):
        assert slots.enter("t", 1, "there", came=came + seconds - 2, wait=True) == 0


def test_zero_is_no_limit() -> None:
    assert [slots.enter("t", 0, str(number)) for number in range(50)] == [0] * 50
