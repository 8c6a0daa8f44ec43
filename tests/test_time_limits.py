"""P12 and P14 through the server: every wait has an end, and all of a request's tries lie within its one deadline."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from accounts.models import User
from llm import admission, chat
from llm.models import Provider
from tests.fakes.upstream import Answer, FakeUpstream, Gate
from tests.server import LiveServer
from tests.wired import STAND_IN, Wired, ask, oracle
from triforce import asgi

ONE_WIRE = pytest.mark.parametrize("wired", ["openai"], indirect=True)
BOTH = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])

pytestmark = pytest.mark.usefixtures("no_pauses")


@pytest.fixture
def one_second(live: LiveServer) -> Iterator[None]:
    """Every provider is given one second for its first byte."""
    before = list(Provider.objects.all())
    Provider.objects.update(first_byte_seconds=1)
    yield
    for row in before:
        Provider.objects.filter(pk=row.pk).update(first_byte_seconds=row.first_byte_seconds)


@pytest.mark.parametrize("fault", ["hang", "silence_before"])
@ONE_WIRE
def test_p12_no_first_byte(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, one_second: None, fault: str
) -> None:
    upstream.always(Answer(fault=fault), model=wired.native_id)
    started = time.monotonic()
    answer = ask(http, wired.model_id, substitution="any")
    assert 1 <= time.monotonic() - started < 2
    assert (answer.outcome, answer.end["model"]) == ((200, ""), STAND_IN)
    assert upstream.chats[0].closed.wait(1)
    (receipt,) = oracle(live, upstream)
    assert [attempt["outcome"] for attempt in receipt.attempts] == ["timeout", "ok"]


@BOTH
def test_p12_a_provider_that_says_nothing_of_an_answer_leaves_the_next_its_time(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    monkeypatch.setattr(admission, "STREAM_SECONDS" if streamed else "PLAIN_SECONDS", 1.0)
    upstream.always(Answer(fault="only_comments"), model=wired.native_id)
    upstream.always(Answer(["a", "b", "c"], delay=0.05), model="stand-in")
    answer = ask(http, wired.model_id, stream=streamed, substitution="any")
    assert (answer.outcome, answer.end["model"], answer.text) == ((200, ""), STAND_IN, "abc")
    (receipt,) = oracle(live, upstream)
    assert [attempt["outcome"] for attempt in receipt.attempts] == ["timeout", "ok"]


@BOTH
def test_p12_an_answer_that_began_may_take_all_the_time(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    monkeypatch.setattr(admission, "STREAM_SECONDS" if streamed else "PLAIN_SECONDS", 1.0)
    upstream.always(Answer(["a", "b", "c", "d"], delay=0.2), model=wired.native_id)
    answer = ask(http, wired.model_id, stream=streamed, substitution="any")
    assert (answer.outcome, answer.end["model"], answer.text) == ((200, ""), wired.model_id, "abcd")


@BOTH
def test_p12_a_whole_answer_waits_for_no_end_of_its_connection(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    monkeypatch.setattr("llm.dispatch.END_SECONDS", 0.2)
    upstream.always(Answer(["a", "b"], usage=(40, 2), fault="stays_open"))
    started = time.monotonic()
    answer = ask(http, wired.model_id, stream=streamed)
    assert time.monotonic() - started < 1
    assert (answer.outcome, answer.text, answer.end["tokens_used"]) == ((200, ""), "ab", 42)
    assert upstream.chats[0].closed.wait(1)
    (receipt,) = oracle(live, upstream)
    assert (receipt.rule, receipt.estimated, receipt.charged) == ("answered", False, 42)


@BOTH
@ONE_WIRE
def test_p12_all_of_it(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    monkeypatch.setattr(admission, "STREAM_SECONDS" if streamed else "PLAIN_SECONDS", 0.5)
    upstream.always(Answer(["tok "] * 1000, delay=0.02))
    started = time.monotonic()
    late = ask(http, wired.model_id, stream=streamed, substitution="any")
    assert time.monotonic() - started < 1.5
    assert late.outcome == ((200, "upstream_timeout") if streamed else (504, "upstream_timeout"))
    (receipt,) = oracle(live, upstream)
    assert receipt.charged == late.text.count("tok ")
    assert abs(receipt.charged - upstream.chats[0].sent) <= 1 or not streamed


@BOTH
@ONE_WIRE
def test_p14_all_tries_lie_within_one_deadline(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    monkeypatch.setattr(admission, "STREAM_SECONDS" if streamed else "PLAIN_SECONDS", 0.6)
    upstream.always(Answer(fault="hang"))
    started = time.monotonic()
    assert ask(http, wired.model_id, stream=streamed, substitution="any").outcome == (504, "upstream_timeout")
    assert 0.5 < time.monotonic() - started < 1.5
    assert [record.model for record in upstream.chats] == ["faulty", "stand-in"]  # each had its share
    oracle(live, upstream)


@ONE_WIRE
def test_p14_at_most_three_calls_a_route(http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired) -> None:
    upstream.always(Answer(fault="503"))
    assert ask(http, wired.model_id, substitution="any").outcome == (502, "upstream_error")
    assert [record.model for record in upstream.chats] == ["faulty"] * 3 + ["stand-in"] * 3
    oracle(live, upstream)


@ONE_WIRE
def test_p14_a_retry_that_succeeds_is_one_answer(http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired) -> None:
    upstream.enqueue(Answer(fault="503"), Answer(fault="429"), Answer(["Hi"], usage=(5, 1)))
    answer = ask(http, wired.model_id)
    assert (answer.outcome, answer.text, answer.end["fallback_used"]) == ((200, ""), "Hi", False)
    (receipt,) = oracle(live, upstream)
    assert [attempt["outcome"] for attempt in receipt.attempts] == ["upstream_error", "rate_limited", "ok"]
    assert receipt.charged == 6


@ONE_WIRE
def test_p14_a_provider_that_wants_a_moment_gets_it(http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired) -> None:
    upstream.enqueue(Answer(fault="429_retry_after"))
    started = time.monotonic()
    assert ask(http, wired.model_id).outcome == (200, "")
    assert 1 <= time.monotonic() - started < 2
    oracle(live, upstream)


@ONE_WIRE
def test_p14_a_provider_that_wants_more_than_2_s_is_left(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired
) -> None:
    upstream.always(Answer(status=429, headers={"Retry-After": "30"}), model=wired.native_id)
    started = time.monotonic()
    assert ask(http, wired.model_id, substitution="any").end["model"] == STAND_IN
    assert time.monotonic() - started < 1
    alone = ask(http, wired.model_id)
    assert (alone.outcome, alone.headers["Retry-After"]) == ((503, "upstream_unavailable"), "30")
    assert [record.model for record in upstream.chats] == ["faulty", "stand-in", "faulty"]
    oracle(live, upstream)


@ONE_WIRE
@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_p14_a_pooled_connection_that_the_provider_closed_is_retried(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, reset: bool
) -> None:
    assert ask(http, wired.model_id).outcome == (200, "")
    upstream.drop_connections(reset=reset)
    assert ask(http, wired.model_id).outcome == (200, "")
    upstream.enqueue(Answer(fault="reset_before" if reset else "close_before"))  # while the request is on its way
    assert ask(http, wired.model_id).outcome == (200, "")
    assert len({record.connection for record in upstream.chats}) >= 3
    assert len(oracle(live, upstream)) == 3


@ONE_WIRE
def test_p12_a_client_that_does_not_read(
    live: LiveServer,
    upstream: FakeUpstream,
    wired: Wired,
    make_user: Callable[..., User],
    bearer: Callable[[User], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asgi.limited.app.app, "seconds", 0.3)  # type: ignore[attr-defined]
    upstream.always(Answer(["\x01" * 6000] * 20, fault="endless"))  # each byte is six in JSON
    body = json.dumps({"message": "Hi", "model": wired.model_id, "stream": True, "max_tokens": 131_072}).encode()
    head = f"POST /v1/client/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in bearer(make_user("enterprise")).items())
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", live.port))
        client.sendall(head.encode() + b"\r\n" + body)
        upstream.wait_for_requests(1)
        assert upstream.chats[0].closed.wait(10), "the provider was not dropped"
    (receipt,) = oracle(live, upstream)
    assert (receipt.rule, receipt.error_code) == ("cancelled", "cancelled")
    assert 0 < receipt.charged < receipt.reserved


@ONE_WIRE
def test_p04_a_client_that_leaves_while_it_is_admitted_holds_nothing(
    live: LiveServer, http: httpx.Client, upstream: FakeUpstream, wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    admitting, gate, reserve = threading.Event(), Gate(), admission._reserve

    def slow(*args: Any) -> Any:
        admitting.set()
        assert gate.wait(10)
        return reserve(*args)

    monkeypatch.setattr(admission, "_reserve", slow)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{live.url}/v1/client/chat", json={"message": "Hi", "model": wired.model_id}, timeout=0.3)
    assert admitting.is_set()
    gate.set()
    monkeypatch.undo()
    live.run(chat.settled())
    assert ask(http, wired.model_id).outcome == (200, "")
    given_up, answered = oracle(live, upstream)
    assert (given_up.rule, given_up.charged, answered.rule) == ("refused", 0, "answered")
    assert len(upstream.chats) == 1


@pytest.mark.parametrize("substitution", ["any", "strict"])
@ONE_WIRE
def test_p12_a_silent_provider_after_the_headers_went_out(
    http: httpx.Client,
    live: LiveServer,
    upstream: FakeUpstream,
    wired: Wired,
    one_second: None,
    monkeypatch: pytest.MonkeyPatch,
    substitution: str,
) -> None:
    """The stream is open by then: the substitute answers inside it, and where there is none, it ends with an error event."""
    monkeypatch.setattr("llm.doors.FIRST_SECONDS", 0.1)
    upstream.always(Answer(fault="hang"), model=wired.native_id)
    answer = ask(http, wired.model_id, stream=True, substitution=substitution)
    assert answer.outcome == ((200, "") if substitution == "any" else (200, "upstream_timeout"))
    assert answer.text == ("Hello world" if substitution == "any" else "")
    (receipt,) = oracle(live, upstream)
    assert receipt.rule == ("answered" if substitution == "any" else "timed_out")
