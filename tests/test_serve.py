"""manage.py serve as a process: it starts, refuses, drains, and keeps its workers alive."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError

from tests import canaries
from triforce import serve

ROOT = Path(__file__).resolve().parent.parent
KEY = "k3y-" * 15


class Running:
    """A server in a process of its own. `lines` are what it said until it listened."""

    def __init__(self, command: list[str], **environment: str) -> None:
        clean = {"PATH": os.environ["PATH"], "SECRET_KEY": KEY, "LOCAL_MODEL": "off", **environment}
        self.process = subprocess.Popen(command, cwd=ROOT, env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.lines: list[str] = []
        self.open = ExitStack()
        while "http://" not in (line := self.process.stdout.readline()):
            assert line, self.process.communicate()
            self.lines.append(line)
        self.lines.append(line)
        self.host, port = line.strip().rpartition("http://")[2].split(":")
        self.port = int(port.partition(",")[0])

    def ask(self, method: str, path: str, **options: Any) -> http.client.HTTPResponse:
        """The answer, its body not yet read."""
        connection = self.open.enter_context(closing(http.client.HTTPConnection(self.host, self.port, timeout=20)))
        connection.request(method, path, **options)
        return self.open.enter_context(connection.getresponse())

    def ask_until_refused(self) -> None:
        with pytest.raises(OSError):
            for _ in range(10_000):
                self.ask("GET", "/")

    def end(self, sig: int = signal.SIGTERM) -> int:
        self.process.send_signal(sig)
        return self.wait()

    def wait(self) -> int:
        said, self.errors = self.process.communicate(timeout=50)
        canaries.hear("what a server said", said + self.errors)
        return self.process.returncode

    def __exit__(self, *_: object) -> None:
        self.open.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def __enter__(self) -> Running:
        return self


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    with ExitStack() as stack:
        command = [sys.executable, "-m", "tests.fakes.serve_slow_app"]
        yield lambda *arguments: stack.enter_context(Running([*command, *arguments], VAR_DIR=str(tmp_path)))


def manage(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "SECRET_KEY": KEY, "LOCAL_MODEL": "off", "VAR_DIR": str(tmp_path), **environment}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, timeout=60)


def test_it_prepares_serves_and_ends_with_zero(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "serve", "--port", "0", "--prepare"]
    with Running(command, VAR_DIR=str(tmp_path), DEBUG="on", STRIPE_SIMULATOR="off") as server:
        answer = server.ask("GET", "/health")
        assert (answer.status, answer.read()) == (200, b'{"ok": true, "status": "ok"}')
        assert answer.headers["X-Request-ID"].startswith("req_") and "Server" not in answer.headers
        assert server.ask("GET", "/readyz/").status == 200
        assert server.ask("GET", "/docs").status == 200
        assert server.host == "127.0.0.1"
        assert server.end() == 0
    assert "Traceback" not in server.errors


def test_it_refuses_several_workers_without_redis(tmp_path: Path) -> None:
    done = manage(tmp_path, "serve", "--workers", "2", "--port", "0")
    assert done.returncode == 2
    assert done.stderr == "CommandError: More than one worker needs REDIS_URL: rates, queues and sockets are shared through Redis.\n"


def test_it_says_that_the_port_is_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = manage(tmp_path, "serve", "--port", str(port))
    assert done.returncode == 1
    assert done.stderr.startswith(f"CommandError: Port {port} on 127.0.0.1 is in use") and done.stderr.count("\n") == 1


def test_it_says_that_an_address_is_not_ours() -> None:
    with pytest.raises(CommandError, match="Cannot assign requested address"):
        serve.listen("192.0.2.1", 9000)


@pytest.mark.skipif(sys.platform != "linux", reason="these options are Linux's")
def test_p04_connections_inherit_what_finds_dead_peers_within_15_seconds() -> None:
    with serve.listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            options = [socket.TCP_USER_TIMEOUT, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT]
            timeout, idle, interval, count = (accepted.getsockopt(socket.IPPROTO_TCP, option) for option in options)
    assert timeout == 10_000 and idle + interval * count <= 15


def test_p18_a_stream_is_told_to_end_and_nothing_new_is_taken(slow: Callable[..., Running]) -> None:
    server = slow()
    stream = server.ask("GET", "/stream")
    assert stream.readline() == b"first\n"
    server.process.send_signal(signal.SIGTERM)
    assert stream.readline() == b"draining True\n"
    assert stream.read().isdigit()  # the stream has its whole end
    server.ask_until_refused()
    assert server.wait() == 0


def test_p18_all_workers_drain(slow: Callable[..., Running]) -> None:
    server = slow("2")
    streams = [server.ask("GET", "/stream") for _ in range(6)]
    assert {stream.readline() for stream in streams} == {b"first\n"}
    server.process.send_signal(signal.SIGTERM)
    assert {stream.readline() for stream in streams} == {b"draining True\n"}
    assert all(stream.read().isdigit() for stream in streams)
    assert server.wait() == 0


def test_p03_a_worker_that_dies_is_replaced(slow: Callable[..., Running]) -> None:
    server = slow("2")
    with pytest.raises((http.client.HTTPException, OSError)):
        server.ask("GET", "/die").read()
    pids = {int(server.ask("GET", "/").read()) for _ in range(20)}
    assert pids and server.process.pid not in pids
    os.kill(next(iter(pids)), signal.SIGKILL)
    assert server.process.stdout and "ended with" in server.process.stdout.readline()
    assert server.ask("GET", "/").status == 200
    assert server.end() == 0


def test_workers_end_with_a_killed_supervisor(slow: Callable[..., Running]) -> None:
    server = slow("2")
    stream = server.ask("GET", "/stream")
    stream.readline()
    server.process.kill()
    assert stream.readline() == b"draining True\n"


def test_it_ends_at_once_at_a_second_interrupt(slow: Callable[..., Running]) -> None:
    server = slow()
    server.ask("GET", "/big")
    server.process.send_signal(signal.SIGINT)
    server.ask_until_refused()  # the first one has arrived
    started = time.monotonic()
    assert server.end(signal.SIGINT) == 0
    assert time.monotonic() - started < 5


def test_p12_a_client_that_does_not_read_is_let_go(slow: Callable[..., Running]) -> None:
    server = slow()
    client = socket.create_connection((server.host, server.port), timeout=20)
    client.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
    assert server.process.stderr
    assert "The client read nothing for 0.5 s." in server.process.stderr.readline()
    client.close()
    assert server.end() == 0


@pytest.mark.parametrize("chunked", [False, True])
def test_p28_a_large_upload_reads_its_refusal(slow: Callable[..., Running], chunked: bool) -> None:
    server = slow()
    parts = (b"x" * 1000 for _ in range(500))
    options = {"body": parts, "encode_chunked": True, "headers": {"Transfer-Encoding": "chunked"}} if chunked else {"body": b"x" * 500_000}
    answer = server.ask("POST", "/upload", **options)
    assert answer.status == 413 and b"payload_too_large" in answer.read()
    assert answer.headers["Connection"] == "close"
    assert server.ask("POST", "/upload", body=b"x" * 1000).status == 200
