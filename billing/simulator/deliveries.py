"""Sending events to the webhook endpoints: signed, at least once, with retries, and as unruly as is asked for."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import time
from collections import deque
from collections.abc import Coroutine
from typing import Any

import aiohttp

from billing.simulator.events import endpoints_for
from billing.simulator.store import Object
from billing.simulator.world import World, new_id, render

MODES = ("normal", "hold", "drop", "duplicate", "reorder", "delay", "concurrent")
TRIES = 8
REORDER_SECONDS = 0.2  # what comes within it is shuffled
ANSWER_SECONDS = 20.0
WAITING = ("queued", "sending", "retrying")


def signature(body: str, secret: str, moment: int) -> str:
    """The Stripe-Signature header: HMAC-SHA256 over time and body."""
    digest = hmac.new(secret.encode(), f"{moment}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


class Deliveries:
    """One delivery an event and endpoint, kept as rows of the kind _delivery. Times are the wall's: signatures expire by it."""

    def __init__(self, world: World, retry_seconds: float = 2.0, seed: int = 1) -> None:
        self.world, self.retry_seconds = world, retry_seconds
        self.random = random.Random(seed)
        self.queue: deque[str] = deque()  # ids, sent one after the other
        self.tasks: set[asyncio.Task[None]] = set()
        self.news = asyncio.Event()

    async def start(self) -> None:
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS))
        self.queue.extend(row["id"] for row in self.world.store.all("_delivery") if row["state"] in WAITING)
        self._spawn(self._run())

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.http.close()

    def accept(self, events: list[Object]) -> None:
        """Take over events that have just been kept."""
        mode, delay = self.world.settings["mode"], float(self.world.settings["delay"])
        batch: list[str] = []
        for event in events:
            for endpoint in endpoints_for(self.world, event):
                state = {"hold": "held", "drop": "dropped"}.get(mode, "queued")
                made = {"id": new_id("dl"), "event": event["id"], "type": event["type"], "endpoint": endpoint["id"], "url": endpoint["url"]}
                self.world.store.add("_delivery", {**made, "state": state, "attempts": []})
                batch += [made["id"]] * ((2 if mode == "duplicate" else 1) if state == "queued" else 0)
        self.world.store.commit()
        if mode == "reorder" and batch:
            self._spawn(self._later(REORDER_SECONDS, batch, shuffled=True))
        elif mode == "delay" and batch:
            self._spawn(self._later(delay, batch))
        elif mode == "concurrent":
            for id in batch:
                self._spawn(self._send(id))
        else:
            self._enqueue(batch)

    def resend(self, ids: list[str], concurrent: bool = False) -> None:
        """Send these deliveries (again), in this order or all at once. An id may stand there twice."""
        for id in ids:
            row = self.world.store.get("_delivery", id)
            if row:
                row["state"] = "queued"
        self.world.store.commit()
        if concurrent:
            for id in ids:
                self._spawn(self._send(id))
        else:
            self._enqueue(ids)

    async def settled(self, seconds: float) -> bool:
        """Wait until nothing waits to be sent. False where that takes too long."""
        end = time.monotonic() + seconds
        while self.queue or any(row["state"] in WAITING for row in self.world.store.all("_delivery")):
            if time.monotonic() > end:
                return False
            await asyncio.sleep(0.01)
        return True

    def _enqueue(self, ids: list[str]) -> None:
        self.queue.extend(ids)
        self.news.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _run(self) -> None:
        while True:
            while self.queue:
                await self._send(self.queue[0])
                self.queue.popleft()
            self.news.clear()
            await self.news.wait()

    async def _later(self, seconds: float, ids: list[str], shuffled: bool = False) -> None:
        await asyncio.sleep(seconds)
        if shuffled:
            self.random.shuffle(ids)
        self._enqueue(ids)

    async def _retry(self, id: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._enqueue([id])

    async def _send(self, id: str) -> None:
        row = self.world.store.peek("_delivery", id)
        event = self.world.store.peek("event", row["event"]) if row else None
        endpoint = self.world.store.peek("webhook_endpoint", row["endpoint"]) if row else None
        if not row or not event or not endpoint:
            self._note(id, "failed", {"error": "The endpoint is gone."})
            return
        body, moment = json.dumps(render(event), indent=2), int(time.time())
        attempt: Object
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Stripe/1.0 (TriForce payment simulator)"}
        headers["Stripe-Signature"] = signature(body, endpoint["_secret"], moment)
        try:
            async with self.http.post(row["url"], data=body.encode(), headers=headers, allow_redirects=False) as answer:
                text = (await answer.text(errors="replace"))[:500]
                attempt = {"at": moment, "status": answer.status, "body": text}
        except (aiohttp.ClientError, TimeoutError) as error:
            attempt = {"at": moment, "status": None, "error": f"{type(error).__name__}: {error}"}
        if 200 <= (attempt["status"] or 0) < 300:
            self._note(id, "delivered", attempt)
            return
        tries = len(row["attempts"]) + 1
        if tries >= TRIES:
            self._note(id, "failed", attempt)
            return
        self._note(id, "retrying", attempt)
        self._spawn(self._retry(id, self.retry_seconds * 2 ** (tries - 1)))

    def _note(self, id: str, state: str, attempt: Object) -> None:
        row = self.world.store.get("_delivery", id)
        if row is None:
            return
        row["attempts"].append(attempt)
        row["state"] = state
        event = self.world.store.get("event", row["event"])
        if event and state == "delivered":
            event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)
        self.world.store.commit()
