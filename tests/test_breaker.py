"""P13 through the server: what keeps failing is left alone for a while, one probe brings it back, and nobody else feels it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from accounts.models import User
from llm import chat
from llm.breaker import Breakers
from tests.fakes.upstream import Answer, FakeUpstream, Gate
from tests.server import LiveServer
from tests.wired import STAND_IN, Wired, ask, at_rest, oracle

UNAVAILABLE = (503, "upstream_unavailable")
ROUNDS, TIMES = 2, 26

pytestmark = [pytest.mark.usefixtures("no_pauses"), pytest.mark.parametrize("wired", ["openai"], indirect=True)]


class Clock:
    """The breakers' clock, which a test may put forward."""

    ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("llm.breaker.time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def outcomes(answer: Any) -> list[str]:
    return [attempt["outcome"] for attempt in answer.end["error"]["tried"]]


def test_p13_five_failures_open_it_and_one_probe_closes_it(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, clock: Clock
) -> None:
    upstream.always(Answer(fault="503"), model=wired.native_id)
    ask(http, wired.model_id)
    assert outcomes(ask(http, wired.model_id)) == ["upstream_error", "upstream_error", "breaker_open"]
    refused = ask(http, wired.model_id)
    assert (refused.outcome, outcomes(refused), refused.headers["Retry-After"]) == (UNAVAILABLE, ["breaker_open"], "15")
    assert ask(http, wired.model_id, substitution="any").end["model"] == STAND_IN
    assert [record.model for record in upstream.chats] == ["faulty"] * 5 + ["stand-in"]

    clock.ahead = 15.1
    gate, probes = Gate(), []
    upstream.always(Answer(["Hi"], gate=gate), model=wired.native_id)
    probe = threading.Thread(target=lambda: probes.append(ask(http, wired.model_id)))
    probe.start()
    upstream.wait_for_requests(7)
    assert outcomes(ask(http, wired.model_id)) == ["breaker_open"]  # one probe at a time
    gate.set()
    probe.join(10)
    assert probes[0].outcome == (200, "")
    assert ask(http, wired.model_id).outcome == (200, "")
    oracle(live, upstream)


def test_p13_a_failed_probe_opens_it_again(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, clock: Clock
) -> None:
    upstream.always(Answer(fault="503"))
    for _ in range(2):
        ask(http, wired.model_id)
    clock.ahead = 15.1
    assert outcomes(ask(http, wired.model_id)) == ["upstream_error", "breaker_open"]
    assert outcomes(ask(http, wired.model_id)) == ["breaker_open"]
    assert len(upstream.chats) == 6
    oracle(live, upstream)


def test_p13_what_the_caller_caused_opens_nothing(http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired) -> None:
    upstream.always(Answer(status=400, error="maximum context length"))
    for _ in range(6):
        assert ask(http, wired.model_id).outcome == (502, "upstream_error")
    assert len(upstream.chats) == 6
    oracle(live, upstream)


def test_p13_a_model_that_is_closed_off_takes_no_probe_of_its_provider(wired: Wired, clock: Clock) -> None:
    known = Breakers()
    for name, ahead in (("provider", 0.0), ("model", 10.0)):
        clock.ahead = ahead
        for _ in range(5):
            known.failed("r", name)
    clock.ahead = 16.0
    assert not known.allow("r", "provider", "model")
    assert known.allow("s", "provider", "another model")
    assert not known.allow("t", "provider", "another model")


def test_p13_what_fails_every_second_time_opens_too(http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired) -> None:
    upstream.enqueue(*[Answer(fault="503"), Answer(["Hi"])] * 5, model=wired.native_id)
    assert [ask(http, wired.model_id).outcome for _ in range(4)] == [(200, "")] * 4
    assert outcomes(ask(http, wired.model_id)) == ["upstream_error", "breaker_open"]
    assert len(upstream.chats) == 9
    oracle(live, upstream)


@pytest.mark.parametrize(
    ("history", "opens"),
    [
        ("FFFF", False),
        ("FFFFF", True),
        ("SFSFSFSFSF", True),
        ("SSF" * 30, False),
        ("SSSSF" * 30, False),
        ("S" * 100 + "FFFFF", True),  # it is gone, however well it did
        ("S" * 100 + "FFS" * 4 + "F", False),
        ("S" * 100 + "FFS" * 4 + "FF", True),
        ("FFFF" + "." * 31 + "F", False),
        (("S" * 20 + "." * 31) * 2 + "SFSFSFSFSF", True),
        ("F........" * 10, False),  # five in 30 s they are not
    ],
)
def test_p13_it_opens_at_five_failures_that_are_all_or_half(wired: Wired, clock: Clock, history: str, opens: bool) -> None:
    """S: one works, F: one fails, dot: a second goes by."""
    known = Breakers()
    for event in history:
        assert known.allow("r", "model")
        if event == "F":
            known.failed("r", "model")
        elif event == "S":
            known.succeeded("r", "model")
        else:
            clock.ahead += 1
    assert known.allow("r", "model") is not opens


def test_p13_only_probes_are_listened_to_while_it_is_open(wired: Wired, clock: Clock) -> None:
    known = Breakers()
    assert known.allow("early", "model")
    for _ in range(5):
        known.failed("r", "model")
    known.succeeded("early", "model")
    assert not known.allow("r", "model")
    clock.ahead = 14
    known.failed("early", "model")
    clock.ahead = 15.1
    assert known.allow("probe", "model")
    known.failed("early", "model")
    known.succeeded("early", "model")
    known.give_back("early", "model")
    assert not known.allow("r", "model")
    known.succeeded("probe", "model")
    assert [known.allow(request, "model") for request in "rs"] == [True, True]


def test_p13_a_probe_that_takes_long_holds_nobody_up_and_still_counts(wired: Wired, clock: Clock) -> None:
    known = Breakers()
    for _ in range(5):
        known.failed("r", "model")
    clock.ahead = 16
    assert known.allow("slow", "model")
    clock.ahead = 32
    assert known.allow("next", "model")
    assert not known.allow("r", "model")
    known.succeeded("slow", "model")
    assert [known.allow(request, "model") for request in "rs"] == [True, True]


@pytest.mark.parametrize("answer", [Answer(status=429, headers={"Retry-After": "60"}), Answer(fault="401"), Answer(status=400)])
def test_p13_a_probe_that_says_nothing_leaves_its_place_to_the_next(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, clock: Clock, answer: Answer
) -> None:
    half_open(http, upstream, wired, clock)
    upstream.always(answer, model=wired.native_id)
    for _ in range(2):
        assert "breaker_open" not in outcomes(ask(http, wired.model_id))
    upstream.always(Answer(["Hi"]), model=wired.native_id)
    assert [ask(http, wired.model_id).outcome for _ in range(2)] == [(200, "")] * 2
    oracle(live, upstream)


def test_p13_a_probe_leaves_its_place_while_it_pauses(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, clock: Clock
) -> None:
    half_open(http, upstream, wired, clock)
    upstream.enqueue(Answer(status=429, headers={"Retry-After": "2"}), model=wired.native_id)
    upstream.always(Answer(["Hi"]), model=wired.native_id)
    probes: list[Any] = []
    probe = threading.Thread(target=lambda: probes.append(ask(http, wired.model_id)))
    probe.start()
    live.run(tried_in_vain())
    assert ask(http, wired.model_id).outcome == (200, "")
    assert not probes
    probe.join(10)
    assert probes[0].outcome == (200, "")
    oracle(live, upstream)


def test_p13_a_client_that_leaves_leaves_its_probe_to_the_next(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, clock: Clock
) -> None:
    half_open(http, upstream, wired, clock)
    gate = Gate()
    upstream.always(Answer(["Hi", " there"], gate=gate, gate_after=1), model=wired.native_id)
    body = {"message": "Hi", "model": wired.model_id, "substitution": "strict", "stream": True}
    with http.stream("POST", "/v1/client/chat", json=body) as response:
        lines = response.iter_lines()
        assert next(lines) == "event: delta"
        assert outcomes(ask(http, wired.model_id)) == ["breaker_open"]
    at_rest(live)
    gate.set()
    upstream.always(Answer(["Hi"]), model=wired.native_id)
    assert [ask(http, wired.model_id).outcome for _ in range(2)] == [(200, "")] * 2
    oracle(live, upstream)


def half_open(http: httpx.Client, upstream: FakeUpstream, wired: Wired, clock: Clock) -> None:
    """After five failures and 15 s."""
    upstream.always(Answer(fault="503"), model=wired.native_id)
    for _ in range(2):
        ask(http, wired.model_id)
    assert outcomes(ask(http, wired.model_id)) == ["breaker_open"]
    clock.ahead = 15.1


async def tried_in_vain() -> None:
    """Until a running request has one try behind it."""
    while not any(running.dispatch.attempts for running in chat.running.values()):
        await asyncio.sleep(0.005)


@pytest.fixture
def enterprise(make_user: Callable[..., User], bearer: Callable[[User], dict[str, str]]) -> Iterator[dict[str, str]]:
    yield bearer(make_user("enterprise"))


def test_p13_a_hanging_provider_slows_no_other(live: LiveServer, upstream: FakeUpstream, wired: Wired, enterprise: dict[str, str]) -> None:
    """Twelve requests hang at one provider; those at another take less than twice as long as before."""
    gate = Gate()
    with httpx.Client(base_url=live.url, timeout=30) as http:
        alone = slowest(http, enterprise)
        upstream.always(Answer(["late"], gate=gate), model=wired.native_id)
        hanging = [threading.Thread(target=ask, args=(http, wired.model_id), kwargs={"headers": enterprise}) for _ in range(12)]
        for thread in hanging:
            thread.start()
        upstream.wait_until(lambda fake: sum(record.model == wired.native_id for record in fake.chats) == 12)
        beside = slowest(http, enterprise)
        gate.set()
        for thread in hanging:
            thread.join(10)
    assert beside < 2 * alone
    assert len(oracle(live, upstream)) == 2 * ROUNDS * TIMES + 12


def slowest(http: httpx.Client, headers: dict[str, str]) -> float:
    """Seconds of the slowest but one of a round of requests, in the best of its rounds: the machine does other things too."""
    rounds = []
    for _ in range(ROUNDS):
        times = []
        for _ in range(TIMES):
            started = time.perf_counter()
            assert ask(http, STAND_IN, headers=headers).outcome == (200, "")
            times.append(time.perf_counter() - started)
        rounds.append(sorted(times)[-2])
    return min(rounds)
