"""Clients of the bare server that would take its memory, or its connections, for themselves."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.server import LiveServer
from triforce import asgi
from triforce import http as bounds

HEAD = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CHUNKED = b"POST /v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def line(live: LiveServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", live.port), timeout=5) as line:
        yield line


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head has 0.3 s, and a body too."""
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(asgi.limited.app, "seconds", 0.3)


def flood(line: socket.socket, piece: bytes) -> int:
    """How many bytes went out until the server hung up."""
    sent = 0
    try:
        while sent < 50_000_000:
            sent += line.send(piece)
    except ConnectionError:
        pass
    return sent


def hung_up(line: socket.socket) -> bool:
    try:
        while line.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (HEAD, b"X-Y: " + b"z" * 1000 + b"\r\n"),
        (HEAD + b"X-Y: ", b"z" * 10_000),
        (b"GET /", b"a" * 10_000),
        (CHUNKED + b"0\r\n", b"X-Y: " + b"z" * 1000 + b"\r\n"),
        (CHUNKED + b"1", b";a=" + b"z" * 10_000),
    ],
    ids=["headers", "one header", "path", "trailers", "chunk extension"],
)
def test_what_stands_around_a_body_has_a_bound(line: socket.socket, begin: bytes, piece: bytes) -> None:
    line.sendall(begin)
    assert flood(line, piece) < 20_000_000  # with what the sockets' buffers hold
    assert hung_up(line)


@pytest.mark.parametrize("begin", [b"", HEAD, HEAD + b"\r\n" + HEAD], ids=["nothing", "half", "a second half"])
def test_a_head_does_not_take_for_ever(hurried: None, live: LiveServer, begin: bytes) -> None:
    with socket.create_connection(("127.0.0.1", live.port), timeout=5) as line:
        started = time.monotonic()
        line.sendall(begin)
        assert hung_up(line)
        assert time.monotonic() - started < 2


def test_a_body_does_not_take_for_ever(hurried: None, line: socket.socket) -> None:
    line.sendall(CHUNKED + b"1\r\n{\r\n")
    answer = b""
    while data := line.recv(65536):
        answer += data
    assert answer.startswith(b"HTTP/1.1 408 ") and b"request_timeout" in answer


def test_who_waits_between_two_requests_is_not_hung_up_on(hurried: None, http: httpx.Client) -> None:
    assert http.get("/health", headers={"X-Long": "y" * 60_000}).status_code == 200
    time.sleep(0.5)
    assert http.post("/v1/auth/login", content=iter([b"{", b"}"]), headers={"Content-Type": "application/json"}).status_code == 400
    assert http.get("/health").status_code == 200
