"""Test clocks: customers whose time stands still until it is moved."""

from __future__ import annotations

from billing.simulator.errors import ApiError
from billing.simulator.params import Params
from billing.simulator.routing import listing_of, retrieving, route
from billing.simulator.store import Object
from billing.simulator.subscriptions import delete_customer
from billing.simulator.timeline import pass_time
from billing.simulator.world import World, new_id

KIND = "test_helpers.test_clock"
retrieving("/v1/test_helpers/test_clocks", KIND)
listing_of("/v1/test_helpers/test_clocks", KIND)
LONGEST = 2 * 366 * 86_400  # seconds in one step


@route("POST", "/v1/test_helpers/test_clocks")
def create_clock(world: World, params: Params) -> Object:
    moment = params.integer("frozen_time")
    if moment is None:
        raise ApiError("Missing required param: frozen_time.", code="parameter_missing", param="frozen_time")
    made: Object = {
        "id": new_id("clock"),
        "object": KIND,
        "created": world.now(),
        "deletes_after": world.now() + 30 * 86_400,
        "frozen_time": moment,
        "livemode": False,
        "name": params.text("name"),
        "status": "ready",
        "status_details": {},
    }
    world.emit("test_helpers.test_clock.created", world.add(made))
    return made


@route("POST", "/v1/test_helpers/test_clocks/{id}/advance")
def advance_clock(world: World, params: Params, id: str) -> Object:
    clock, until = world.get(KIND, id), params.integer("frozen_time")
    if until is None or not clock["frozen_time"] < until <= clock["frozen_time"] + LONGEST:
        raise ApiError("frozen_time must be after the clock's time, by two years at most.", param="frozen_time")
    pass_time(world, until, id, lambda: None)
    world.get(KIND, id)["frozen_time"] = until
    world.emit("test_helpers.test_clock.ready", clock)
    return world.get(KIND, id)


@route("DELETE", "/v1/test_helpers/test_clocks/{id}")
def delete_clock(world: World, params: Params, id: str) -> Object:
    world.get(KIND, id)
    for customer in world.store.find("customer", test_clock=id):
        if not customer.get("_deleted"):
            delete_customer(world, params, customer["id"])
    world.store.remove(KIND, id)
    return {"id": id, "object": KIND, "deleted": True}
