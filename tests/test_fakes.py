"""The fake provider and the proxy keep to the wires and break as they say."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.delivery import parts
from tests.fakes.proxy import TcpProxy
from tests.fakes.upstream import FAULTS, Answer, Counts, FakeUpstream, Gate, Record, ToolCall

PATHS = {"ollama": "/api/chat", "openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
WIRES = pytest.mark.parametrize("wire", PATHS)
FULL = Answer(
    ["Grüße", " 🐻"],
    usage=Counts(100, 20, cached=60, written=10, reasoning=5),
    reasoning=["Hm", "m"],
    tool_calls=[ToolCall("weather", {"city": "Köln"})],
)


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as found:
        yield found


@pytest.fixture
def http(upstream: FakeUpstream) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=upstream.url, timeout=5, trust_env=False) as found:
        yield found


def asked(wire: str, stream: bool = True, **more: Any) -> dict[str, Any]:
    options = {"stream_options": {"include_usage": True}} if wire == "openai" and stream else {}
    return {"model": "m1", "messages": [{"role": "user", "content": "Hi"}], "stream": stream, **options, **more}


def ask(http: httpx.Client, wire: str, stream: bool = True, **more: Any) -> httpx.Response:
    return http.post(PATHS[wire], json=asked(wire, stream, **more))


def parsed(text: str) -> list[Any]:
    """The JSON of an event stream or of lines, without [DONE]."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line and not line.startswith("event:")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def text_of(wire: str, events: list[Any]) -> str:
    if wire == "ollama":
        return "".join(event["message"]["content"] for event in events if "message" in event)
    if wire == "openai":
        return "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event.get("choices"))
    return "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")


@contextmanager
def raw_request(upstream: FakeUpstream, wire: str = "ollama", port: int = 0) -> Iterator[socket.socket]:
    """A connection with a chat just asked on it."""
    body = json.dumps(asked(wire)).encode()
    with socket.create_connection(("127.0.0.1", port or upstream.port), timeout=5) as found:
        found.sendall(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (PATHS[wire].encode(), len(body), body))
        yield found


def leave(found: socket.socket, reset: bool) -> float:
    """When it left."""
    if reset:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    moment = time.monotonic()
    found.close()
    return moment


def received(found: socket.socket) -> bytes:
    """All until the FIN. Raises ConnectionResetError at an RST."""
    got = b""
    while data := found.recv(65536):
        got += data
    return got


# --- the wires -----------------------------------------------------------------------------------------------------------------------


def test_ollama_streams_lines(upstream: FakeUpstream, http: httpx.Client) -> None:
    upstream.always(FULL)
    response = http.post("/api/chat", json={"model": "m1", "messages": []})
    assert response.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [line["done"] for line in lines] == [False] * 5 + [True]
    assert "".join(line["message"].get("thinking", "") for line in lines) == "Hmm"
    assert text_of("ollama", lines) == "Grüße 🐻"
    assert lines[4]["message"]["tool_calls"][0]["function"] == {"index": 0, "name": "weather", "arguments": {"city": "Köln"}}
    last = lines[-1]
    assert (last["model"], last["done_reason"], last["prompt_eval_count"], last["eval_count"]) == ("m1", "stop", 100, 20)
    assert last["total_duration"] > last["eval_duration"] > 0
    assert "Grüße".encode() in response.content


def test_openai_streams_chunks(upstream: FakeUpstream, http: httpx.Client) -> None:
    upstream.always(FULL)
    response = ask(http, "openai")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("data: [DONE]\n\n")
    events = parsed(response.text)
    *chunks, last = events
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Hmm"
    assert text_of("openai", events) == "Grüße 🐻"
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert (calls[0]["index"], calls[0]["id"], calls[0]["function"]["name"]) == (0, "call_1", "weather")
    assert len(calls) == 3 and json.loads("".join(call["function"]["arguments"] for call in calls)) == {"city": "Köln"}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-2:] == [None, "tool_calls"]
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert last["choices"] == []
    usage = last["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (100, 20, 120)
    assert (usage["prompt_tokens_details"]["cached_tokens"], usage["completion_tokens_details"]["reasoning_tokens"]) == (60, 5)


def test_openai_reports_streamed_usage_only_where_asked(http: httpx.Client, upstream: FakeUpstream) -> None:
    response = ask(http, "openai", stream_options={})
    assert "usage" not in response.text
    assert upstream.requests[0].usage == {}


def test_anthropic_streams_typed_events(upstream: FakeUpstream, http: httpx.Client) -> None:
    upstream.always(FULL)
    response = ask(http, "anthropic")
    events = parsed(response.text)
    assert [line.removeprefix("event: ") for line in response.text.splitlines() if line.startswith("event:")] == [
        event["type"] for event in events
    ]
    usage = events[0]["message"]["usage"]
    assert events[0]["type"] == "message_start"
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (30, 60, 10)
    assert [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"] == [
        "thinking",
        "text",
        "tool_use",
    ]
    assert [event["index"] for event in events if event["type"] == "content_block_stop"] == [0, 1, 2]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(delta.get("thinking", "") for delta in deltas) == "Hmm"
    assert text_of("anthropic", events) == "Grüße 🐻"
    assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == {"city": "Köln"}
    assert "ping" in {event["type"] for event in events}
    assert events[-2]["delta"]["stop_reason"] == "tool_use" and events[-2]["usage"] == {"output_tokens": 20}
    assert events[-1] == {"type": "message_stop"}


def test_plain_answers_are_one_object(upstream: FakeUpstream, http: httpx.Client) -> None:
    upstream.always(FULL)
    ollama, openai, anthropic = (ask(http, wire, stream=False).json() for wire in PATHS)
    assert (ollama["message"]["content"], ollama["message"]["thinking"], ollama["done"]) == ("Grüße 🐻", "Hmm", True)
    message = openai["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"], openai["usage"]["total_tokens"]) == ("Grüße 🐻", "Hmm", 120)
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"city": "Köln"}
    assert [block["type"] for block in anthropic["content"]] == ["thinking", "text", "tool_use"]
    assert (anthropic["usage"]["output_tokens"], anthropic["stop_reason"]) == (20, "tool_use")
    assert [record.sent for record in upstream.requests] == [5, 5, 5]


@WIRES
@pytest.mark.parametrize("stream", [True, False])
def test_usage_that_is_none_is_not_reported(upstream: FakeUpstream, http: httpx.Client, wire: str, stream: bool) -> None:
    upstream.always(Answer("Hi", usage=None))
    response = ask(http, wire, stream)
    events = parsed(response.text)
    assert "eval_count" not in response.text
    assert not any(event.get("usage") or event.get("message", {}).get("usage") for event in events)


@pytest.mark.parametrize(
    ("wire", "path", "expected"),
    [
        ("ollama", ("error",), "No key"),
        ("openai", ("error", "message"), "No key"),
        ("openai", ("error", "code"), "invalid_api_key"),
        ("anthropic", ("error", "type"), "authentication_error"),
        ("anthropic", ("type",), "error"),
    ],
)
def test_errors_have_the_wires_shape(upstream: FakeUpstream, http: httpx.Client, wire: str, path: tuple[str, ...], expected: str) -> None:
    upstream.enqueue(Answer(fault="401", error="No key"))
    response = ask(http, wire)
    value = response.json()
    for name in path:
        value = value[name]
    assert (response.status_code, value) == (401, expected)
    assert ask(http, wire).status_code == 200


def test_lists_of_models(upstream: FakeUpstream, http: httpx.Client) -> None:
    upstream.models = ["a", {"id": "b", "context_length": 9}]
    assert [row["model"] for row in http.get("/api/tags").json()["models"]] == ["a", "b"]
    assert [row["name"] for row in http.get("/api/ps").json()["models"]] == ["a", "b"]
    assert http.get("/api/version").json()["version"]
    assert "completion" in http.post("/api/show", json={"model": "a"}).json()["capabilities"]
    rows = http.get("/v1/models").json()["data"]
    assert [(row["id"], row.get("context_length")) for row in rows] == [("a", None), ("b", 9)]
    assert http.get("/nothing").status_code == 404
    upstream.enqueue(Answer(fault="401"), Answer(fault="html"), path="/v1/models")
    assert http.get("/v1/models").status_code == 401
    assert http.get("/v1/models").text.startswith("<html>")
    assert http.get("/v1/models").status_code == 200


def test_lists_that_have_pages(upstream: FakeUpstream, http: httpx.Client) -> None:
    upstream.models, upstream.page_size = ["a", "b", "c"], 2
    headers = {"anthropic-version": "2023-06-01"}
    first = http.get("/v1/models?limit=1000", headers=headers).json()
    assert ([row["id"] for row in first["data"]], first["has_more"], first["last_id"]) == (["a", "b"], True, "b")
    second = http.get("/v1/models?after_id=b", headers=headers).json()
    assert ([row["id"] for row in second["data"]], second["has_more"]) == (["c"], False)
    first = http.get("/v1beta/models").json()
    second = http.get("/v1beta/models", params={"pageToken": first["nextPageToken"]}).json()
    assert [row["name"] for row in first["models"] + second["models"]] == ["models/a", "models/b", "models/c"]
    assert "nextPageToken" not in second


# --- the script and the record -------------------------------------------------------------------------------------------------------


def test_a_queue_comes_before_what_stands_and_a_model_before_all(upstream: FakeUpstream, http: httpx.Client) -> None:
    upstream.always(Answer("usual"))
    upstream.always(Answer("mine"), model="m2")
    upstream.enqueue(Answer("once"), Answer("twice"))
    upstream.enqueue(Answer("first"), model="m2")
    got = [text_of("ollama", parsed(ask(http, "ollama", model=model).text)) for model in ("m2", "m1", "m2", "m1", "m2")]
    assert got == ["first", "once", "twice", "usual", "mine"]
    upstream.reset()
    assert text_of("ollama", parsed(ask(http, "ollama").text)) == "Hello world"


def test_it_records_what_was_asked_and_sent(upstream: FakeUpstream, http: httpx.Client) -> None:
    upstream.always(FULL)
    http.post("/v1/chat/completions?x=1", json=asked("openai"), headers={"Authorization": "Bearer k"})
    (record,) = upstream.wait_for_requests(1)
    assert (record.method, record.path, record.query, record.wire, record.model) == ("POST", PATHS["openai"], "x=1", "openai", "m1")
    assert record.headers["authorization"] == "Bearer k" and record.body["stream"] is True
    upstream.wait_until(lambda fake: fake.requests[0].finished)
    assert (record.texts, record.thoughts, record.text, record.sent) == (["Grüße", " 🐻"], ["Hm", "m"], "Grüße 🐻", 7)
    assert Counts(**record.usage) == FULL.counts
    assert not record.closed.is_set() and record.peer_closed_at is None
    assert record.answer is FULL and upstream.chats == [record]


@WIRES
@pytest.mark.parametrize("make", [Gate, threading.Event])
def test_a_gate_holds_the_answer_after_so_many_tokens(upstream: FakeUpstream, wire: str, make: Any) -> None:
    gate = make()
    upstream.always(Answer(["one", " two", " three"], gate=gate, gate_after=2))
    with raw_request(upstream, wire) as found:
        upstream.wait_until(lambda fake: fake.requests and fake.requests[0].sent == 2)
        got = b""
        while b" two" not in got:
            got += found.recv(65536)
        record = upstream.requests[0]
        assert (record.text, record.finished) == ("one two", False)
        gate.set()
        while not got.endswith(b"0\r\n\r\n"):
            got += found.recv(65536)
    upstream.wait_until(lambda _: record.finished)
    assert record.text == "one two three" and not record.closed.is_set()


@WIRES
@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("fault", ["hang", "silence_before", "silence_after", "only_comments", "stays_open", "slow", "endless", "gate"])
def test_it_sees_that_the_peer_left(upstream: FakeUpstream, wire: str, fault: str, reset: bool) -> None:
    upstream.always(Answer(gate=Gate(), gate_after=1) if fault == "gate" else Answer(fault=fault))
    with raw_request(upstream, wire) as found:
        (record,) = upstream.wait_for_requests(1)
        left = leave(found, reset)
        assert record.closed.wait(2)
    assert record.peer_closed_at is not None and record.peer_closed_at >= left
    assert not record.finished


@pytest.mark.parametrize("reset", [False, True])
def test_it_sees_it_within_50_ms(upstream: FakeUpstream, reset: bool) -> None:
    """The best of five: a machine that is busy with something else may take longer now and then."""
    upstream.always(Answer(fault="silence_after"))
    took = []
    for number in range(1, 6):
        with raw_request(upstream) as found:
            record = upstream.wait_for_requests(number)[-1]
            left = leave(found, reset)
            assert record.closed.wait(2)
        took.append((record.peer_closed_at or 0) - left)
    assert 0 < min(took) < 0.05


def test_a_peer_that_reads_nothing_stops_the_answer(upstream: FakeUpstream) -> None:
    upstream.always(Answer(["x" * 10_000] * 5000))
    with raw_request(upstream) as found:
        (record,) = upstream.wait_for_requests(1)
        leave(found, reset=True)
        assert record.closed.wait(2)
    assert record.sent < 5000


def test_connections_are_kept_and_can_be_dropped(upstream: FakeUpstream, http: httpx.Client) -> None:
    for _ in range(2):
        ask(http, "ollama", stream=False)
    upstream.drop_connections()
    ask(http, "ollama")
    assert [record.connection for record in upstream.requests] == [1, 1, 2]


def test_two_requests_in_one_packet_and_a_chunked_body_are_understood(upstream: FakeUpstream, http: httpx.Client) -> None:
    body = b'{"model": "m1", "stream": false}'
    one = b"POST /api/chat HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    last = b"POST /api/chat HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with socket.create_connection(("127.0.0.1", upstream.port), timeout=5) as found:
        found.sendall(one + last)
        assert received(found).count(b'"done":true') == 2
    response = http.post("/api/chat", content=iter([b'{"model": "m1"', b', "stream": false}']))
    assert response.json()["message"]["content"] == "Hello world"


def test_500_streams_at_a_time(upstream: FakeUpstream) -> None:
    gate = Gate()
    upstream.always(Answer(["a", "b"], usage=(1, 2), gate=gate, gate_after=1))

    async def one() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        body = json.dumps(asked("ollama")).encode()
        writer.write(b"POST /api/chat HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        try:
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()

    async def all_of_them() -> list[bytes]:
        streams = [asyncio.ensure_future(one()) for _ in range(500)]
        await asyncio.to_thread(upstream.wait_until, lambda fake: sum(record.sent for record in fake.requests) == 500, 20)
        gate.set()
        return await asyncio.gather(*streams)

    answers = asyncio.run(all_of_them())
    assert len(answers) == 500 and all(b'"done":true' in answer for answer in answers)
    upstream.wait_until(lambda fake: all(record.finished for record in fake.requests))


# --- the faults ----------------------------------------------------------------------------------------------------------------------


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="catch_fire"):
        Answer(fault="catch_fire")


def test_addresses_where_nothing_arrives(upstream: FakeUpstream) -> None:
    with pytest.raises(httpx.ConnectError):
        httpx.get(upstream.refused_url, trust_env=False)
    with pytest.raises(httpx.ConnectTimeout):
        httpx.get(upstream.hanging_url, timeout=0.2, trust_env=False)
    with pytest.raises(httpx.ConnectError, match="SSL"):
        httpx.get(upstream.tls_garbage_url, trust_env=False)
    assert upstream.requests == []


FIRST = {"ollama": b'"content":"Hello"', "openai": b'"content":"Hello"', "anthropic": b'"text":"Hello"'}
ENDS = {"ollama": b'"done":true', "openai": b"[DONE]", "anthropic": b"message_stop"}
BREAKS = [
    # fault, after, RST, has headers, has the first token
    ("close_before", None, False, False, False),
    ("reset_before", None, True, False, False),
    ("cut_before", None, False, True, False),
    ("reset_headers", None, True, True, False),
    ("cut_after", 1, False, True, True),
    ("reset_after", 1, True, True, True),
    ("cut_after", None, False, True, True),
    ("reset_after", None, True, True, True),
]


@WIRES
@pytest.mark.parametrize(("fault", "after", "reset", "headers", "token"), BREAKS)
def test_streams_break_where_they_should(
    upstream: FakeUpstream, wire: str, fault: str, after: int | None, reset: bool, headers: bool, token: bool
) -> None:
    upstream.always(Answer(fault=fault, after=after))
    got = b""
    with raw_request(upstream, wire) as found:
        try:
            while data := found.recv(65536):
                got += data
            broke = False
        except ConnectionResetError:
            broke = True
    record = upstream.requests[0]
    assert broke is reset
    assert (b"HTTP/1.1 200" in got, FIRST[wire] in got) == (headers, token)
    assert ENDS[wire] not in got and not got.endswith(b"0\r\n\r\n")
    assert record.sent == (0 if not token else after or 2)
    assert (record.finished, record.closed.is_set()) == (False, False)


@WIRES
def test_plain_answers_break_in_the_middle(upstream: FakeUpstream, http: httpx.Client, wire: str) -> None:
    upstream.enqueue(Answer(fault="cut_after"), Answer(fault="reset_after"), Answer(fault="no_end"))
    for error in (httpx.RemoteProtocolError, httpx.ReadError):
        with pytest.raises(error):
            ask(http, wire, stream=False)
    half = ask(http, wire, stream=False)
    with pytest.raises(json.JSONDecodeError):
        half.json()
    assert [record.sent for record in upstream.requests] == [0, 0, 0]


@WIRES
def test_a_stream_without_its_end_ends_properly(upstream: FakeUpstream, http: httpx.Client, wire: str) -> None:
    upstream.always(Answer(fault="no_end"))
    response = ask(http, wire)
    assert FIRST[wire] in response.content and ENDS[wire] not in response.content
    assert upstream.requests[0].usage.get("output", 1) == 1


@WIRES
def test_an_error_in_the_stream_has_the_wires_shape(upstream: FakeUpstream, http: httpx.Client, wire: str) -> None:
    upstream.always(Answer(fault="error_event", error="Overloaded"))
    last = parsed(ask(http, wire).text)[-1]
    assert (last["error"] if wire == "ollama" else last["error"]["message"]) == "Overloaded"


@WIRES
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("fault", "rate"), [("bytes", 1), ("split", 1), ("slow", 20_000)])
def test_bytes_arrive_in_any_packets_and_are_the_same(
    upstream: FakeUpstream, http: httpx.Client, wire: str, stream: bool, fault: str, rate: float
) -> None:
    whole = Answer(["Grüße", " 🐻"])
    upstream.enqueue(whole, Answer(whole.chunks, fault=fault, rate=rate))
    assert ask(http, wire, stream).content == ask(http, wire, stream).content


def test_split_cuts_inside_characters_and_lines() -> None:
    data = "data: ü🐻\n\n".encode()
    cut = list(parts(data, "split"))
    assert b"".join(cut) == data
    assert sum(len(part.decode(errors="ignore").encode()) != len(part) for part in cut) >= 4
    assert cut[-1] == b"\n"
    assert [len(part) for part in parts(data, "bytes")] == [1] * len(data)


def test_slow_keeps_to_its_rate(upstream: FakeUpstream) -> None:
    upstream.always(Answer(fault="slow", rate=200))
    with raw_request(upstream) as found:
        started, got = time.monotonic(), b""
        while got.count(b"\r\n1\r\n") < 20:
            got += found.recv(65536)
    assert time.monotonic() - started >= 19 / 200


@pytest.mark.parametrize(
    ("fault", "status", "start"),
    [
        ("html", 200, b"<html>"),
        ("empty", 200, b""),
        ("garbage", 200, b"\x00\x01"),
        ("huge", 200, b'{"x": "y'),
        ("html_502", 502, b"<html>"),
        ("404", 404, b'{"error":'),
        ("429", 429, b'{"error":'),
        ("429_retry_after", 429, b'{"error":'),
        ("500", 500, b'{"error":'),
        ("503", 503, b'{"error":'),
        ("slots_429", 429, b'{"error":"timed out waiting for a concurrent request slot"}'),
        ("slots_503", 503, b'{"error":"timed out waiting for a concurrent request slot"}'),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_what_is_no_answer(upstream: FakeUpstream, http: httpx.Client, fault: str, status: int, start: bytes, stream: bool) -> None:
    upstream.always(Answer(fault=fault))
    response = ask(http, "ollama", stream)
    assert response.status_code == status
    assert response.content.startswith(start) and bool(response.content) == bool(start)
    assert response.headers.get("retry-after") == ("1" if fault == "429_retry_after" else None)
    assert (len(response.content) > 8 * 1024 * 1024) == (fault == "huge")
    assert upstream.requests[0].sent == 0


@WIRES
def test_reports_that_lie(upstream: FakeUpstream, http: httpx.Client, wire: str) -> None:
    upstream.enqueue(*(Answer(fault=fault) for fault in ("negative_usage", "huge_usage", "zero_tokens", "wrong_model")))
    responses = [ask(http, wire) for _ in range(4)]
    reports = [(record.usage["input"], record.usage["output"]) for record in upstream.requests]
    assert reports == [(-7, -2), (10**15, 10**15), (7, 0), (7, 2)]
    assert text_of(wire, parsed(responses[2].text)) == "" and upstream.requests[2].sent == 0
    assert "someone-elses-model" in responses[3].text and "m1" not in responses[3].text


def counted(wire: str, event: dict[str, Any]) -> bool:
    """Whether this event reports the output."""
    return "eval_count" in event if wire == "ollama" else bool(event.get("usage"))


@WIRES
def test_usage_beside_text(upstream: FakeUpstream, http: httpx.Client, wire: str) -> None:
    upstream.always(Answer(["a", "b"], fault="usage_with_text"))
    response = ask(http, wire)
    events = parsed(response.text)
    place = next(number for number, event in enumerate(events) if counted(wire, event))
    assert text_of(wire, events) == "ab" and sum(counted(wire, event) for event in events) == 1
    assert text_of(wire, events[place:]) == "b"
    assert (upstream.requests[0].sent, upstream.requests[0].usage["output"]) == (2, 2)


@WIRES
def test_usage_after_the_finish(upstream: FakeUpstream, http: httpx.Client, wire: str) -> None:
    upstream.always(Answer(fault="usage_after_finish"))
    events = parsed(http.post(PATHS[wire], json={**asked(wire), "stream_options": None}).text)
    finish = {
        "ollama": lambda event: event["done"],
        "openai": lambda event: event["choices"][0]["finish_reason"],
        "anthropic": lambda event: event.get("delta", {}).get("stop_reason"),
    }[wire]
    first = next(number for number, event in enumerate(events) if finish(event))
    assert [number > first for number, event in enumerate(events) if counted(wire, event)] == [True]


def test_every_fault_is_known_to_a_test() -> None:
    source = Path(__file__).read_text()
    assert [fault for fault in FAULTS if f'"{fault}"' not in source] == []


# --- the process ---------------------------------------------------------------------------------------------------------------------


def test_it_runs_as_a_process() -> None:
    command = [sys.executable, "-m", "tests.fakes.upstream", "--tokens", "3"]
    root = Path(__file__).resolve().parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            with httpx.Client(base_url=url, trust_env=False) as http:
                for wire in PATHS:
                    assert text_of(wire, parsed(ask(http, wire).text)) == "token " * 3
        finally:
            process.kill()


# --- the proxy -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def proxy(upstream: FakeUpstream) -> Iterator[TcpProxy]:
    with TcpProxy("127.0.0.1", upstream.port) as found:
        yield found


@pytest.fixture
def through(proxy: TcpProxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=proxy.url, timeout=5, trust_env=False) as found:
        yield found


def test_the_proxy_passes_on_and_is_late(proxy: TcpProxy, through: httpx.Client) -> None:
    assert ask(through, "ollama").status_code == 200
    proxy.delay(0.05)
    started = time.monotonic()
    assert ask(through, "ollama").status_code == 200
    assert time.monotonic() - started >= 0.1
    assert proxy.accepted == proxy.open_connections == 1


@pytest.mark.parametrize("reset", [False, True])
def test_the_proxy_cuts_both_sides(upstream: FakeUpstream, proxy: TcpProxy, through: httpx.Client, reset: bool) -> None:
    upstream.enqueue(Answer(fault="silence_after"))
    with raw_request(upstream, port=proxy.port) as found:
        got = b""
        while b"world" not in got:
            got += found.recv(65536)
        (proxy.reset if reset else proxy.cut)()
        if reset:
            with pytest.raises(ConnectionResetError):
                received(found)
        else:
            assert ENDS["ollama"] not in received(found)
    assert upstream.requests[0].closed.wait(1)
    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
        ask(through, "ollama")
    proxy.pass_on()
    assert ask(through, "ollama").status_code == 200


def test_the_proxy_swallows_and_gives_back(upstream: FakeUpstream, proxy: TcpProxy, through: httpx.Client) -> None:
    ask(through, "ollama")
    proxy.blackhole()
    with raw_request(upstream, port=proxy.port) as new:
        with pytest.raises(httpx.ReadTimeout):
            through.get("/api/tags", timeout=0.1)
        assert len(upstream.requests) == 1
        proxy.pass_on()
        assert new.recv(65536).startswith(b"HTTP/1.1 200")
    upstream.wait_for_requests(3)


def test_the_proxy_hands_on_a_fin(upstream: FakeUpstream, proxy: TcpProxy) -> None:
    upstream.always(Answer(fault="hang"))
    records: list[Record] = []
    for reset in (False, True):
        with raw_request(upstream, port=proxy.port) as found:
            records = upstream.wait_for_requests(len(records) + 1)
            leave(found, reset)
            assert records[-1].closed.wait(1)
