"""What is charged, through the server: every row of the published table, and how usage is counted."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from accounts.models import User
from billing import clock, quota
from billing.errors import QuotaExceeded, ServiceUnavailable
from billing.models import Tier, UsageDay, UsageEvent
from llm import chat, idempotency, settlement
from llm.admission import Incoming, admit_now
from llm.catalogue import find
from llm.models import LanguageModel
from llm.providers import transport
from llm.types import ChatRequest, Image, Message, Text
from tests.canaries import PROMPT
from tests.fakes.upstream import Answer, FakeUpstream, Gate
from tests.server import LiveServer
from tests.wired import Wired

MODEL = "ollama/gpt-oss:120b-cloud"


def receipt() -> UsageEvent:
    return UsageEvent.objects.get()


def settled(live: LiveServer) -> UsageEvent:
    live.run(chat.settled())
    return receipt()


def ask(http: httpx.Client, **fields: Any) -> httpx.Response:
    return http.post("/v1/client/chat", json={"message": PROMPT, "system_prompt": "x", "model": MODEL, "substitution": "strict", **fields})


def open_stream(live: LiveServer, headers: dict[str, str] | None = None, **fields: Any) -> socket.socket:
    """A streamed chat over a bare socket, which the test may leave as it likes."""
    body = json.dumps({"message": PROMPT, "system_prompt": "x", "model": MODEL, "stream": True, **fields}).encode()
    connection = socket.create_connection(("127.0.0.1", live.port), timeout=10)
    head = f"POST /v1/client/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    connection.sendall(head.encode() + b"\r\n" + body)
    return connection


def read_until(connection: socket.socket, needle: bytes) -> bytes:
    got = b""
    while needle not in got:
        data = connection.recv(65536)
        assert data, got
        got += data
    return got


def leave(connection: socket.socket, how: str) -> None:
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("streamed", [False, True])
def test_answered_is_charged_as_reported(http: httpx.Client, upstream: FakeUpstream, live: LiveServer, streamed: bool) -> None:
    upstream.always(Answer(["a", "b"], usage=(40, 17)))
    ask(http, stream=streamed)
    event = settled(live)
    assert (event.rule, event.input_tokens, event.output_tokens, event.charged, event.estimated) == ("answered", 40, 17, 57, False)


def test_zero_completion_tokens_cost_nothing(http: httpx.Client, upstream: FakeUpstream, live: LiveServer) -> None:
    upstream.always(Answer([], usage=(40, 0)))
    body = ask(http).json()
    event = settled(live)
    assert (event.rule, event.charged, event.state) == ("answered_empty", 0, "settled")
    assert (body["response"], body["tokens_used"]) == ("", 0)


def test_p05_an_explicit_zero_stays_zero(http: httpx.Client, upstream: FakeUpstream, live: LiveServer) -> None:
    upstream.always(Answer(["a"], usage=(0, 5)))
    ask(http)
    event = settled(live)
    assert (event.input_tokens, event.charged, event.estimated) == (0, 5, False)


def test_p05_no_usage_is_counted_and_flagged(http: httpx.Client, upstream: FakeUpstream, live: LiveServer) -> None:
    upstream.always(Answer(["one", " two", " three"], usage=None))
    ask(http)
    event = settled(live)
    assert (event.output_tokens, event.estimated) == (3, True)
    assert event.charged == event.input_tokens + 3
    assert 0 < event.input_tokens < 30


def test_p05_no_output_reported_of_what_came_is_no_report_of_it(http: httpx.Client, upstream: FakeUpstream, live: LiveServer) -> None:
    upstream.always(Answer(["one", " two", " three"], usage=(40, 0)))
    ask(http)
    event = settled(live)
    assert (event.rule, event.input_tokens, event.output_tokens, event.charged, event.estimated) == ("answered", 40, 3, 43, True)


@pytest.mark.parametrize("usage", [(-5, 10), (10, -5), (10**12, 1)])
def test_p05_impossible_usage_is_no_report(http: httpx.Client, upstream: FakeUpstream, live: LiveServer, usage: tuple[int, int]) -> None:
    upstream.always(Answer(["one"], usage=usage))
    ask(http)
    assert settled(live).estimated


def test_huge_usage_is_charged_up_to_what_was_held(http: httpx.Client, upstream: FakeUpstream, live: LiveServer) -> None:
    upstream.always(Answer(["one"], usage=(1_000_000, 1)))
    ask(http, max_tokens=300)
    event = settled(live)
    assert event.charged == event.reserved < 400
    assert event.input_tokens == 1_000_000


@pytest.mark.parametrize("streamed", [False, True])
def test_refused_by_every_provider_costs_nothing(http: httpx.Client, upstream: FakeUpstream, live: LiveServer, streamed: bool) -> None:
    upstream.always(Answer(status=500))
    response = ask(http, stream=streamed)
    assert response.status_code == 502
    event = settled(live)
    assert (event.rule, event.charged, event.state, event.error_code) == ("refused", 0, "failed", "upstream_error")
    assert UsageDay.objects.get().reserved == 0


def test_timed_out_before_a_token_costs_nothing(
    http: httpx.Client, upstream: FakeUpstream, live: LiveServer, quick_first_byte: None
) -> None:
    upstream.always(Answer(fault="hang"))
    response = ask(http)
    assert response.status_code == 504
    event = settled(live)
    assert (event.rule, event.charged) == ("timed_out", 0)
    assert upstream.chats[0].closed.wait(2)


@pytest.mark.parametrize("fault", ["reset_after", "cut_after", "no_end"])
def test_broke_off_costs_what_reached_the_client(http: httpx.Client, upstream: FakeUpstream, live: LiveServer, fault: str) -> None:
    upstream.always(Answer(["a", "b", "c"], usage=(40, 3), fault=fault))
    response = ask(http, stream=True)
    assert response.status_code == 200
    assert response.text.count("event: delta") >= 1
    assert response.text.rstrip().splitlines()[-2] == "event: error"
    event = settled(live)
    assert (event.rule, event.charged, event.output_tokens) == ("broke_off", 3, 3)


@pytest.mark.parametrize("fault", ["reset_after", "cut_after", "no_end"])
def test_a_plain_answer_that_broke_off_reached_nobody(http: httpx.Client, upstream: FakeUpstream, live: LiveServer, fault: str) -> None:
    upstream.always(Answer(["a", "b", "c"], fault=fault))
    assert ask(http).status_code == 502
    assert (settled(live).rule, settled(live).charged) == ("refused", 0)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_p04_leaving_before_a_token_costs_the_input(live: LiveServer, upstream: FakeUpstream, how: str) -> None:
    upstream.always(Answer(["a"], gate=threading.Event()))
    connection = open_stream(live)
    upstream.wait_until(lambda fake: len(fake.chats) == 1)
    leave(connection, how)
    assert upstream.chats[0].closed.wait(1), "the provider was not dropped within a second"
    event = wait_for_settlement(live)
    assert (event.rule, event.error_code) == ("cancelled_before_token", "cancelled")
    assert event.charged == event.input_tokens > 0


def test_a_receipt_is_closed_however_long_the_database_is_away(
    http: httpx.Client, upstream: FakeUpstream, live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.always(Answer(["a", "b"], usage=(40, 2)))
    tries = iter(range(20))
    close = settlement._close

    def away(*args: Any) -> Any:
        if next(tries, None) is not None:
            raise ServiceUnavailable
        return close(*args)

    monkeypatch.setattr(settlement, "_close", away)
    monkeypatch.setattr(settlement, "SETTLE_PAUSES", (0.01,))
    monkeypatch.setattr(settlement, "SETTLE_PAUSE", 0.01)
    assert ask(http).status_code == 200
    event = settled(live)
    assert (event.state, event.charged) == ("settled", 42)
    assert next(tries, None) is None


def test_a_shutdown_waits_for_the_database_only_so_long(
    http: httpx.Client, upstream: FakeUpstream, live: LiveServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.always(Answer(["a"], usage=(40, 1)))
    back = threading.Event()
    close = settlement._close

    def away(*args: Any) -> Any:
        if not back.is_set():
            raise ServiceUnavailable
        return close(*args)

    monkeypatch.setattr(settlement, "_close", away)
    monkeypatch.setattr(settlement, "SETTLE_PATIENCE", 0.05)
    monkeypatch.setattr(settlement, "SETTLE_PAUSES", (0.01,) * 100)
    assert ask(http).json()["warnings"] == ["The balance could not be read just now; nothing is lost."]
    live.run(chat.settled(0.05))
    assert "1 receipts could not be closed" in caplog.text
    back.set()
    assert settled(live).charged == 41


def test_p04_leaving_while_the_provider_is_still_being_reached_costs_nothing(
    live: LiveServer, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    connecting = threading.Event()

    async def hangs(*_args: object, **_more: object) -> None:
        connecting.set()
        await asyncio.Event().wait()

    live.run(transport.close())  # nothing pooled
    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", hangs)
    connection = open_stream(live)
    assert connecting.wait(5)
    leave(connection, "close")
    event = wait_for_settlement(live)
    assert (event.rule, event.error_code, event.charged) == ("refused", "cancelled", 0)
    assert not upstream.chats


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("streamed", [True, False])
def test_p04_leaving_mid_answer_costs_what_had_come(live: LiveServer, upstream: FakeUpstream, how: str, streamed: bool) -> None:
    gate = threading.Event()
    upstream.always(Answer(["tok "] * 100, gate=gate, gate_after=20))
    connection = open_stream(live, stream=streamed)
    if streamed:
        got = b""
        while got.count(b"tok ") < 20:
            got += connection.recv(65536)
    upstream.wait_until(lambda fake: bool(fake.chats) and fake.chats[0].sent == 20)
    live.run(_received(20))
    leave(connection, how)
    assert upstream.chats[0].closed.wait(1)
    event = wait_for_settlement(live)
    assert event.rule == "cancelled"
    assert abs(event.output_tokens - upstream.chats[0].sent) <= 1
    assert event.charged == event.input_tokens + event.output_tokens
    assert UsageDay.objects.get().reserved == 0


def test_p04_leaving_while_the_model_thinks_costs_what_had_come(live: LiveServer, upstream: FakeUpstream) -> None:
    upstream.always(Answer(["a"], reasoning=["think "] * 100, gate=threading.Event(), gate_after=20))
    connection = open_stream(live)
    live.run(_received(20))
    leave(connection, "close")
    event = wait_for_settlement(live)
    assert (event.rule, event.output_tokens, event.charged) == ("cancelled", 20, event.input_tokens + 20)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_try_that_failed_while_the_model_thought_costs_nothing(
    http: httpx.Client, upstream: FakeUpstream, live: LiveServer, no_pauses: None, streamed: bool
) -> None:
    upstream.enqueue(Answer([], reasoning=["think "] * 40, usage=None, fault="error_event", error="Too many requests"))
    upstream.always(Answer(["one", " two"], usage=None))
    response = ask(http, stream=streamed, max_tokens=30)
    body = json.loads(response.text.rstrip().splitlines()[-1].removeprefix("data: "))
    assert (body["response"], body["finish_reason"]) == ("one two", "stop")
    event = settled(live)
    assert (event.output_tokens, event.charged) == (2, event.input_tokens + 2)
    assert [attempt["outcome"] for attempt in event.attempts] == ["rate_limited", "ok"]


def test_leaving_between_two_tries_costs_nothing(live: LiveServer, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm.dispatch._pause", lambda turn, error: 60.0)
    upstream.always(Answer([], reasoning=["think "] * 40, fault="error_event", error="Too many requests"))
    connection = open_stream(live)
    live.run(_tried(1))
    leave(connection, "close")
    event = wait_for_settlement(live)
    assert (event.rule, event.charged) == ("refused", 0)


async def _tried(times: int) -> None:
    """Until a request has so many tries behind it."""
    while not any(len(running.dispatch.attempts) == times for running in chat.running.values()):
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("wired", ["openai"], indirect=True)
def test_leaving_while_a_fallback_is_asked_costs_its_input_alone(live: LiveServer, upstream: FakeUpstream, wired: Wired) -> None:
    upstream.always(Answer(["tok "] * 300, fault="cut_after"), model=wired.native_id)
    upstream.always(Answer(["a"], gate=threading.Event()), model="stand-in")
    connection = open_stream(live, model=wired.model_id, stream=False)
    upstream.wait_until(lambda fake: len(fake.chats) == 2)
    leave(connection, "close")
    event = wait_for_settlement(live)
    assert (event.rule, event.output_tokens, event.charged) == ("cancelled_before_token", 0, event.input_tokens)
    assert 0 < event.charged < 30


async def _received(tokens: int) -> None:
    """Until our side has taken so many tokens from the provider."""
    import asyncio

    while not any(running.meter.received.tokens >= tokens for running in chat.running.values()):
        await asyncio.sleep(0.005)


def wait_for_settlement(live: LiveServer) -> UsageEvent:
    async def none_running() -> None:
        import asyncio

        while chat.running:
            await asyncio.sleep(0.005)
        await chat.settled()

    live.run(none_running())
    return receipt()


def test_a_fallback_pays_the_answering_models_tokens_alone(
    http: httpx.Client, upstream: FakeUpstream, live: LiveServer, keyed_openai: str, make_user: Callable[..., User], bearer: Any
) -> None:
    upstream.always(Answer(status=500), model="gpt-test")
    upstream.always(Answer(["Hi"], usage=(20, 1)), model="gpt-oss:120b-cloud")
    user = make_user("pro")
    response = http.post("/v1/client/chat", json={"message": "Hi", "model": keyed_openai}, headers=bearer(user))
    body = response.json()
    assert (body["model"], body["backend"], body["fallback_used"]) == (MODEL, "ollama", True)
    days = {row.usage_class: (row.used, row.reserved) for row in UsageDay.objects.filter(subject=user.subject)}
    assert days == {"cloud": (0, 0), "unlimited": (21, 0)}
    event = settled(live)
    assert (event.usage_class, event.requested_model, event.served_model, event.charged) == ("unlimited", keyed_openai, MODEL, 21)


def test_who_leaves_while_the_class_changes_is_settled_after_it(
    live: LiveServer,
    upstream: FakeUpstream,
    keyed_openai: str,
    make_user: Callable[..., User],
    bearer: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upstream.always(Answer(status=500), model="gpt-test")
    moving, settling, gate, move, settle = threading.Event(), threading.Event(), Gate(), quota.move, quota.settle

    def slowly(*args: Any) -> Any:
        moving.set()
        assert gate.wait(10)
        return move(*args)

    def noticed(*args: Any) -> Any:
        settling.set()
        return settle(*args)

    monkeypatch.setattr(quota, "move", slowly)
    monkeypatch.setattr(quota, "settle", noticed)
    connection = open_stream(live, bearer(make_user("pro")), model=keyed_openai)
    assert moving.wait(10)
    leave(connection, "close")
    assert not settling.wait(0.3)
    gate.set()
    event = wait_for_settlement(live)
    assert (event.rule, event.usage_class, event.charged) == ("refused", "unlimited", 0)
    assert {row.usage_class: (row.used, row.reserved) for row in UsageDay.objects.all()} == {"cloud": (0, 0), "unlimited": (0, 0)}


def test_p06_the_same_idempotency_key_asks_and_charges_once(http: httpx.Client, upstream: FakeUpstream, live: LiveServer) -> None:
    upstream.always(Answer(["once"], usage=(10, 1)))
    body = {"message": "Hi", "model": MODEL}
    first = http.post("/v1/client/chat", json=body, headers={"Idempotency-Key": "k1"})
    second = http.post("/v1/client/chat", json=body, headers={"Idempotency-Key": "k1"})
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert len(upstream.chats) == 1
    assert UsageEvent.objects.count() == 1
    assert UsageDay.objects.get().used == 11
    other = http.post("/v1/client/chat", json={**body, "message": "Ho"}, headers={"Idempotency-Key": "k1"})
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_mismatch")


def test_p06_a_second_request_while_the_first_runs_is_a_conflict(live: LiveServer, http: httpx.Client, upstream: FakeUpstream) -> None:
    gate = threading.Event()
    upstream.always(Answer(["late"], gate=gate))
    body = {"message": "Hi", "model": MODEL}
    answers: list[httpx.Response] = []

    def first() -> None:
        answers.append(httpx.post(f"{live.url}/v1/client/chat", json=body, headers={"Idempotency-Key": "k2"}, timeout=20))

    thread = threading.Thread(target=first)
    thread.start()
    upstream.wait_until(lambda fake: len(fake.chats) == 1)
    second = http.post("/v1/client/chat", json=body, headers={"Idempotency-Key": "k2"})
    assert (second.status_code, second.json()["error"]["code"]) == (409, "conflict")
    gate.set()
    thread.join(10)
    assert answers[0].status_code == 200


def test_p06_what_is_charged_can_be_repeated(
    http: httpx.Client, upstream: FakeUpstream, live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_args: Any) -> None:
        raise RuntimeError("the process ends here")

    with monkeypatch.context() as here:
        here.setattr(idempotency, "store", dies)
        assert http.post("/v1/client/chat", json={"message": "Hi", "model": MODEL}, headers={"Idempotency-Key": "k4"}).status_code == 500
    assert (receipt().state, UsageDay.objects.get().used) == ("open", 0)


def test_p06_a_guests_key_outlasts_midnight(
    http: httpx.Client, upstream: FakeUpstream, live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnight = clock.resets_at(clock.now().date())
    answers = []
    for moment in (midnight - timedelta(seconds=1), midnight + timedelta(seconds=1)):
        monkeypatch.setattr(clock, "now", lambda moment=moment: moment)
        answers.append(http.post("/v1/client/chat", json={"message": "Hi", "model": MODEL}, headers={"Idempotency-Key": "k5"}))
    assert answers[0].content == answers[1].content
    assert len(upstream.chats) == 1


def test_p06_a_failed_request_may_be_sent_again(http: httpx.Client, upstream: FakeUpstream) -> None:
    upstream.enqueue(Answer(status=500))
    headers = {"Idempotency-Key": "k3"}
    body = {"message": "Hi", "model": MODEL, "substitution": "strict"}
    assert http.post("/v1/client/chat", json=body, headers=headers).status_code == 502
    assert http.post("/v1/client/chat", json=body, headers=headers).status_code == 200


def test_endless_answers_are_cut_at_the_budget(http: httpx.Client, upstream: FakeUpstream, live: LiveServer) -> None:
    upstream.always(Answer(["tok "], fault="endless"))
    response = ask(http, max_tokens=50, stream=True)
    done = json.loads(response.text.rstrip().splitlines()[-1].removeprefix("data: "))
    assert done["finish_reason"] == "length"
    assert done["response"].count("tok") <= 60
    assert upstream.chats[0].closed.wait(2)
    event = settled(live)
    assert event.charged <= event.reserved


def test_the_last_tokens_of_the_day_are_a_shorter_answer_then_a_refusal(
    http: httpx.Client, upstream: FakeUpstream, live: LiveServer
) -> None:
    guest = Tier.objects.get(slug="guest")
    Tier.objects.filter(pk=guest.pk).update(daily_tokens=1000)
    try:
        upstream.always(Answer(["x"], usage=(10, 690)))
        assert ask(http).json()["tokens_used"] == 700
        assert upstream.chats[0].body["options"]["num_predict"] < 1000
        upstream.always(Answer(["x"], usage=(10, 200)))
        body = ask(http).json()
        assert any("% of today" in warning for warning in body["warnings"])
        refused = ask(http)
        assert refused.status_code == 429
        error = refused.json()["error"]
        assert (error["code"], error["limit"], error["used"]) == ("quota_exceeded", 1000, 910)
        assert error["models_available_now"] == []
        assert int(refused.headers["Retry-After"]) > 0
    finally:
        Tier.objects.filter(pk=guest.pk).update(daily_tokens=guest.daily_tokens)


def test_a_spent_pro_goes_on_with_ollama_where_it_said_any(
    http: httpx.Client, upstream: FakeUpstream, live: LiveServer, keyed_openai: str, make_user: Callable[..., User], bearer: Any
) -> None:
    user = make_user("pro")
    UsageDay.objects.create(subject=user.subject, usage_class="cloud", day=clock.now().date(), limit=250_000, used=250_000)
    refused = http.post("/v1/client/chat", json={"message": "Hi", "model": keyed_openai}, headers=bearer(user))
    assert refused.status_code == 429
    assert refused.json()["error"]["models_available_now"][0] == "ollama/deepseek-v3.1:671b-cloud"
    asked = {"message": "Hi", "model": keyed_openai, "substitution": "any"}
    body = http.post("/v1/client/chat", json=asked, headers=bearer(user)).json()
    assert body["backend"] == "ollama"
    assert any("does not count" in warning for warning in body["warnings"])


def test_a_spent_pro_shows_images_to_no_model_that_is_blind(
    live: LiveServer, upstream: FakeUpstream, keyed_openai: str, make_user: Callable[..., User]
) -> None:
    user = make_user("pro")
    UsageDay.objects.create(subject=user.subject, usage_class="cloud", day=clock.now().date(), limit=250_000, used=250_000)
    picture = Message("user", (Text("What is it?"), Image("image/png", "iVBORw0KGgo=")))
    incoming = Incoming("req_1", {}, "127.0.0.1", "client", session_user=lambda: user)
    admitted = admit_now(incoming, ChatRequest((picture,), keyed_openai, substitution="any", substitution_explicit=True))
    assert admitted.dispatch.routes[0].can("vision")
    with pytest.raises(QuotaExceeded) as refusal:
        admit_now(replace(incoming, request_id="req_2"), ChatRequest((picture,), keyed_openai))
    able = [find(model_id) for model_id in refusal.value.extra["models_available_now"]]
    assert able and all(entry and (entry.can("vision") or not entry.capabilities) for entry in able)


def test_concurrency_is_limited_by_the_tier(live: LiveServer, http: httpx.Client, upstream: FakeUpstream) -> None:
    gate = threading.Event()
    upstream.always(Answer(["late"], gate=gate))
    with closing(open_stream(live)), closing(open_stream(live)):
        upstream.wait_until(lambda fake: len(fake.chats) == 2)
        refused = ask(http)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "concurrency_limited")
        assert refused.headers["Retry-After"]
        gate.set()
        live.run(_none_running())
    assert ask(http).status_code == 200


async def _none_running() -> None:
    import asyncio

    while chat.running:
        await asyncio.sleep(0.005)
    await chat.settled()


def test_model_requests_a_minute_are_limited_by_the_tier(http: httpx.Client, upstream: FakeUpstream) -> None:
    statuses = [ask(http).status_code for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    refused = ask(http)
    assert refused.json()["error"]["code"] == "rate_limited"
    assert {"Retry-After", "RateLimit", "RateLimit-Policy"} <= {name.title().replace("Ratelimit", "RateLimit") for name in refused.headers}


def test_reasoning_that_no_client_sees_is_not_delivered(http: httpx.Client, upstream: FakeUpstream, live: LiveServer) -> None:
    upstream.always(Answer([], reasoning=["think "] * 20, fault="cut_after"))
    response = ask(http, stream=True)
    assert response.status_code == 502
    assert (settled(live).rule, settled(live).charged) == ("refused", 0)


def test_p18_a_drain_ends_what_still_waits_for_its_first_byte(live: LiveServer, upstream: FakeUpstream) -> None:
    upstream.always(Answer(fault="hang"))
    with closing(open_stream(live, substitution="strict")) as connection:
        upstream.wait_until(lambda fake: len(fake.chats) == 1)
        live.run(_interrupt())
        answer = read_until(connection, b"service_unavailable")
    assert answer.startswith(b"HTTP/1.1 503")
    event = wait_for_settlement(live)
    assert (event.rule, event.charged) == ("refused", 0)


def test_p18_a_drain_ends_a_stream_with_an_error_event(live: LiveServer, upstream: FakeUpstream) -> None:
    upstream.always(Answer(["tok "] * 100, gate=threading.Event(), gate_after=5))
    with closing(open_stream(live)) as connection:
        got = b""
        while got.count(b"tok ") < 5:
            got += connection.recv(65536)
        live.run(_interrupt())
        read_until(connection, b"event: error")
    event = wait_for_settlement(live)
    assert (event.rule, event.charged) == ("broke_off", 5)


async def _interrupt() -> None:
    chat.interrupt_all()


def test_an_answer_that_cannot_be_stored_is_answered_and_charged_once(http: httpx.Client, upstream: FakeUpstream) -> None:
    upstream.always(Answer(["a\x00b"], usage=(10, 1)))
    body, headers = {"message": "Hi", "model": MODEL}, {"Idempotency-Key": "nul"}
    first = http.post("/v1/client/chat", json=body, headers=headers)
    second = http.post("/v1/client/chat", json=body, headers=headers)
    assert first.status_code == second.status_code == 200
    assert second.json()["response"] == "ab"
    assert len(upstream.chats) == 1


def test_a_fallback_never_leads_above_the_tier(http: httpx.Client, upstream: FakeUpstream, keyed_openai: str) -> None:
    weak = LanguageModel.objects.get(model_id=MODEL)
    before = weak.fallback
    LanguageModel.objects.filter(pk=weak.pk).update(fallback=[keyed_openai])
    try:
        upstream.always(Answer(status=500), model="gpt-oss:120b-cloud")
        response = http.post("/v1/client/chat", json={"message": "Hi", "model": MODEL})
        assert response.status_code == 502
        assert all(record.body["model"] != "gpt-test" for record in upstream.chats)
    finally:
        LanguageModel.objects.filter(pk=weak.pk).update(fallback=before)


def test_requests_that_a_provider_dislikes_close_it_for_nobody(http: httpx.Client, upstream: FakeUpstream) -> None:
    upstream.always(Answer(status=400))
    assert {ask(http).status_code for _ in range(6)} == {502}
    upstream.always(Answer(["fine"]))
    assert ask(http).status_code == 200
