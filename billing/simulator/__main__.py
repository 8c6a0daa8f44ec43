"""python -m billing.simulator --port 9001 --state FILE: runs until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path

from aiohttp import web

from billing.simulator.deliveries import Deliveries
from billing.simulator.errors import ApiError
from billing.simulator.events import add_endpoint
from billing.simulator.server import application
from billing.simulator.service import Service
from billing.simulator.store import Store
from billing.simulator.world import World

HOST = "127.0.0.1"  # never another: nothing here is protected


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m billing.simulator", description="A fake Stripe for development. Moves no money.")
    parser.add_argument("--port", type=int, default=9001, help="0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="the SQLite file that holds everything; made if it is missing")
    parser.add_argument("--webhook", default="", help="send all events to this address")
    parser.add_argument("--webhook-secret", default="", help="of every endpoint; default: STRIPE_WEBHOOK_SECRET, else a new one for each")
    parser.add_argument("--return-origin", default="", help="the only origin that pages lead back to; default: any")
    parser.add_argument("--retry-seconds", type=float, default=2.0, help="before a webhook's first repetition; doubles each time")
    parser.add_argument("--child", action="store_true", help="end when stdin closes")
    return parser.parse_args()


def die_with_parent() -> None:
    """The system closes our stdin even when the parent is killed."""
    while os.read(0, 1):  # not sys.stdin: its lock, held by a thread, would break the exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)


async def run(given: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError where the port is taken."""
    given.state.parent.mkdir(parents=True, exist_ok=True)
    secret = given.webhook_secret or os.environ.get("STRIPE_WEBHOOK_SECRET", "")
    world = World(Store(given.state), f"http://{HOST}:{given.port}", secret, given.return_origin.rstrip("/"))
    if given.webhook and not world.store.find("webhook_endpoint", url=given.webhook):
        add_endpoint(world, given.webhook, secret or "whsec_simulated", ["*"])
        world.store.commit()
    runner = web.AppRunner(application(Service(world, Deliveries(world, given.retry_seconds))), access_log=None, shutdown_timeout=2)
    await runner.setup()
    site = web.TCPSite(runner, HOST, given.port)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # before it says that it listens: whoever reads that may stop it at once
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        await site.start()
        port = runner.addresses[0][1]
        world.origin = f"http://{HOST}:{port}"
        print(f"The payment simulator listens on {world.origin} - no real money", flush=True)
        await stopped.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    given = arguments()
    if given.child:
        threading.Thread(target=die_with_parent, daemon=True).start()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(run(given))
    except (OSError, ApiError) as error:
        where = sys.stdout if given.child else sys.stderr  # a parent reads one line: where it listens, or why not
        print(f"simulator: {error}", file=where)
        sys.exit(1)


if __name__ == "__main__":
    main()
