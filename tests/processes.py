"""The product's server in processes of its own, on the test database, and a client that knows which worker it talks to."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from tests.canaries import PROMPT
from tests.fakes.upstream import FakeUpstream
from tests.test_serve import Running

POSTGRES = connection.vendor == "postgresql"
WORKERS = 2 if POSTGRES and settings.REDIS_URL else 1


def wait_until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The first true value of `condition()`. Fails the test where none comes in time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)  # between two looks at another process
    return value


def database_url(host: str = "", port: int = 0) -> str:
    """The test database's address, by way of another host and port where given."""
    chosen = connection.settings_dict
    if not POSTGRES:
        return f"sqlite:///{chosen['NAME']}"
    password = f":{chosen['PASSWORD']}" if chosen["PASSWORD"] else ""
    return f"postgresql://{chosen['USER']}{password}@{host or chosen['HOST']}:{port or chosen['PORT'] or 5432}/{chosen['NAME']}"


class Server(Running):
    """`with Server(upstream, …) as server:` serves with WORKERS processes. Times as serve_quick takes them."""

    def __init__(self, upstream: FakeUpstream, *, workers: int = WORKERS, lease: float = 30, grace: float = 30, **environment: str) -> None:
        command = [sys.executable, "-m", "tests.fakes.serve_quick", str(workers), str(lease), str(grace)]
        defaults = {
            "SECRET_KEY": settings.SECRET_KEY,
            "DATABASE_URL": database_url(),
            "REDIS_URL": settings.REDIS_URL,
            "OLLAMA_BASE_URL": upstream.url,
            "LOG_LEVEL": "error",
            "VAR_DIR": str(settings.VAR_DIR),
        }
        self.many = workers > 1
        super().__init__(command, **(defaults | environment))
        wait_until(lambda: len(self.workers) == workers)  # they are forked after the banner

    @property
    def workers(self) -> list[int]:
        """The process ids that serve."""
        if not self.many:
            return [self.process.pid]
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]

    def connect(self, worker: int | None = None) -> http.client.HTTPConnection:
        """A connection, to that worker where one is named: tries until the kernel has given it one."""
        for _ in range(500):
            found = http.client.HTTPConnection(self.host, self.port, timeout=20)
            found.connect()
            self.open.callback(found.close)
            if worker is None or self.owner(found) == worker:
                return found
        raise AssertionError(f"no connection to worker {worker}")

    def owner(self, client: http.client.HTTPConnection) -> int:
        """The worker that has accepted this connection."""
        inode = wait_until(lambda: _inode(self.port, client.sock.getsockname()[1]))
        return wait_until(lambda: next((pid for pid in self.workers if _holds(pid, inode)), 0))


def _inode(local: int, remote: int) -> str:
    """The socket that a connection between these two ports of ours ends in, at the side of `local`; "" before it is accepted."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if (fields[1].endswith(f":{local:04X}"), fields[2].endswith(f":{remote:04X}")) == (True, True):
            return "" if fields[9] == "0" else fields[9]
    return ""


def _holds(pid: int, inode: str) -> bool:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(link) == f"socket:[{inode}]":
                return True
        except FileNotFoundError:
            continue  # closed since
    return False


def post(client: http.client.HTTPConnection, headers: dict[str, str], path: str = "/v1/client/chat", **fields: Any) -> Any:
    """Send a chat (or another body); the answer's head is here, its body not yet read."""
    chat = {"message": PROMPT, "system_prompt": "x", "model": "ollama/gpt-oss:120b-cloud"}
    body = fields if path != "/v1/client/chat" else chat | fields
    client.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **headers})
    return client.getresponse()


def code_of(answer: Any) -> tuple[int, str]:
    """(status, error code) of a plain answer, read to its end."""
    body = json.loads(answer.read())
    return answer.status, body.get("error", {}).get("code", "")


def read_tokens(answer: Any, number: int, token: bytes = b"tok") -> bytes:
    """What has come of a stream, once it holds so many tokens."""
    got = b""
    while got.count(token) < number:
        line = answer.readline()
        assert line, got
        got += line
    return got
