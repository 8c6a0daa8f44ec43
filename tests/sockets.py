"""A client of /ws/chat/, as a browser or a program would be one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.test import Client
from websockets.sync.client import ClientConnection, connect

from accounts.models import User
from accounts.visitors import COOKIE, signed
from tests.server import LiveServer

Frame = dict[str, Any]


def as_browser(live: LiveServer, user: User | None = None, visitor: str = "") -> dict[str, str]:
    """The headers of a page of ours: signed in, or as a guest."""
    cookies = [f"{COOKIE}={signed(visitor)}"] if visitor else []
    if user is not None:
        client = Client()
        client.force_login(user)
        client.get("/prices")  # whose visit puts the session on the list of sessions
        cookies.append(f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}")
    return {"Origin": live.url, **({"Cookie": "; ".join(cookies)} if cookies else {})}


class Socket:
    """An open socket. `ready` is its first frame."""

    def __init__(self, line: ClientConnection) -> None:
        self.line = line
        self.ready = self.take()

    def take(self, timeout: float = 10) -> Frame:
        """The next frame."""
        return json.loads(self.line.recv(timeout))

    def send(self, kind: str, **fields: Any) -> None:
        self.line.send(json.dumps({"type": kind, **fields}))

    def ask(self, message: str = "Hi", **fields: Any) -> str:
        """Ask, and return the turn's id."""
        turn = fields.pop("id", None) or str(uuid.uuid4())
        self.send("chat", id=turn, message=message, **fields)
        return turn

    def until(self, kind: str, turn: str | None = None) -> list[Frame]:
        """The frames up to the first of that kind (of that turn)."""
        frames = [self.take()]
        while frames[-1]["type"] != kind or (turn is not None and frames[-1].get("id") != turn):
            assert frames[-1]["type"] != "error", frames[-1]
            frames.append(self.take())
        return frames


@contextmanager
def opened(live: LiveServer, headers: dict[str, str]) -> Iterator[Socket]:
    with connect(f"ws://127.0.0.1:{live.port}/ws/chat/", additional_headers=headers, max_size=None) as line:
        yield Socket(line)


def text_of(frames: list[Frame]) -> str:
    return "".join(frame["text"] for frame in frames if frame["type"] == "delta")
