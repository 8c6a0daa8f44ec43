"""The table of the API's routes, and what lists and answers have in common."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from billing.simulator.errors import ApiError, missing
from billing.simulator.params import Params
from billing.simulator.store import Object
from billing.simulator.world import World, listing

Handler = Callable[..., Object]
ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Serve `path` with a handler(world, params, **names in braces)."""

    def add(handler: Handler) -> Handler:
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))
        ROUTES.insert(len(ROUTES) if "{" in path else 0, (method, pattern, handler))  # /invoices/create_preview is no invoice's id
        return handler

    return add


def find(method: str, path: str) -> tuple[Handler, dict[str, str]]:
    """The handler of a request, and the names in its path. Raises ApiError for what Stripe, or the simulator, does not know."""
    for known, pattern, handler in ROUTES:
        if known == method and (found := pattern.fullmatch(path)):
            return handler, found.groupdict()
    raise ApiError(f"Unrecognized request URL ({method}: {path}). The payment simulator knows what TriForce uses of Stripe.", status=404)


def page(params: Params, rows: list[Object], url: str) -> Object:
    """One page of `rows` (oldest first) as Stripe lists them: newest first, from `starting_after`, at most `limit`."""
    limit = params.integer("limit", 10) or 0
    if not 1 <= limit <= 100:
        raise ApiError("Invalid integer: limit must be from 1 to 100", param="limit")
    rows = [row for row in reversed(rows) if _in_range(params.nested("created"), row["created"])] if "created" in params else rows[::-1]
    after, before = params.text("starting_after"), params.text("ending_before")
    places = {row["id"]: place for place, row in enumerate(rows)}
    for name, id in (("starting_after", after), ("ending_before", before)):
        if id and id not in places:
            raise missing("object", id, name)
    if before:
        rows = rows[: places[before]]
        return {**listing(rows[-limit:], url), "has_more": len(rows) > limit}
    rows = rows[places[after] + 1 :] if after else rows
    return {**listing(rows[:limit], url), "has_more": len(rows) > limit}


def _in_range(created: Params, time: int) -> bool:
    after, at_least = created.integer("gt"), created.integer("gte")
    before, at_most = created.integer("lt"), created.integer("lte")
    return not (
        (after is not None and time <= after)
        or (at_least is not None and time < at_least)
        or (before is not None and time >= before)
        or (at_most is not None and time > at_most)
    )


def retrieving(path: str, kind: str) -> None:
    """GET `path`/{id}."""

    @route("GET", f"{path}/{{id}}")
    def retrieve(world: World, params: Params, id: str) -> Object:
        return world.get(kind, id)


def listing_of(path: str, kind: str, *filters: str) -> None:
    """GET `path`, narrowed by these fields."""

    @route("GET", path)
    def list_all(world: World, params: Params) -> Object:
        wanted: dict[str, Any] = {name: _value(value) for name in filters if (value := params.text(name)) is not None}
        return page(params, world.store.where(kind, **wanted), path)


def _value(text: str) -> str | bool:
    return text == "true" if text in ("true", "false") else text
