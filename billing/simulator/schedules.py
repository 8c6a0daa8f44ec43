"""Subscription schedules: what a subscription changes to, and when."""

from __future__ import annotations

from billing.simulator.catalogue import recurring_price
from billing.simulator.collection import collect, end
from billing.simulator.errors import ApiError
from billing.simulator.items import PRORATIONS, change, cycle, plan_of
from billing.simulator.money import after
from billing.simulator.params import Params
from billing.simulator.routing import listing_of, retrieving, route
from billing.simulator.store import Object
from billing.simulator.world import World, new_id, render

retrieving("/v1/subscription_schedules", "subscription_schedule")
listing_of("/v1/subscription_schedules", "subscription_schedule", "customer")
ENDS = ("release", "cancel")


@route("POST", "/v1/subscription_schedules")
def create_schedule(world: World, params: Params) -> Object:
    subscription = world.get("subscription", params.required("from_subscription"), "from_subscription")
    return schedule_for(world, subscription)


def schedule_for(world: World, subscription: Object) -> Object:
    """A schedule of one phase: what the subscription is until its period ends. Raises ApiError where it has one."""
    if subscription["schedule"]:
        raise ApiError(f"The subscription already has a schedule: {subscription['schedule']}.", param="from_subscription")
    now, before = world.now(subscription["customer"]), render(subscription)
    rows = subscription["items"]["data"]
    items = [{"price": row["price"]["id"], "quantity": row["quantity"], "metadata": row["metadata"]} for row in rows]
    phase = new_phase(subscription, items, rows[0]["current_period_start"], rows[0]["current_period_end"])
    made: Object = {
        "id": new_id("sub_sched"),
        "object": "subscription_schedule",
        "application": None,
        "billing_mode": subscription["billing_mode"],
        "canceled_at": None,
        "completed_at": None,
        "created": now,
        "current_phase": {"start_date": phase["start_date"], "end_date": phase["end_date"]},
        "customer": subscription["customer"],
        "customer_account": None,
        "default_settings": {
            "application_fee_percent": None,
            "automatic_tax": subscription["automatic_tax"],
            "billing_cycle_anchor": "automatic",
            "collection_method": "charge_automatically",
            "default_payment_method": subscription["default_payment_method"],
            "description": None,
            "invoice_settings": {"account_tax_ids": None, "days_until_due": None, "issuer": {"type": "self"}},
            "on_behalf_of": None,
            "transfer_data": None,
        },
        "end_behavior": "release",
        "livemode": False,
        "metadata": {},
        "phases": [phase],
        "released_at": None,
        "released_subscription": None,
        "status": "active",
        "subscription": subscription["id"],
        "test_clock": subscription["test_clock"],
    }
    subscription["schedule"] = made["id"]
    world.emit("subscription_schedule.created", world.add(made))
    world.changed("customer.subscription.updated", subscription, before)
    return made


def new_phase(subscription: Object, items: list[Object], start: int, finish: int, proration: str = "create_prorations") -> Object:
    return {
        "add_invoice_items": [],
        "application_fee_percent": None,
        "billing_cycle_anchor": None,
        "billing_thresholds": None,
        "collection_method": None,
        "currency": subscription["currency"],
        "default_payment_method": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "end_date": finish,
        "invoice_settings": None,
        "items": [{"billing_thresholds": None, "discounts": [], "plan": row["price"], "tax_rates": [], **row} for row in items],
        "metadata": {},
        "on_behalf_of": None,
        "proration_behavior": proration,
        "start_date": start,
        "transfer_data": None,
        "trial_end": None,
    }


@route("POST", "/v1/subscription_schedules/{id}")
def update_schedule(world: World, params: Params, id: str) -> Object:
    schedule = _active(world, id)
    before = render(schedule)
    subscription = world.get("subscription", schedule["subscription"])
    schedule["end_behavior"] = params.choice("end_behavior", *ENDS, default=schedule["end_behavior"])
    schedule["metadata"] = params.metadata(schedule["metadata"])
    params.skip("proration_behavior")
    if "phases" in params:
        phases: list[Object] = []
        for given in params.items("phases"):
            phases.append(_given(world, subscription, given, phases, schedule))
        if not phases or phases[-1]["end_date"] <= world.now(subscription["customer"]):
            raise ApiError("The last phase must end in the future.", param="phases")
        schedule["phases"] = phases
        current = _current(world, schedule)
        schedule["current_phase"] = {"start_date": current["start_date"], "end_date": current["end_date"]}
    world.changed("subscription_schedule.updated", schedule, before)
    return schedule


def _given(world: World, subscription: Object, params: Params, earlier: list[Object], schedule: Object) -> Object:
    start = params.text("start_date")
    begins = earlier[-1]["end_date"] if earlier else schedule["phases"][0]["start_date"]
    if start and start != "now" and int(start) != begins:
        raise ApiError(f"A phase must begin where the one before ends, here at {begins}.", param=params.full("start_date"))
    items = []
    for row in params.items("items"):
        price = recurring_price(world, row.required("price"), row.full("price"))
        items.append({"price": price["id"], "quantity": row.integer("quantity", 1), "metadata": row.metadata()})
    if not items:
        raise ApiError("A phase needs items.", code="parameter_missing", param=params.full("items"))
    recurring = world.get("price", items[0]["price"])["recurring"]
    finish, duration = params.integer("end_date"), params.nested("duration")
    interval, count = duration.text("interval"), duration.integer("interval_count", 1) or 1
    if interval:
        finish = after(begins, interval, count, 1)
    finish = finish or after(begins, recurring["interval"], recurring["interval_count"], params.integer("iterations", 1) or 1)
    proration = params.choice("proration_behavior", *PRORATIONS, default="create_prorations")
    phase = new_phase(subscription, items, begins, finish, proration)
    phase["metadata"] = params.metadata()
    return phase


@route("POST", "/v1/subscription_schedules/{id}/release")
def release_schedule(world: World, params: Params, id: str) -> Object:
    params.skip("preserve_cancel_date")
    return release(world, _active(world, id))


def release(world: World, schedule: Object) -> Object:
    """Leave the subscription as it is, without a schedule."""
    subscription = world.get("subscription", schedule["subscription"])
    before, now = render(subscription), world.now(schedule["customer"])
    subscription["schedule"] = None
    schedule |= {
        "status": "released",
        "released_at": now,
        "released_subscription": subscription["id"],
        "subscription": None,
        "current_phase": None,
    }
    world.emit("subscription_schedule.released", schedule)
    world.changed("customer.subscription.updated", subscription, before)
    return schedule


@route("POST", "/v1/subscription_schedules/{id}/cancel")
def cancel_schedule(world: World, params: Params, id: str) -> Object:
    params.skip("invoice_now", "prorate")
    schedule = _active(world, id)
    end(world, world.get("subscription", schedule["subscription"]), "cancellation_requested")
    return world.get("subscription_schedule", id)


def _active(world: World, id: str) -> Object:
    schedule = world.get("subscription_schedule", id)
    if schedule["status"] != "active":
        raise ApiError(f"The schedule {id} is {schedule['status']}: it can no longer be changed.", param="id")
    return schedule


def _current(world: World, schedule: Object) -> Object:
    now = world.now(schedule["customer"])
    running = [phase for phase in schedule["phases"] if phase["start_date"] <= now < phase["end_date"]]
    return running[0] if running else schedule["phases"][-1]


def phase_due(world: World, subscription: Object) -> int | None:
    """When the schedule's next step is due: the running phase's end."""
    schedule = world.store.peek("subscription_schedule", subscription["schedule"])
    return schedule["current_phase"]["end_date"] if schedule and schedule["current_phase"] else None


def next_phase(world: World, subscription: Object) -> None:
    """The running phase is over: the next one begins, or the schedule ends as it says."""
    schedule = world.get("subscription_schedule", subscription["schedule"])
    before, now = render(schedule), world.now()
    following = next((phase for phase in schedule["phases"] if phase["start_date"] == schedule["current_phase"]["end_date"]), None)
    if following is None:
        if schedule["end_behavior"] == "cancel":
            end(world, subscription, "cancellation_requested")
        else:
            schedule["completed_at"] = now
            release(world, schedule)
        return
    schedule["current_phase"] = {"start_date": following["start_date"], "end_date": following["end_date"]}
    _take_over(world, subscription, following)
    world.changed("subscription_schedule.updated", schedule, before)


def _take_over(world: World, subscription: Object, phase: Object) -> None:
    """The subscription gets the phase's items; at a period's end without proration, for the renewal that follows bills the new ones."""
    now, before = world.now(), render(subscription)
    rows = subscription["items"]["data"]
    wanted = [
        {
            "id": old["id"] if old else None,
            "price": render(world.get("price", row["price"])),
            "quantity": row["quantity"],
            "metadata": row["metadata"],
        }
        for row, old in zip(phase["items"], [*rows, *[None] * len(phase["items"])], strict=False)
    ]
    if rows[0]["current_period_end"] > now:
        draft = change(world, subscription, wanted, proration=phase["proration_behavior"])
        world.changed("customer.subscription.updated", subscription, before)
        if draft:
            collect(world, draft)
        return
    for entry, old in zip(wanted, list(rows), strict=False):
        new = {
            **old,
            "price": entry["price"],
            "plan": plan_of(entry["price"]),
            "quantity": entry["quantity"],
            "metadata": entry["metadata"],
        }
        if cycle(new) != cycle(old):
            subscription["billing_cycle_anchor"] = now
        rows[rows.index(old)] = new
    world.changed("customer.subscription.updated", subscription, before)
