"""The simulator's own API below /simulator/: the clock, faults, webhooks and what a bank or an operator does. None of it is Stripe's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from billing.simulator.api import FAULTS
from billing.simulator.cards import FAILURES
from billing.simulator.deliveries import MODES
from billing.simulator.errors import ApiError
from billing.simulator.events import add_endpoint
from billing.simulator.money import after
from billing.simulator.refunds import close_dispute, dispute, refund
from billing.simulator.service import Service
from billing.simulator.store import Object

OUTCOMES = ("succeeded", *FAILURES, "authentication_required")
DUNNING = ("cancel", "unpaid", "past_due")
DAY = 86_400


def clock(service: Service, given: Object) -> Object:
    """{seconds, days, months, to: Unix time, past_period_end: true or a subscription's id}: how far to go."""
    now = service.world.now()
    until = after(now, "month", 1, int(given.get("months") or 0)) + int(given.get("days") or 0) * DAY + int(given.get("seconds") or 0)
    if given.get("to"):
        until = int(given["to"])
    if chosen := given.get("past_period_end"):
        rows = [row for row in service.world.store.all("subscription") if row["ended_at"] is None and chosen in (True, "true", row["id"])]
        if not rows:
            raise ApiError("There is no such subscription whose period could end.", param="past_period_end")
        until = min(item["current_period_end"] for row in rows for item in row["items"]["data"]) + 2 * 3600  # its invoice is paid after one
    return {"now": service.move(until - now)}


def faults(service: Service, given: Object) -> Object:
    """{kind, count = 1, seconds = 60 (of a timeout)}: the next calls of the API fail so. reset_after: done, but the answer is lost."""
    kind = _one_of(given, "kind", FAULTS)
    service.world.settings["faults"] += [{"kind": kind, "seconds": float(given.get("seconds") or 60)}] * int(given.get("count") or 1)
    return {"faults": service.world.settings["faults"]}


def charges(service: Service, given: Object) -> Object:
    """{outcomes: […]}: how the next charges without the customer end, one by one."""
    outcomes = given.get("outcomes") or [given.get("outcome")]
    for outcome in outcomes:
        _one_of({"outcome": outcome}, "outcome", OUTCOMES)
    service.world.settings["charges"] = list(outcomes)
    return {"outcomes": outcomes}


def dunning(service: Service, given: Object) -> Object:
    """{ends}: what becomes of a subscription when the last retry has failed."""
    service.world.settings["dunning_ends"] = _one_of(given, "ends", DUNNING)
    return {"ends": service.world.settings["dunning_ends"]}


def mode(service: Service, given: Object) -> Object:
    """{mode, delay in seconds}: how webhooks are delivered from now on. What was held stays held until it is sent."""
    service.world.settings["mode"] = _one_of(given, "mode", MODES)
    service.world.settings["delay"] = float(given.get("delay") or 0)
    return {"mode": service.world.settings["mode"]}


def release(service: Service, given: Object) -> Object:
    """Go back to mode normal and send what is held, or {ids}: these deliveries in this order; {concurrent}: all at once."""
    held = [row["id"] for row in service.world.store.all("_delivery") if row["state"] == "held"]
    ids = given.get("ids")
    if ids is None:
        service.world.settings["mode"] = "normal"
    service.keep()
    service.deliveries.resend(held if ids is None else list(ids), concurrent=given.get("concurrent") in (True, "true", "on"))
    return {"sent": held if ids is None else ids}


def webhook(service: Service, given: Object) -> Object:
    """{url, secret, events = ["*"]}: an endpoint whose secret is known beforehand."""
    for row in service.world.store.find("webhook_endpoint", url=given.get("url")):
        service.world.store.remove("webhook_endpoint", row["id"])
    return add_endpoint(
        service.world, str(given.get("url")), given.get("secret") or service.world.webhook_secret, given.get("events") or ["*"]
    )


def keys(service: Service, given: Object) -> Object:
    """{expired: […]}: keys that were rolled; the API takes them no longer."""
    service.world.settings["expired_keys"] = [str(key) for key in given.get("expired") or ()]
    return {"expired": service.world.settings["expired_keys"]}


def refund_charge(service: Service, given: Object) -> Object:
    """{charge, amount in cents}; an amount that is missing is the whole."""
    found = service.world.get("charge", str(given.get("charge")), "charge")
    return refund(service.world, found, int(given["amount"]) if given.get("amount") else None, "requested_by_customer")


def dispute_charge(service: Service, given: Object) -> Object:
    """{charge, reason}; {dispute, status: won or lost} closes one."""
    if id := given.get("dispute"):
        return close_dispute(service.world, service.world.get("dispute", id, "dispute"), _one_of(given, "status", ("won", "lost")))
    return dispute(service.world, service.world.get("charge", str(given.get("charge")), "charge"), given.get("reason") or "fraudulent")


ACTIONS: dict[str, Callable[[Service, Object], Object]] = {
    "clock": clock,
    "faults": faults,
    "charges": charges,
    "dunning": dunning,
    "mode": mode,
    "release": release,
    "webhook": webhook,
    "keys": keys,
    "refund": refund_charge,
    "dispute": dispute_charge,
}


async def act(request: web.Request) -> web.StreamResponse:
    """POST /simulator/{action}: JSON in and out; a form of the page is led back to the page."""
    service, is_form = request.app[Service.KEY], request.content_type == "application/x-www-form-urlencoded"
    action = ACTIONS.get(request.match_info["action"])
    if action is None:
        return web.json_response({"error": f"The simulator knows these actions: {', '.join(ACTIONS)}."}, status=404)
    try:
        given: Any = dict(await request.post()) if is_form else await request.json()
        if not isinstance(given, dict):
            raise ValueError("it is no JSON object")
        answer = action(service, given)
        service.keep()
    except (ApiError, ValueError, TypeError, KeyError) as error:
        service.world.store.rollback()
        body = error.body() if isinstance(error, ApiError) else {"error": {"message": f"The request cannot be read: {error}"}}
        return web.json_response(body, status=400)
    if is_form:
        raise web.HTTPSeeOther("/simulator")
    return web.json_response(answer, dumps=lambda value: json.dumps(value, default=str))


async def settle(request: web.Request) -> web.Response:
    """POST /simulator/settle {seconds = 10}: answers when nothing waits to be delivered any more."""
    given = await request.json()
    return web.json_response({"settled": await request.app[Service.KEY].deliveries.settled(float(given.get("seconds") or 10))})


async def deliveries(request: web.Request) -> web.Response:
    """GET /simulator/deliveries?state=: every delivery with its attempts and the answers, oldest first."""
    state = request.query.get("state")
    rows = request.app[Service.KEY].world.store.all("_delivery")
    return web.json_response([row for row in rows if state in (None, row["state"])])


async def state(request: web.Request) -> web.Response:
    """GET /simulator/state: the clock and what is set."""
    world = request.app[Service.KEY].world
    return web.json_response({"now": world.now(), **(world.store.peek("_settings", "settings") or {})})


def _one_of(given: Object, name: str, choices: tuple[str, ...]) -> str:
    if given.get(name) not in choices:
        raise ApiError(f"{name} must be one of {', '.join(choices)}, not {given.get(name)!r}.", param=name)
    return str(given[name])
