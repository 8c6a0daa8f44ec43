"""The production server: uvicorn on a socket of ours, in one or several processes, that drains before it ends."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import gc
import importlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from multiprocessing.process import BaseProcess
from types import FrameType

import uvicorn
from django.conf import settings
from django.core.management.base import CommandError
from django.db import connections

from llm.providers import local
from triforce import drain
from triforce.http import BoundedProtocol

APPLICATION = "triforce.asgi:application"
BACKLOG = 2048
WEBSOCKET_FRAME_BYTES = 1_310_720  # 1.25 MiB
SHUTDOWN_SECONDS = int(drain.GRACE_SECONDS) + 5  # a stream told to end at 30 s still gets its last event out
FAILED_TO_START = 3  # uvicorn's own exit code
PR_SET_PDEATHSIG = 1
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket whose connections notice a dead peer within 15 s: they inherit its options. Raises CommandError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("USER_TIMEOUT", 10_000), ("KEEPIDLE", 5), ("KEEPINTVL", 3), ("KEEPCNT", 3)):
        if number := getattr(socket, f"TCP_{option}", None):
            listener.setsockopt(socket.IPPROTO_TCP, number, value)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CommandError(_why_not(host, port, error)) from None
    listener.listen(BACKLOG)
    listener.set_inheritable(True)
    return listener


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use: stop what listens there, or choose another with PORT= or --port."
    return f"Cannot listen on {host}, port {port}: {error.strerror or error}."


def address(listener: socket.socket) -> str:
    """Where it listens, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def configuration() -> uvicorn.Config:
    """How uvicorn runs here. Proxy headers are accounts.address's work, logs are settings.LOGGING's."""
    return uvicorn.Config(
        APPLICATION,
        loop="uvloop",
        http=BoundedProtocol,
        ws="websockets-sansio",
        ws_max_size=WEBSOCKET_FRAME_BYTES,
        ws_per_message_deflate=False,  # its windows would cost every idle socket 64 kB
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,  # longer than a proxy keeps its side, so that it never writes into a closing connection
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        workers=1,
    )


class Server(uvicorn.Server):
    """uvicorn's server that tells the streams to end at SIGTERM, and then ends with 0."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        calm_garbage_collector()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        told = set(self.server_state.connections)  # by uvicorn, in its first step
        ending = asyncio.ensure_future(super().shutdown(sockets))
        while not ending.done():
            await asyncio.wait({ending}, timeout=0.1)
            if self.force_exit:
                self.hang_up()
            for late in self.server_state.connections - told:  # accepted as we closed; kept alive it would hold us up to the end
                late.shutdown()
                told.add(late)
        await ending

    def hang_up(self) -> None:
        """Close every connection without waiting for clients that do not read."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        drain.begin()
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True


def calm_garbage_collector() -> None:
    """What lives since the start is never looked at again, and the rest less often: p99 42 → 24 ms, measured."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def run_one(listener: socket.socket) -> int:
    """Serve in this process until SIGTERM or SIGINT. Returns the exit code."""
    Server(configuration()).run(sockets=[listener])
    return 0


def run_many(listener: socket.socket, workers: int) -> int:
    """Serve in `workers` processes; one that dies is replaced. Returns the exit code."""
    return Supervisor(listener, workers).run()


class Supervisor:
    """Keeps the workers alive and passes the signal to end on. The workers share the listening socket."""

    def __init__(self, listener: socket.socket, workers: int) -> None:
        self.listener = listener
        self.workers = workers
        self.running: list[BaseProcess] = []
        self.stopping = threading.Event()
        self.fork = multiprocessing.get_context("fork")

    def run(self) -> int:
        importlib.import_module(APPLICATION.partition(":")[0])  # once, before the fork: its memory is shared
        for sig in STOP_SIGNALS:
            signal.signal(sig, self._stop)
        self.running = [self._start() for _ in range(self.workers)]
        code = self._watch()
        self.listener.close()  # else who connects while the workers drain would wait in a queue that nobody serves
        self._end()
        return code

    def _stop(self, sig: int, frame: FrameType | None) -> None:
        self.stopping.set()

    def _start(self) -> BaseProcess:
        _leave_databases()
        worker = self.fork.Process(target=_work, args=(self.listener, os.getpid()), name="triforce worker")
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # until the child has its own handlers
        worker.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        return worker

    def _watch(self) -> int:
        """Until told to stop. A worker that cannot even start ends everything: the next one would fail alike."""
        while not self.stopping.wait(0.2):
            for place, worker in enumerate(self.running):
                if worker.is_alive():
                    continue
                if worker.exitcode == FAILED_TO_START:
                    return FAILED_TO_START
                say(f"Worker {worker.pid} ended with {worker.exitcode}; starting another.")
                self.running[place] = self._start()
        return 0

    def _end(self) -> None:
        deadline = time.monotonic() + SHUTDOWN_SECONDS + 5
        for worker in self.running:
            worker.terminate()
        for worker in self.running:
            worker.join(max(0.0, deadline - time.monotonic()))
            if worker.is_alive():
                worker.kill()


def _leave_databases() -> None:
    """Close what the start's checks opened: over a fork workers would share one connection, and a pool whose threads are gone."""
    for one in connections.all(initialized_only=True):
        one.close()
        if close_pool := getattr(one, "close_pool", None):  # PostgreSQL's alone
            close_pool()


def _work(listener: socket.socket, parent: int) -> None:
    for sig in STOP_SIGNALS:
        signal.signal(sig, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    if sys.platform == "linux":  # a killed supervisor leaves no workers behind that hold the port
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == parent:
        run_one(listener)


def say(sentence: str) -> None:
    print(sentence, flush=True)


def banner(listener: socket.socket, workers: int) -> None:
    """One line where it listens, and one on the built-in model."""
    many = f", {workers} workers" if workers > 1 else ""
    say(f"TriForce {settings.VERSION} listens on {address(listener)}{many}")
    if settings.LOCAL_MODEL != "off":
        say(local.DESCRIPTION if local.weights_path() else "The built-in local model is off: requirements-local.txt is not installed.")
    if settings.SIMULATED:
        say(f"Payments are simulated, no real money moves: {settings.STRIPE_API_HOST}/simulator")


def serve(host: str, port: int, workers: int) -> int:
    """Serve until told to stop. Returns the exit code. Raises CommandError where it cannot start."""
    if workers > 1 and not settings.REDIS_URL:
        raise CommandError("More than one worker needs REDIS_URL: rates, queues and sockets are shared through Redis.", returncode=2)
    listener = listen(host, port)
    banner(listener, workers)
    return run_many(listener, workers) if workers > 1 else run_one(listener)
