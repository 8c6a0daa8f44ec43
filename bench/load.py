"""The load: N connections of their own, each asking again as soon as it has its answer. One process; the job is JSON on
standard input, the result JSON on standard output. What the watched processes cost is read at the window's two ends, here, where
the window is known best."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httptools
import orjson
import uvloop

from bench.measure import cpu_seconds, machine_seconds, percentile, rss_mb, tree
from bench.upstream import WORD

PATIENCE = 20.0  # seconds after the window in which requests under way may end
TOKEN = WORD.strip().encode()


@dataclass
class Job:
    """One measurement. `ramp` seconds spread the connections' starts; what ends within `warm` seconds is not counted."""

    host: str
    port: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    concurrency: int
    seconds: float
    warm: float = 0.5
    ramp: float = 0.0
    tokens: int = 0  # an answer with fewer counts as an error
    abort: bool = False  # leave at the first token
    count: int = 0  # end after so many requests, however long it takes
    stats_port: int = 0  # the fake upstream, asked for its counters at the window's two ends
    watch: dict[str, list[int]] = field(default_factory=dict)  # name → processes, their descendants included

    def request(self) -> bytes:
        content = orjson.dumps(self.body)
        lines = {
            "Host": f"{self.host}:{self.port}",
            **self.headers,
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
        }
        return f"POST {self.path} HTTP/1.1\r\n".encode() + "".join(f"{k}: {v}\r\n" for k, v in lines.items()).encode() + b"\r\n" + content


class Exchange(asyncio.Protocol):
    """One connection, and the answer being read on it."""

    def __init__(self, abort: bool, began: Callable[[float], None]) -> None:
        self.abort = abort
        self.began = began  # told the seconds until the first token
        self.done: asyncio.Future[None] | None = None
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.open = True

    def ask(self, request: bytes) -> asyncio.Future[None]:
        self.parts: list[bytes] = []
        self.first = 0.0
        self.parser = httptools.HttpResponseParser(self)
        self.done = asyncio.get_running_loop().create_future()
        self.start = time.perf_counter()
        self.transport.write(request)
        return self.done

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_body(self, body: bytes) -> None:
        if not self.first and TOKEN in body:
            self.first = time.perf_counter()
            self.began(self.first - self.start)
            if self.abort:
                self._end()
        self.parts.append(body)

    def on_message_complete(self) -> None:
        self.status = self.parser.get_status_code()
        if not self.parser.should_keep_alive():
            self.open = False
        self._end()

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        self.status = 0
        self._end()

    def _end(self) -> None:
        if self.done and not self.done.done():
            self.done.set_result(None)


class Load:
    """Runs one job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.request = job.request()
        self.latencies: list[float] = []
        self.firsts: list[float] = []
        self.errors: dict[str, int] = {}
        self.begun = 0
        self.counting = self.stopping = False

    async def run(self) -> dict[str, Any]:
        users = [asyncio.create_task(self.user(number)) for number in range(self.job.concurrency)]
        if self.job.count:
            self.counting = True
            before, start = await self.look(), time.perf_counter()
            await asyncio.wait(users)
        else:
            await asyncio.sleep(self.job.ramp + self.job.warm)
            before, start = await self.look(), time.perf_counter()
            self.counting = True
            await asyncio.sleep(self.job.seconds)
            self.counting = False
        seconds = time.perf_counter() - start
        after = await self.look()
        memory = {name: rss_mb(tree(pids)) for name, pids in self.job.watch.items()}
        self.stopping = True
        _, late = await asyncio.wait(users, timeout=0 if self.job.ramp else PATIENCE)  # long streams are left, not waited for
        for user in late:
            user.cancel()
        return self.result(seconds, before, after) | {"rss_mb": memory, "late": len(late)}

    async def user(self, number: int) -> None:
        job = self.job
        if job.ramp:
            await asyncio.sleep(job.ramp * number / job.concurrency)
        exchange = Exchange(job.abort, self.note_first)
        while not self.stopping and not (job.count and self.begun >= job.count):
            self.begun += 1
            if not exchange.open:
                exchange = Exchange(job.abort, self.note_first)
                try:
                    await asyncio.get_running_loop().create_connection(lambda made=exchange: made, job.host, job.port)
                except OSError as error:
                    self.fail(type(error).__name__)
                    await asyncio.sleep(0.05)  # else a gateway that is away would be asked a million times
                    continue
            await exchange.ask(self.request)
            self.note(exchange, time.perf_counter() - exchange.start)
            if job.abort:
                exchange.transport.abort() if number % 2 else exchange.transport.close()  # RST and FIN in turns
                exchange.open = False
        if exchange.open:
            exchange.transport.close()

    def note_first(self, seconds: float) -> None:
        if self.counting:
            self.firsts.append(seconds)

    def note(self, exchange: Exchange, seconds: float) -> None:
        if not self.counting:
            return
        if self.job.abort:
            return self.latencies.append(seconds) if exchange.first else self.fail("no_token")
        body = b"".join(exchange.parts)
        if exchange.status != 200 or body.count(TOKEN) < self.job.tokens:
            return self.fail(str(exchange.status) if exchange.status != 200 else "incomplete")
        self.latencies.append(seconds)

    def fail(self, kind: str) -> None:
        if self.counting:
            self.errors[kind] = self.errors.get(kind, 0) + 1

    async def look(self) -> dict[str, Any]:
        cpu = {name: cpu_seconds(tree(pids)) for name, pids in self.job.watch.items()}
        machine = machine_seconds() - cpu_seconds([os.getpid()])
        return {"cpu": cpu, "machine": machine, "upstream": await stats(self.job.stats_port) if self.job.stats_port else {}}

    def result(self, seconds: float, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
        done = len(self.latencies)
        cpu = {name: after["cpu"][name] - before["cpu"][name] for name in after["cpu"]}
        return {
            "seconds": seconds,
            "requests": done,
            "errors": self.errors,
            "per_second": done / seconds,
            "p50_ms": percentile(self.latencies, 0.5) * 1000,
            "p99_ms": percentile(self.latencies, 0.99) * 1000,
            "ttft_p50_ms": percentile(self.firsts, 0.5) * 1000,
            "ttft_p99_ms": percentile(self.firsts, 0.99) * 1000,
            "chunks": after["upstream"].get("chunks", 0) - before["upstream"].get("chunks", 0),
            "cpu": cpu,
            "others": max(0.0, after["machine"] - before["machine"] - sum(cpu.values())) / seconds,
        }


async def stats(port: int) -> dict[str, int]:
    """The fake upstream's counters."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /stats HTTP/1.1\r\nhost: bench\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    content = orjson.loads(await reader.readexactly(length))
    writer.close()
    return content


def stats_now(port: int) -> dict[str, int]:
    """The same for callers without an event loop."""
    return asyncio.run(stats(port))


if __name__ == "__main__":
    result = uvloop.run(Load(Job(**orjson.loads(sys.stdin.buffer.read()))).run())
    sys.stdout.buffer.write(orjson.dumps(result))
