"""The running simulator: the world, its deliveries and its ticking clock, and the one place where a transaction is kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, ClassVar

from aiohttp import web

from billing.simulator.deliveries import Deliveries
from billing.simulator.errors import ApiError
from billing.simulator.timeline import pass_time
from billing.simulator.world import SETTINGS, World, no_request

log = logging.getLogger(__name__)
TICK_SECONDS = 1.0
LONGEST_MOVE = 2 * 366 * 86_400  # seconds


class Service:
    """What the HTTP handlers share."""

    KEY: ClassVar[web.AppKey[Service]]

    def __init__(self, world: World, deliveries: Deliveries) -> None:
        self.world, self.deliveries = world, deliveries

    def keep(self) -> None:
        """Commit, and hand the new events over to be sent."""
        self.deliveries.accept([made for made in self.world.store.commit() if made.get("object") == "event"])

    def move(self, seconds: int) -> int:
        """Move the common clock forward through all that falls due. Returns the new time. Raises ApiError."""
        if not 0 <= seconds <= LONGEST_MOVE:
            raise ApiError("The clock moves forward only, by two years at most.", param="seconds")
        until = self.world.now() + seconds
        self._pass(until)
        self.world.settings["offset"] += seconds
        self.keep()
        return self.world.now()

    def next_fault(self) -> dict[str, Any] | None:
        """The fault that this call of the API meets, if one was asked for."""
        if not (self.world.store.peek("_settings", "settings") or SETTINGS)["faults"]:
            return None
        fault: dict[str, Any] = self.world.settings["faults"].pop(0)
        self.world.store.commit()
        return fault

    def expired_keys(self) -> list[str]:
        """The keys that are taken no longer."""
        return list((self.world.store.peek("_settings", "settings") or SETTINGS).get("expired_keys", ()))

    async def tick(self) -> None:
        """Let time pass as it does on the wall."""
        while True:
            try:
                self._pass(self.world.now())
            except Exception:  # an error of ours must not stop the clock; it is seen in the log every second
                log.exception("What is due cannot be done")
            await asyncio.sleep(TICK_SECONDS)

    def _pass(self, until: int) -> None:
        self.world.request = no_request()
        try:
            pass_time(self.world, until, None, self.keep)
        except BaseException:
            self.world.store.rollback()
            raise

    async def lifetime(self, app: web.Application) -> Any:
        """aiohttp's cleanup context: deliveries and clock run as long as the server."""
        await self.deliveries.start()
        ticking = asyncio.ensure_future(self.tick())
        yield
        ticking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticking
        await self.deliveries.stop()


Service.KEY = web.AppKey("service", Service)
