"""An endpoint that takes webhooks: keeps what came, checks the signature with the Stripe SDK, and answers as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import stripe


class Inbox:
    """`with Inbox(secret) as inbox:` listens at `inbox.url`."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.answers: list[int] = []  # the next statuses; then 200
        self.pause = 0.0  # seconds before an answer
        self.events: list[dict[str, Any]] = []  # whose signature was good, in order of arrival
        self.headers: list[dict[str, str]] = []
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()

    def __enter__(self) -> Inbox:
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status = inbox.take(self.rfile.read(int(self.headers["Content-Length"])), dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook"

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.events]

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        """The status to answer with."""
        with self.lock:
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        try:
            stripe.WebhookSignature.verify_header(body, headers["Stripe-Signature"], self.secret, 300)
            time.sleep(self.pause)
            with self.lock:
                self.events.append(json.loads(body))
                self.headers.append(headers)
                return self.answers.pop(0) if self.answers else 200
        except stripe.SignatureVerificationError:
            return 400
        finally:
            with self.lock:
                self.busy -= 1

    def wait(self, condition: Callable[[Inbox], object], seconds: float = 10) -> None:
        """Return when `condition(self)` holds. Fails the test where it never does."""
        end = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < end, f"never came true; {len(self.events)} events"
            time.sleep(0.01)
