"""The HTTP API as Stripe's SDK speaks it: key, idempotency, faults on demand, one transaction a request."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from billing.simulator import (  # noqa: F401  each adds its routes
    checkout,
    clocks,
    customers,
    events,
    invoices,
    portal,
    previews,
    refunds,
    schedules,
    subscriptions,
)
from billing.simulator.errors import ApiError
from billing.simulator.expand import expanded
from billing.simulator.params import Params, parse
from billing.simulator.routing import find
from billing.simulator.service import Service
from billing.simulator.store import Object
from billing.simulator.world import API_VERSION, World, new_id

KEY = re.compile(r"(sk|rk)_test_[a-zA-Z0-9]{24,}")
FAULTS = ("500", "429", "timeout", "reset", "reset_after")
INDENT = 2


def check_key(request: web.Request, expired: Collection[str] = ()) -> None:
    """Raises ApiError 401 unless the request carries a secret key of test mode that has not expired."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        given = base64.b64decode(given + "==").decode("latin-1").partition(":")[0]
    if not given:
        raise ApiError(
            "You did not provide an API key: send it as a bearer token, like 'Authorization: Bearer YOUR_SECRET_KEY'.", status=401
        )
    if given.startswith(("sk_live_", "rk_live_")):
        raise ApiError(
            "This is the payment simulator: it never takes a live key. Use one that starts with sk_test_.",
            status=401,
            code="api_key_live_mode",
        )
    if not KEY.fullmatch(given):
        raise ApiError(f"Invalid API Key provided: {given[:8]}***. It has the form sk_test_ and 24 or more letters and digits.", status=401)
    if given in expired:
        raise ApiError(f"Expired API Key provided: {given[:8]}***", status=401, code="api_key_expired")


async def handle(request: web.Request) -> web.StreamResponse:
    """Answer one call of the API."""
    service = request.app[Service.KEY]
    request_id = new_id("req", 14)
    fault = service.next_fault()
    try:
        check_key(request, service.expired_keys())
        if fault and fault["kind"] != "reset_after":
            return await _fault(request, fault, request_id)
        pairs = parse_qsl(request.query_string, keep_blank_values=True) + parse_qsl(await request.text(), keep_blank_values=True)
        status, body, replayed = _answer(service, request, pairs, request_id)
        if fault:
            return _hang_up(request)
    except ApiError as error:
        status, body, replayed = error.status, error.body(), False
    return _respond(request, status, body, request_id, replayed)


def _answer(service: Service, request: web.Request, pairs: list[tuple[str, str]], request_id: str) -> tuple[int, Object, bool]:
    world = service.world
    key = request.headers.get("Idempotency-Key", "") if request.method == "POST" else ""
    print_ = hashlib.sha256(json.dumps([request.path, sorted(pairs)]).encode()).hexdigest()
    if key and (known := world.store.peek("_idempotency", key)):
        if known["print"] != print_:
            raise ApiError(
                f"The idempotency key '{key}' was first used with other parameters, or another path. Take a new key for a new request.",
                kind="idempotency_error",
            )
        return known["status"], known["body"], True
    world.request = {"id": request_id, "idempotency_key": key or None}
    status, body, keeps = 200, {}, True
    try:
        body = call(world, request.method, request.path, pairs)
    except ApiError as error:
        status, body, keeps = error.status, error.body(), error.keeps
    except BaseException:
        world.store.rollback()
        raise
    if not keeps:
        world.store.rollback()
    if key and status in (200, 402):  # what was refused before anything was done may be tried again with the key
        world.store.add("_idempotency", {"id": key, "print": print_, "status": status, "body": body})
    service.keep()
    return status, body, False


def call(world: World, method: str, path: str, pairs: list[tuple[str, str]]) -> Object:
    """What the API answers, uncommitted. Raises ApiError."""
    handler, names = find(method, path)
    params = Params(parse(pairs))
    paths = params.texts("expand")
    answer = expanded(world, handler(world, params, **names), paths)
    if unknown := params.unknown():
        raise ApiError(
            f"Received unknown parameter: {unknown[0]}. The payment simulator knows no such parameter here.",
            code="parameter_unknown",
            param=unknown[0],
        )
    return answer


async def _fault(request: web.Request, fault: dict[str, Any], request_id: str) -> web.StreamResponse:
    if fault["kind"] == "500":
        error = ApiError("A fault that was asked for: an error at Stripe's end.", status=500, kind="api_error")
    elif fault["kind"] == "429":
        error = ApiError("A fault that was asked for: too many requests.", status=429, code="rate_limit")
    else:
        if fault["kind"] == "timeout":
            await asyncio.sleep(float(fault["seconds"]))
        return _hang_up(request)
    return _respond(request, error.status, error.body(), request_id, False)


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport:
        request.transport.abort()
    return web.Response(status=500)


def _respond(request: web.Request, status: int, body: Object, request_id: str, replayed: bool) -> web.Response:
    headers = {
        "request-id": request_id,
        "Stripe-Version": request.headers.get("Stripe-Version", API_VERSION),
        "X-Simulator": "no real money",
    }
    if key := request.headers.get("Idempotency-Key"):
        headers["Idempotency-Key"] = key
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return web.json_response(body, status=status, headers=headers, dumps=lambda value: json.dumps(value, indent=INDENT))
