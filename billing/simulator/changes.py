"""What a customer changes in the portal: the plan now or at the period's end, cancelling, resuming, the card."""

from __future__ import annotations

from fractions import Fraction

from billing.simulator.collection import ENDED, collect, end, refused
from billing.simulator.errors import ApiError
from billing.simulator.items import change, cycle, ends_at
from billing.simulator.methods import attach
from billing.simulator.money import after
from billing.simulator.schedules import new_phase, release, schedule_for
from billing.simulator.store import Object
from billing.simulator.subscriptions import set_cancel
from billing.simulator.world import World, render

DAYS = {"day": Fraction(1), "week": Fraction(7), "month": Fraction(365, 12), "year": Fraction(365)}


def current(world: World, session: Object) -> Object | None:
    """The subscription that the portal is about: the flow's, else the customer's latest that has not ended."""
    flow = session["flow"] or {}
    named = next((flow[kind]["subscription"] for kind in flow if isinstance(flow[kind], dict) and "subscription" in flow[kind]), None)
    rows = [row for row in world.store.find("subscription", customer=session["customer"]) if row["status"] not in ENDED]
    return next((row for row in rows if row["id"] == named), rows[-1] if rows else None)


def choices(world: World, features: Object, subscription: Object) -> list[Object]:
    """The prices that the plan may change to."""
    if not features["subscription_update"]["enabled"] or "price" not in features["subscription_update"]["default_allowed_updates"]:
        return []
    held = subscription["items"]["data"][0]["price"]["id"]
    ids = [id for product in features["subscription_update"]["products"] for id in product["prices"] if id != held]
    prices = [world.get("price", id) for id in ids]
    return [price for price in prices if price["active"] and price["currency"] == subscription["currency"]]


def waits(features: Object, subscription: Object, price: Object) -> bool:
    """Whether this change waits for the period's end, by the configuration's conditions."""
    held = subscription["items"]["data"][0]["price"]
    wanted = {row["type"] for row in features["subscription_update"]["schedule_at_period_end"]["conditions"]}
    shorter = _days(price) < _days(held)
    cheaper = price["unit_amount"] / _days(price) < held["unit_amount"] / _days(held)
    if cycle({"price": price}) != cycle({"price": held}):  # a longer interval is cheaper a day and still no step down
        cheaper = price["unit_amount"] < held["unit_amount"] and not shorter
    return ("shortening_interval" in wanted and shorter) or ("decreasing_item_amount" in wanted and cheaper)


def update(world: World, features: Object, subscription: Object, price: Object) -> None:
    """Change the plan, now or at the period's end. Raises ApiError where the charge fails: then nothing changes."""
    if price["id"] not in {row["id"] for row in choices(world, features, subscription)}:
        raise ApiError("The configuration does not offer this price.", param="price")
    entry = wanted(subscription, price)
    if waits(features, subscription, price):
        keep_plan(world, subscription)
        schedule = schedule_for(world, subscription)
        before, ends = render(schedule), schedule["phases"][0]["end_date"]
        items = [{"price": price["id"], "quantity": entry["quantity"], "metadata": entry["metadata"]}]
        finish = after(ends, *cycle({"price": price}), 1)
        schedule["phases"].append(new_phase(subscription, items, ends, finish, "none"))
        world.changed("subscription_schedule.updated", schedule, before)
        return
    keep_plan(world, subscription)
    before = render(subscription)
    set_cancel(world, subscription, False)
    draft = change(world, subscription, [entry], proration=features["subscription_update"]["proration_behavior"])
    world.changed("customer.subscription.updated", subscription, before)
    if draft and (code := collect(world, draft)):
        raise refused(code)


def wanted(subscription: Object, price: Object) -> Object:
    """The entry of items[] that puts this price in the first item's place."""
    item = subscription["items"]["data"][0]
    return {"id": item["id"], "price": render(price), "quantity": item["quantity"], "metadata": item["metadata"]}


def keep_plan(world: World, subscription: Object) -> None:
    """Call off a change that waits."""
    if subscription["schedule"]:
        release(world, world.get("subscription_schedule", subscription["schedule"]))


def pending_price(world: World, subscription: Object) -> tuple[Object, int] | None:
    """(price, when) that the plan changes to."""
    if not subscription["schedule"]:
        return None
    schedule = world.get("subscription_schedule", subscription["schedule"])
    coming = [row for row in schedule["phases"] if row["start_date"] >= schedule["current_phase"]["end_date"]]
    return (world.get("price", coming[0]["items"][0]["price"]), coming[0]["start_date"]) if coming else None


def cancel(world: World, features: Object, subscription: Object, feedback: str | None = None) -> None:
    """As the configuration says: at the period's end, or now."""
    before = render(subscription)
    keep_plan(world, subscription)
    subscription["cancellation_details"]["feedback"] = feedback
    if features["subscription_cancel"]["mode"] == "immediately":
        end(world, subscription, "cancellation_requested")
        return
    ends = ends_at(subscription)
    set_cancel(world, subscription, False, ends)  # Stripe's portal names the time, and leaves cancel_at_period_end as it is
    world.changed("customer.subscription.updated", subscription, before)


def resume(world: World, subscription: Object) -> None:
    before = render(subscription)
    set_cancel(world, subscription, False)
    world.changed("customer.subscription.updated", subscription, before)


def new_card(world: World, session: Object, method: Object, confirmed: bool) -> None:
    """The customer's default from now on. Raises ApiError where the bank refuses."""
    customer = world.get("customer", session["customer"])
    attach(world, method, customer, confirmed)
    before = render(customer)
    customer["invoice_settings"]["default_payment_method"] = method["id"]
    world.changed("customer.updated", customer, before)
    for subscription in world.store.find("subscription", customer=customer["id"]):
        if subscription["status"] not in ENDED:
            before = render(subscription)
            subscription["default_payment_method"] = method["id"]
            world.changed("customer.subscription.updated", subscription, before)


def _days(price: Object) -> Fraction:
    recurring = price["recurring"]
    return DAYS[recurring["interval"]] * int(recurring["interval_count"])
