"""The payment simulator as a child of the server, where settings say that payments are simulated."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import CommandError

log = logging.getLogger(__name__)
# All that the child inherits: it is given no key and no secret but the one that it signs with.
ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT")
STOP_SECONDS = 5.0
RESTART_SECONDS = 1.0
STATE = "simulator.sqlite3"


class PaymentSimulator:
    """`with PaymentSimulator():` runs it at settings.STRIPE_API_HOST, and starts it again when it dies. Raises CommandError."""

    def __init__(self) -> None:
        self.stopping = threading.Event()

    def __enter__(self) -> PaymentSimulator:
        self._start()
        threading.Thread(target=self._watch, name="payment-simulator", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stopping.set()
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def send_events_to(self, url: str, events: list[str]) -> None:
        """Deliver these types of events to `url`, signed with settings.STRIPE_WEBHOOK_SECRET."""
        body = json.dumps({"url": url, "events": events, "secret": settings.STRIPE_WEBHOOK_SECRET}).encode()
        address = f"{settings.STRIPE_API_HOST}/simulator/webhook"
        with urllib.request.urlopen(urllib.request.Request(address, body, {"Content-Type": "application/json"}), timeout=10):
            pass

    def _start(self) -> None:
        port = urlsplit(settings.STRIPE_API_HOST).port
        command = [sys.executable, "-m", "billing.simulator", "--child", "--port", str(port), "--state", str(settings.VAR_DIR / STATE)]
        self.process = subprocess.Popen(
            [*command, "--return-origin", settings.PUBLIC_URL],
            cwd=Path(settings.BASE_DIR),
            env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
            | {"STRIPE_WEBHOOK_SECRET": settings.STRIPE_WEBHOOK_SECRET},
            stdin=subprocess.PIPE,  # closed by the system when we are killed, and the child ends
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C in the terminal is the server's, which then lets running answers end
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        if "listens on" not in line:
            why = line.strip().removeprefix("simulator: ") or "it said nothing"
            raise CommandError(f"The payment simulator cannot start on port {port} ({why}): free the port, or set STRIPE_SIMULATOR=off.")

    def _watch(self) -> None:
        while not self.stopping.is_set():
            self.process.wait()
            if self.stopping.wait(RESTART_SECONDS):
                return
            log.warning("The payment simulator ended with %s; starting it again.", self.process.returncode)
            try:
                self._start()
            except CommandError as error:
                log.error("%s", error)
                return
