"""The three wrappers around the application: ids, bodies, clients that do not read."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import orjson
import pytest

from triforce.limits import BodyLimit, ClientStalled, RequestId, SendLimit


class Wire:
    """A server's receive and send: gives out queued messages and records what comes."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        return self.messages.pop(0) if self.messages else {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


def scope(**headers: str) -> dict[str, Any]:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "path": "/v1/x", "headers": raw}


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def echo_length(scope: Any, receive: Any, send: Any) -> None:
    total = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        total += len(message["body"])
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(total).encode()})


async def test_it_gives_each_request_an_id_of_its_own() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["state"]["request_id"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})

    first, second = Wire(), Wire()
    await RequestId(app)(scope(x_request_id="req_mine"), first.receive, first.send)
    await RequestId(app)(scope(), second.receive, second.send)
    assert re.fullmatch("req_[a-z2-7]{26}", seen[0]) and seen[0] != seen[1]
    assert first.sent[0]["headers"] == [(b"a", b"b"), (b"x-request-id", seen[0].encode())]


async def test_it_lets_a_body_of_exactly_the_limit_through() -> None:
    wire = Wire(part(b"12345"), part(b"67890", more=False))
    await BodyLimit(echo_length, 10)(scope(), wire.receive, wire.send)
    assert (wire.status, wire.body) == (200, b"10")


async def test_p28_it_refuses_an_announced_length_without_asking_the_app() -> None:
    async def app(*args: Any) -> None:
        pytest.fail("the app was asked")

    wire = Wire(part(b"x" * 11, more=False))
    await BodyLimit(app, 10)(scope(content_length="11"), wire.receive, wire.send)
    assert wire.status == 413
    assert wire.headers[b"connection"] == b"close"
    assert orjson.loads(wire.body)["error"]["code"] == "payload_too_large"


@pytest.mark.parametrize(("length", "status"), [("0" * 5000, 200), ("0" * 5000 + "7", 200), ("0" * 5000 + "11", 413), ("9" * 5000, 413)])
async def test_p28_it_reads_a_length_however_it_is_written(length: str, status: int) -> None:
    wire = Wire(part(b"1234567", more=False))
    await BodyLimit(echo_length, 10)(scope(content_length=length), wire.receive, wire.send)
    assert wire.status == status


async def test_p28_it_refuses_a_chunked_body_at_the_byte_past_the_limit() -> None:
    wire = Wire(part(b"12345"), part(b"678901"), part(b"more"), part(b"", more=False))
    await BodyLimit(echo_length, 10)(scope(transfer_encoding="chunked"), wire.receive, wire.send)
    assert wire.status == 413
    assert wire.messages == []  # the rest was read away, so that closing does not reset the answer


@pytest.mark.parametrize("pieces", [0, 1])
async def test_it_refuses_a_body_that_comes_too_slowly(pieces: int) -> None:
    wire = Wire(*[part(b"12345")] * pieces)

    async def receive() -> Any:
        return wire.messages.pop(0) if wire.messages else await asyncio.Event().wait()

    await BodyLimit(echo_length, 10, seconds=0.05)(scope(transfer_encoding="chunked"), receive, wire.send)
    assert (wire.status, wire.headers[b"connection"]) == (408, b"close")
    assert orjson.loads(wire.body)["error"]["code"] == "request_timeout"


async def test_it_waits_for_a_client_that_is_whole_as_long_as_the_app_does() -> None:
    wire = Wire(part(b"12345", more=False))

    async def receive() -> Any:
        if wire.messages:
            return wire.messages.pop(0)
        await asyncio.sleep(0.1)
        return {"type": "http.disconnect"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["body"] == b"12345"
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.start", "status": 200, "headers": []})

    await BodyLimit(app, 10, seconds=0.05)(scope(), receive, wire.send)
    assert wire.status == 200


async def test_it_says_too_large_in_the_language_that_is_asked_for() -> None:
    wire = Wire()
    await BodyLimit(echo_length, 10)(scope(content_length="11", accept_language="fr, en;q=0.5"), wire.receive, wire.send)
    assert orjson.loads(wire.body)["detail"] == "The request is too large."


async def test_p28_an_answer_of_the_app_to_a_body_cut_off_is_replaced() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body", "body": b"cut off"})

    wire = Wire(part(b"12345678901"))
    await BodyLimit(app, 10)(scope(), wire.receive, wire.send)
    assert wire.status == 413


async def test_p12_it_ends_a_request_whose_client_does_not_read() -> None:
    full = asyncio.Event()
    ended = []

    async def never_drains(message: Any) -> None:
        await full.wait()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.body", "body": b"x"})
        except ClientStalled:
            ended.append(True)
            raise

    await asyncio.wait_for(SendLimit(app, 0.02)(scope(), Wire().receive, never_drains), 5)
    assert ended == [True]


async def test_it_waits_for_a_slow_client_within_the_limit() -> None:
    drained = asyncio.Event()
    sent = []

    async def slow(message: Any) -> None:
        await drained.wait()
        await asyncio.sleep(0)
        sent.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asyncio.get_running_loop().call_soon(drained.set)
        await send({"type": "http.response.body", "body": b"x"})

    await SendLimit(app, 5)(scope(), Wire().receive, slow)
    assert len(sent) == 1


async def test_it_hands_on_what_a_send_raises_and_a_cancellation() -> None:
    async def breaks(message: Any) -> None:
        await asyncio.sleep(0)
        raise OSError("gone")

    async def hangs(message: Any) -> None:
        await asyncio.Event().wait()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.body", "body": b"x"})

    with pytest.raises(OSError, match="gone"):
        await SendLimit(app, 5)(scope(), Wire().receive, breaks)
    task = asyncio.ensure_future(SendLimit(app, 5)(scope(), Wire().receive, hangs))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
