"""Events, and the webhook endpoints that they are sent to. Also the account."""

from __future__ import annotations

import fnmatch

from billing.simulator.errors import ApiError
from billing.simulator.params import Params
from billing.simulator.routing import listing_of, page, retrieving, route
from billing.simulator.store import Object
from billing.simulator.world import API_VERSION, World, new_id

retrieving("/v1/events", "event")
retrieving("/v1/webhook_endpoints", "webhook_endpoint")
listing_of("/v1/webhook_endpoints", "webhook_endpoint")


@route("GET", "/v1/account")
@route("GET", "/v1/accounts/{id}")
def retrieve_account(world: World, params: Params, id: str = "") -> Object:
    return world.get("account", id or world.account["id"])


@route("GET", "/v1/events")
def list_events(world: World, params: Params) -> Object:
    wanted = [kind for kind in [params.text("type"), *params.texts("types")] if kind]
    params.skip("delivery_success")
    rows = world.store.where("event")
    return page(params, [row for row in rows if not wanted or any(fnmatch.fnmatch(row["type"], kind) for kind in wanted)], "/v1/events")


@route("POST", "/v1/webhook_endpoints")
def create_endpoint(world: World, params: Params) -> Object:
    made = add_endpoint(world, params.required("url"), world.webhook_secret or new_id("whsec", 32), params.texts("enabled_events"))
    made["description"], made["metadata"] = params.text("description"), params.metadata()
    params.skip("connect", "api_version")
    return {**made, "secret": made["_secret"]}


@route("POST", "/v1/webhook_endpoints/{id}")
def update_endpoint(world: World, params: Params, id: str) -> Object:
    found = world.get("webhook_endpoint", id)
    if url := params.text("url"):
        found["url"] = _checked(url)
    if events := params.texts("enabled_events"):
        found["enabled_events"] = events
    if "description" in params:
        found["description"] = params.text("description")
    if "disabled" in params:
        found["status"] = "disabled" if params.boolean("disabled") else "enabled"
    found["metadata"] = params.metadata(found["metadata"])
    return found


@route("DELETE", "/v1/webhook_endpoints/{id}")
def delete_endpoint(world: World, params: Params, id: str) -> Object:
    world.get("webhook_endpoint", id)
    world.store.remove("webhook_endpoint", id)
    return {"id": id, "object": "webhook_endpoint", "deleted": True}


def add_endpoint(world: World, url: str, secret: str, events: list[str]) -> Object:
    """Send these types of events, "*" for all, to `url`. Raises ApiError."""
    if not events:
        raise ApiError("Missing required param: enabled_events.", code="parameter_missing", param="enabled_events")
    return world.add(
        {
            "id": new_id("we"),
            "object": "webhook_endpoint",
            "api_version": API_VERSION,
            "application": None,
            "created": world.now(),
            "description": None,
            "enabled_events": events,
            "livemode": False,
            "metadata": {},
            "status": "enabled",
            "url": _checked(url),
            "_secret": secret,
        }
    )


def _checked(url: str) -> str:
    if not url.startswith(("http://127.0.0.1", "http://localhost", "http://[::1]")):
        raise ApiError("The simulator sends webhooks to this machine only: the URL must be on 127.0.0.1.", code="url_invalid", param="url")
    return url


def endpoints_for(world: World, event: Object) -> list[Object]:
    """The enabled endpoints that want this event, only to be read."""
    rows = [row for row in world.store.all("webhook_endpoint") if row["status"] == "enabled"]
    return [row for row in rows if "*" in row["enabled_events"] or event["type"] in row["enabled_events"]]
