"""Subscriptions: begun, changed with proration, cancelled and resumed."""

from __future__ import annotations

from billing.simulator import discounts
from billing.simulator.beginnings import begin
from billing.simulator.catalogue import recurring_price
from billing.simulator.collection import ENDED, NO_METHOD, collect, end, refused
from billing.simulator.customers import living
from billing.simulator.discounts import asked_for
from billing.simulator.errors import ApiError
from billing.simulator.invoices import finalize, make
from billing.simulator.items import PRORATIONS, change, described, ends_at, period_from
from billing.simulator.lines import net_of_percent, pend, unused, whole
from billing.simulator.methods import attach, named
from billing.simulator.params import Params
from billing.simulator.payments import intent_for
from billing.simulator.routing import page, retrieving, route
from billing.simulator.store import Object
from billing.simulator.world import World, render

retrieving("/v1/subscriptions", "subscription")

BEHAVIORS = ("allow_incomplete", "default_incomplete", "error_if_incomplete")


@route("POST", "/v1/subscriptions")
def create_subscription(world: World, params: Params) -> Object:
    customer = living(world, params.required("customer"))
    items = [described(world, wanted) for wanted in params.items("items")]
    if not items:
        raise ApiError("Missing required param: items.", code="parameter_missing", param="items")
    method = attach(world, named(world, chosen), customer)["id"] if (chosen := params.text("default_payment_method")) else None
    behavior = params.choice("payment_behavior", *BEHAVIORS, default="allow_incomplete")
    params.nested("payment_settings").skip("save_default_payment_method", "payment_method_types")
    params.nested("billing_mode").skip("type")
    params.skip("off_session", "collection_method", "proration_behavior")
    made, invoice = begin(
        world,
        customer,
        items,
        trial_end=_trial_end(world, customer, params),
        method=method,
        metadata=params.metadata(),
        automatic_tax=params.nested("automatic_tax").boolean("enabled"),
        tax_rates=[world.get("tax_rate", id, "default_tax_rates") for id in params.texts("default_tax_rates")],
        description=params.text("description"),
        trial_settings=params.nested("trial_settings").nested("end_behavior").text("missing_payment_method") or "create_invoice",
        coupons=asked_for(params),
    )
    world.emit("customer.subscription.created", made)
    if behavior != "default_incomplete" or invoice["amount_due"] == 0:
        _first_payment(world, invoice, behavior)
    else:
        intent_for(world, finalize(world, invoice))
    _cancellation(world, params, made)
    return made


def _first_payment(world: World, invoice: Object, behavior: str) -> None:
    if (code := collect(world, invoice)) and behavior == "error_if_incomplete":
        raise refused(code)
    if code == NO_METHOD:
        raise ApiError("This customer has no attached payment source or default payment method.", code="resource_missing")


@route("GET", "/v1/subscriptions")
def list_subscriptions(world: World, params: Params) -> Object:
    status, price = params.text("status"), params.text("price")
    wanted = {name: value for name in ("customer", "test_clock") if (value := params.text(name))}
    rows = world.store.where("subscription", **wanted)
    if status == "ended":
        rows = [row for row in rows if row["status"] in ENDED]
    elif status != "all":
        rows = [row for row in rows if (row["status"] == status if status else row["status"] != "canceled")]
    if price:
        rows = [row for row in rows if any(item["price"]["id"] == price for item in row["items"]["data"])]
    return page(params, rows, "/v1/subscriptions")


@route("POST", "/v1/subscriptions/{id}")
def update_subscription(world: World, params: Params, id: str) -> Object:
    subscription = alive(world, id)
    before = render(subscription)
    behavior = params.choice("payment_behavior", *BEHAVIORS, default="allow_incomplete")
    proration = params.choice("proration_behavior", *PRORATIONS, default="create_prorations")
    moment = params.integer("proration_date")
    anchor = params.choice("billing_cycle_anchor", "now", "unchanged", default="unchanged")
    if "default_payment_method" in params:
        chosen, owner = params.text("default_payment_method"), world.get("customer", subscription["customer"])
        subscription["default_payment_method"] = attach(world, named(world, chosen), owner)["id"] if chosen else None
    if "description" in params:
        subscription["description"] = params.text("description")
    if "automatic_tax" in params:
        subscription["automatic_tax"]["enabled"] = params.nested("automatic_tax").boolean("enabled")
    subscription["metadata"] = params.metadata(subscription["metadata"])
    if "discounts" in params:
        subscription["discounts"] = []
        for coupon in asked_for(params):
            discounts.redeem(world, subscription, **coupon)
    params.nested("payment_settings").skip("save_default_payment_method", "payment_method_types")
    _cancellation(world, params, subscription)
    invoice = None
    if "trial_end" in params:
        invoice = _change_trial(world, subscription, params)
    if items := params.items("items"):
        if subscription["schedule"]:
            raise ApiError("The subscription is managed by a subscription schedule: change or release that.", param="items")
        wanted = [wanted_item(world, subscription, item) for item in items]
        invoice = change(world, subscription, wanted, proration=proration, moment=moment, reset=anchor == "now")
    world.changed("customer.subscription.updated", subscription, before)
    if invoice and (code := collect(world, invoice)) and behavior == "error_if_incomplete":
        raise refused(code)
    return subscription


@route("DELETE", "/v1/subscriptions/{id}")
def cancel_subscription(world: World, params: Params, id: str) -> Object:
    subscription = alive(world, id)
    details = params.nested("cancellation_details")
    subscription["cancellation_details"] |= {"comment": details.text("comment"), "feedback": details.text("feedback")}
    if params.boolean("prorate"):
        for item in subscription["items"]["data"]:
            pend(
                world,
                subscription,
                unused(world, subscription, item, _paid(world, subscription, item), world.now(subscription["customer"])),
            )
    if params.boolean("invoice_now"):
        now = world.now(subscription["customer"])
        collect(world, make(world, subscription, [], "subscription_update", (now, now)))
    return end(world, subscription, "cancellation_requested")


@route("DELETE", "/v1/customers/{id}")
def delete_customer(world: World, params: Params, id: str) -> Object:
    customer = living(world, id, "id")
    for subscription in world.store.find("subscription", customer=id):
        if subscription["status"] not in ENDED:
            end(world, subscription, "cancellation_requested")
    customer["_deleted"] = True
    world.emit("customer.deleted", customer)
    return {"id": id, "object": "customer", "deleted": True}


def alive(world: World, id: str) -> Object:
    """A subscription that has not ended. Raises ApiError."""
    subscription = world.get("subscription", id)
    if subscription["status"] in ENDED:
        raise ApiError(
            f"The subscription {id} has ended ({subscription['status']}): it can no longer be changed.", code="resource_missing", param="id"
        )
    return subscription


def set_cancel(world: World, subscription: Object, at_period_end: bool, at: int | None = None) -> None:
    """Let it end at its period's end (which says the time, too) or at a time, or let it go on."""
    now = world.now(subscription["customer"])
    subscription["cancel_at_period_end"] = at_period_end
    subscription["cancel_at"] = ends_at(subscription) if at_period_end else at
    subscription["canceled_at"] = (subscription["canceled_at"] or now) if at_period_end or at else None
    subscription["cancellation_details"]["reason"] = "cancellation_requested" if at_period_end or at else None


def _cancellation(world: World, params: Params, subscription: Object) -> None:
    if "cancel_at_period_end" in params and "cancel_at" in params:
        raise ApiError("You may only pass one of these parameters: cancel_at, cancel_at_period_end.", param="cancel_at")
    if subscription["schedule"] and ("cancel_at_period_end" in params or "cancel_at" in params):
        raise ApiError(
            f"The subscription is managed by the subscription schedule `{subscription['schedule']}`, and updating any cancelation behavior "
            "directly is not allowed. Please update the schedule instead."
        )
    if "cancel_at" in params:
        set_cancel(world, subscription, False, params.integer("cancel_at"))
    elif "cancel_at_period_end" in params:
        wanted = params.boolean("cancel_at_period_end")
        if wanted or subscription["cancel_at_period_end"]:  # an end of its own at a time stays
            set_cancel(world, subscription, wanted)
    if "cancellation_details" in params:
        details = params.nested("cancellation_details")
        subscription["cancellation_details"] |= {"comment": details.text("comment"), "feedback": details.text("feedback")}


def _trial_end(world: World, customer: Object, params: Params) -> int | None:
    now, days = world.now(customer["id"]), params.integer("trial_period_days")
    if params.text("trial_end") == "now":
        return None
    chosen = params.integer("trial_end") or (now + days * 86_400 if days else None)
    if chosen is not None and chosen <= now:
        raise ApiError("Invalid timestamp: can't be in the past", param="trial_end")
    return chosen


def _change_trial(world: World, subscription: Object, params: Params) -> Object | None:
    """End the trial now, which is invoiced at once, or move its end."""
    owner = world.get("customer", subscription["customer"])
    now = world.now(owner["id"])
    chosen = _trial_end(world, owner, params)
    if chosen is None and subscription["status"] != "trialing":
        return None
    subscription |= {"trial_end": chosen or now, "billing_cycle_anchor": chosen or now, "status": "trialing" if chosen else "active"}
    for item in subscription["items"]["data"]:
        start, finish = period_from(subscription, item["price"], now, chosen)
        item |= {"current_period_start": start, "current_period_end": finish}
    if chosen:
        return None
    lines = [whole(world, subscription, item, (now, item["current_period_end"])) for item in subscription["items"]["data"]]
    return make(world, subscription, lines, "subscription_update", (now, now))


def wanted_item(world: World, subscription: Object, params: Params) -> Object:
    """An entry of items[]: {id, price, quantity, deleted, metadata}."""
    id = params.text("id")
    known = {item["id"]: item for item in subscription["items"]["data"]}
    if id and id not in known:
        raise ApiError(f"Invalid subscription_item id: '{id}'", code="resource_missing", param=params.full("id"))
    if not id:
        return described(world, params)
    old = known[id]
    price_id = params.text("price")
    price = render(recurring_price(world, price_id, params.full("price"))) if price_id else old["price"]
    if price["currency"] != subscription["currency"]:
        raise ApiError(f"The price specified supports {price['currency']}, not {subscription['currency']}.", param=params.full("price"))
    params.skip("clear_usage")
    return {
        "id": id,
        "price": price,
        "quantity": params.integer("quantity", old["quantity"]),
        "deleted": params.boolean("deleted"),
        "metadata": params.metadata(old["metadata"]),
    }


def _paid(world: World, subscription: Object, item: Object) -> int:
    return 0 if subscription["status"] == "trialing" else net_of_percent(world, subscription, item)
