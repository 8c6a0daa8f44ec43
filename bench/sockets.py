"""`python -m bench.sockets`: 500 open sockets on one process, 50 of them streaming 20 tokens a second.

Memory a socket, how late tokens come, and what long answers leave in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
import uuid
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect

from bench import database
from bench.gateways import TriForce, fake_upstream
from bench.measure import cpu_seconds, percentile, rss_mb, tree
from bench.run import layout

MODEL = "bench-100-50"  # 100 tokens, one every 50 ms
PACE = 0.05
LONG = "bench-1000-10"  # 1,000 tokens, as long as answers of people's are
FORGOTTEN = 3  # seconds after which an answer that is saved has left the memory
HANDSHAKES = 25  # at once


@dataclass
class Seen:
    """What the streaming sockets saw, in seconds."""

    first: list[float] = field(default_factory=list)  # from asking to the first token
    late: list[float] = field(default_factory=list)  # each token behind its own stream's pace
    ended: int = 0


async def opened(url: str, headers: dict[str, str], count: int, stack: contextlib.AsyncExitStack) -> list[ClientConnection]:
    turnstile = asyncio.Semaphore(HANDSHAKES)

    async def one() -> ClientConnection:
        async with turnstile:
            line = await connect(url, additional_headers=headers, compression=None, max_size=None)
            await line.recv()  # ready
            return line

    lines = await asyncio.gather(*(one() for _ in range(count)))
    for line in lines:
        stack.push_async_callback(line.close)
    return lines


async def stream(line: ClientConnection, seen: Seen, model: str = MODEL) -> None:
    asked = time.perf_counter()
    await line.send(json.dumps({"type": "chat", "id": str(uuid.uuid4()), "message": "Go", "model": f"openai/{model}", "temporary": False}))
    began, count = 0.0, 0
    async for raw in line:
        now, frame = time.perf_counter(), json.loads(raw)
        if frame["type"] == "delta":
            if not count:
                began = now
                seen.first.append(now - asked)
            seen.late.append(max(0.0, now - began - count * PACE))
            count += 1
        elif frame["type"] in ("done", "error"):
            seen.ended += frame["type"] == "done"
            return


async def measured(gateway: TriForce, idle: int, streaming: int, long: int) -> str:
    url, pids = f"ws://127.0.0.1:{gateway.port}/ws/chat/", tree(gateway.pids())
    async with contextlib.AsyncExitStack() as stack:
        await opened(url, gateway.headers, 20, stack)  # what the first few cost is the process's, not theirs
        before = rss_mb(pids)
        lines = await opened(url, gateway.headers, idle + streaming, stack)
        await asyncio.sleep(2)
        full = rss_mb(pids)
        cpu, at = cpu_seconds(pids), time.perf_counter()
        await asyncio.sleep(5)
        resting = (cpu_seconds(pids) - cpu) / (time.perf_counter() - at)
        seen = Seen()
        cpu, at = cpu_seconds(pids), time.perf_counter()
        await asyncio.gather(*(stream(line, seen) for line in lines[:streaming]))
        busy = (cpu_seconds(pids) - cpu) / (time.perf_counter() - at)
        after = rss_mb(pids)
        answers = Seen()
        await asyncio.gather(*(stream(line, answers, LONG) for line in lines[:long]))
        await asyncio.sleep(FORGOTTEN)
        left = 1000 * (rss_mb(pids) - after) / long
    kilobytes = 1000 * (full - before) / (idle + streaming)
    return "\n".join(
        (
            f"{idle + streaming} sockets: {kilobytes:.0f} kB each ({before:.0f} → {full:.0f} MB), at rest {100 * resting:.1f} % of a core",
            f"{streaming} streaming, {seen.ended} ended well, {len(seen.late)} tokens: {100 * busy:.1f} % of a core, {after:.0f} MB",
            f"first token after {_ms(seen.first, 0.5)} / {_ms(seen.first, 0.99)} ms (p50 / p99)",
            f"{answers.ended} long answers ended well, {len(answers.late)} tokens; each left {left:.0f} kB in memory",
            f"tokens late by {_ms(seen.late, 0.5)} / {_ms(seen.late, 0.99)} ms (p50 / p99)",
        )
    )


def _ms(values: list[float], share: float) -> str:
    return f"{1000 * percentile(values, share):.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.sockets", description=__doc__)
    parser.add_argument("--idle", type=int, default=450)
    parser.add_argument("--streaming", type=int, default=50)
    parser.add_argument("--long", type=int, default=40, help="answers of 1,000 tokens")
    parser.add_argument("--database-url", default=os.environ.get("DATABASE_URL", ""), help="a PostgreSQL server; default: SQLite")
    chosen = parser.parse_args()
    own, others = layout()
    os.sched_setaffinity(0, others)
    url = database.own_url(chosen.database_url) if chosen.database_url else ""
    with fake_upstream(others) as (upstream, _process):
        gateway = TriForce("TriForce", own, upstream, database_url=url)
        try:
            gateway.install()
            gateway.start()
            print(asyncio.run(measured(gateway, chosen.idle, chosen.streaming, chosen.long)))
        finally:
            gateway.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
