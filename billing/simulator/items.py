"""A subscription's items, and what changing them costs."""

from __future__ import annotations

from billing.simulator.catalogue import recurring_price
from billing.simulator.errors import ApiError
from billing.simulator.invoices import make
from billing.simulator.lines import Period, net_of_percent, pend, remaining, unused, whole
from billing.simulator.money import period_end
from billing.simulator.params import Params
from billing.simulator.routing import page, route
from billing.simulator.store import Object
from billing.simulator.world import World, new_id, render

PRORATIONS = ("create_prorations", "always_invoice", "none")


def described(world: World, params: Params) -> Object:
    """An entry of items[] that names a price: {price, quantity, metadata}. Raises ApiError."""
    price = recurring_price(world, params.required("price"), params.full("price"))
    quantity = params.integer("quantity", 1)
    if not quantity or not 1 <= quantity <= 1_000_000:
        raise ApiError("Invalid integer: quantity must be 1 or more.", param=params.full("quantity"))
    return {"price": render(price), "quantity": quantity, "metadata": params.metadata()}


def ends_at(subscription: Object) -> int:
    """When the period that runs is over: of several items the first one's."""
    return min(item["current_period_end"] for item in subscription["items"]["data"])


def period_from(subscription: Object, price: Object, start: int, trial_end: int | None = None) -> Period:
    """The period of an item with this price that begins now: until the trial's end, or the anchor's next turn."""
    if trial_end:
        return start, trial_end
    recurring = price["recurring"]
    return start, period_end(subscription["billing_cycle_anchor"], recurring["interval"], recurring["interval_count"], start)


def item_of(subscription: Object, wanted: Object, period: Period) -> Object:
    """A new item; `wanted` is {price, quantity, metadata}."""
    return {
        "id": new_id("si", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": period[0],
        "current_period_end": period[1],
        "current_period_start": period[0],
        "discounts": [],
        "metadata": wanted["metadata"],
        "plan": plan_of(wanted["price"]),
        "price": wanted["price"],
        "quantity": wanted["quantity"],
        "subscription": subscription["id"],
        "tax_rates": [],
    }


def plan_of(price: Object) -> Object:
    """The same price in the shape that came before prices."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": "per_unit",
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def put(subscription: Object, wanted: list[Object], moment: int) -> list[tuple[Object | None, Object | None]]:
    """Change the items as wanted, whose id says which. Returns (old, new) of each that has changed."""
    rows = subscription["items"]["data"]
    pairs: list[tuple[Object | None, Object | None]] = []
    for entry in wanted:
        old = next((row for row in rows if row["id"] == entry.get("id")), None)
        if entry.get("deleted") and old:
            rows.remove(old)
            pairs.append((old, None))
            continue
        price = entry["price"]
        if old is None:
            new = item_of(subscription, entry, (moment, period_from(subscription, price, moment)[1]))
            rows.append(new)
        else:
            new = {**old, "price": price, "plan": plan_of(price), "quantity": entry["quantity"], "metadata": entry["metadata"]}
            rows[rows.index(old)] = new
        pairs.append((old, new))
    if not rows:
        raise ApiError("A subscription must have at least one active item: cancel it instead.", param="items")
    subscription["items"]["total_count"] = len(rows)
    return [(old, new) for old, new in pairs if old is None or new is None or _differ(old, new)]


def _differ(old: Object, new: Object) -> bool:
    return (old["price"]["id"], old["quantity"]) != (new["price"]["id"], new["quantity"])


def cycle(item: Object) -> tuple[str, int]:
    recurring = item["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def change(
    world: World, subscription: Object, wanted: list[Object], *, proration: str, moment: int | None = None, reset: bool = False
) -> Object | None:
    """Change the items now. Another interval, or `reset`, begins a new period at once.

    `proration` create_prorations leaves credit and charge for the next invoice, always_invoice makes it now, none forgives both.
    Returns a draft that has to be collected, if there is one.
    """
    now = world.now(subscription["customer"])
    at = moment or now
    rates = {item["id"]: net_of_percent(world, subscription, item) for item in subscription["items"]["data"]}
    pairs = put(subscription, wanted, now)
    if subscription["status"] == "trialing" or not (pairs or reset):
        return None
    reset = reset or any(old and new and cycle(old) != cycle(new) for old, new in pairs)
    if reset:
        pairs += [(row, row) for row in subscription["items"]["data"] if all(new is not row for _, new in pairs)]
    lines = [unused(world, subscription, old, rates[old["id"]], at) for old, _ in pairs if old and proration != "none"]
    if reset:
        return _new_period(world, subscription, lines, now)
    lines += [remaining(world, subscription, new, at) for _, new in pairs if new and proration != "none"]
    for found in lines:
        pend(world, subscription, found)
    return make(world, subscription, [], "subscription_update", (now, now)) if lines and proration == "always_invoice" else None


def _new_period(world: World, subscription: Object, credits: list[Object], now: int) -> Object:
    subscription["billing_cycle_anchor"] = now
    for item in subscription["items"]["data"]:
        item["current_period_start"], item["current_period_end"] = period_from(subscription, item["price"], now)
    for found in credits:
        pend(world, subscription, found)
    lines = [whole(world, subscription, item, (now, item["current_period_end"])) for item in subscription["items"]["data"]]
    return make(world, subscription, lines, "subscription_update", (now, now))


@route("GET", "/v1/subscription_items")
def list_items(world: World, params: Params) -> Object:
    return page(
        params, world.get("subscription", params.required("subscription"), "subscription")["items"]["data"], "/v1/subscription_items"
    )


@route("GET", "/v1/subscription_items/{id}")
def retrieve_item(world: World, params: Params, id: str) -> Object:
    for subscription in world.store.all("subscription"):
        for item in subscription["items"]["data"]:
            if item["id"] == id:
                return item
    raise ApiError(f"No such subscription_item: '{id}'", status=404, code="resource_missing", param="id")
