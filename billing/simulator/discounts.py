"""Coupons, promotion codes, and the discounts they give."""

from __future__ import annotations

import secrets
import string
from fractions import Fraction

from billing.simulator.errors import ApiError
from billing.simulator.money import after, rounded
from billing.simulator.params import Params
from billing.simulator.routing import listing_of, retrieving, route
from billing.simulator.store import Object
from billing.simulator.world import World, new_id, render

retrieving("/v1/coupons", "coupon")
listing_of("/v1/coupons", "coupon")
retrieving("/v1/promotion_codes", "promotion_code")
listing_of("/v1/promotion_codes", "promotion_code", "active", "code", "customer")


def asked_for(params: Params) -> list[dict[str, str]]:
    """The entries of discounts[]: a coupon or a promotion code each."""
    return [{name: value for name in ("coupon", "promotion_code") if (value := row.text(name))} for row in params.items("discounts")]


@route("POST", "/v1/coupons")
def create_coupon(world: World, params: Params) -> Object:
    percent, amount = params.number("percent_off"), params.integer("amount_off")
    if (percent is None) == (amount is None):
        raise ApiError("You must provide exactly one of percent_off and amount_off.", param="percent_off")
    if percent is not None and not 0 < percent <= 100:
        raise ApiError("Invalid decimal: percent_off must be above 0 and at most 100.", param="percent_off")
    duration = params.choice("duration", "once", "repeating", "forever", default="once")
    if (months := params.integer("duration_in_months")) is None and duration == "repeating":
        raise ApiError("duration=repeating needs duration_in_months.", code="parameter_missing", param="duration_in_months")
    id = params.text("id") or "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(8))
    if world.store.peek("coupon", id):
        raise ApiError("Coupon already exists.", code="resource_already_exists", param="id")
    coupon: Object = {
        "id": id,
        "object": "coupon",
        "amount_off": amount,
        "created": world.now(),
        "currency": params.required("currency") if amount else None,
        "duration": duration,
        "duration_in_months": months,
        "livemode": False,
        "max_redemptions": params.integer("max_redemptions"),
        "metadata": params.metadata(),
        "name": params.text("name"),
        "percent_off": percent,
        "redeem_by": params.integer("redeem_by"),
        "times_redeemed": 0,
        "valid": True,
        "_products": params.nested("applies_to").texts("products"),
    }
    world.emit("coupon.created", world.add(coupon))
    return coupon


@route("POST", "/v1/coupons/{id}")
def update_coupon(world: World, params: Params, id: str) -> Object:
    coupon = world.get("coupon", id)
    before = render(coupon)
    if "name" in params:
        coupon["name"] = params.text("name")
    coupon["metadata"] = params.metadata(coupon["metadata"])
    world.changed("coupon.updated", coupon, before)
    return coupon


@route("DELETE", "/v1/coupons/{id}")
def delete_coupon(world: World, params: Params, id: str) -> Object:
    coupon = world.get("coupon", id)
    world.store.remove("coupon", id)
    world.emit("coupon.deleted", coupon)
    return {"id": id, "object": "coupon", "deleted": True}


@route("POST", "/v1/promotion_codes")
def create_promotion_code(world: World, params: Params) -> Object:
    promotion = params.nested("promotion")
    promotion.choice("type", "coupon")
    coupon = world.get("coupon", promotion.required("coupon"), "promotion[coupon]")
    code = params.text("code") or new_id("", 8).lstrip("_").upper()
    if any(row["code"].casefold() == code.casefold() for row in world.store.find("promotion_code", active=True)):
        raise ApiError(f"An active promotion code with `code: {code}` already exists.", param="code")
    restrictions = params.nested("restrictions")
    made: Object = {
        "id": new_id("promo"),
        "object": "promotion_code",
        "active": params.boolean("active", True),
        "code": code,
        "created": world.now(),
        "customer": params.text("customer"),
        "expires_at": params.integer("expires_at"),
        "livemode": False,
        "max_redemptions": params.integer("max_redemptions"),
        "metadata": params.metadata(),
        "promotion": {"coupon": coupon["id"], "type": "coupon"},
        "restrictions": {
            "first_time_transaction": restrictions.boolean("first_time_transaction"),
            "minimum_amount": restrictions.integer("minimum_amount"),
            "minimum_amount_currency": restrictions.text("minimum_amount_currency"),
        },
        "times_redeemed": 0,
    }
    world.emit("promotion_code.created", world.add(made))
    return made


@route("POST", "/v1/promotion_codes/{id}")
def update_promotion_code(world: World, params: Params, id: str) -> Object:
    found = world.get("promotion_code", id)
    before = render(found)
    found["active"] = params.boolean("active", found["active"])
    found["metadata"] = params.metadata(found["metadata"])
    world.changed("promotion_code.updated", found, before)
    return found


def usable(world: World, code: str, customer: str | None) -> Object:
    """The active promotion code that reads so. Raises ApiError promotion_code_… where it gives nothing to this customer."""
    for found in world.store.find("promotion_code", active=True):
        if found["code"].casefold() == code.strip().casefold():
            check(world, found, customer)
            return found
    raise ApiError("This code is invalid.", code="promotion_code_invalid", param="promotion_code")


def check(world: World, found: Object, customer: str | None) -> None:
    coupon = world.get("coupon", found["promotion"]["coupon"])
    now = world.now(customer)
    spent = [row for row in (found, coupon) if row["max_redemptions"] is not None and row["times_redeemed"] >= row["max_redemptions"]]
    late = [time for time in (found["expires_at"], coupon["redeem_by"]) if time is not None and time <= now]
    if spent or late or not found["active"] or found["customer"] not in (None, customer):
        raise ApiError("This code is no longer valid.", code="promotion_code_expired", param="promotion_code")
    if found["restrictions"]["first_time_transaction"] and customer and world.store.find("invoice", customer=customer, status="paid"):
        raise ApiError("This code is for first-time customers only.", code="promotion_code_not_first_time", param="promotion_code")


def redeem(world: World, subscription: Object, *, coupon: str = "", promotion_code: str = "", checkout: str | None = None) -> None:
    """Give the subscription a discount. Raises ApiError."""
    promotion = world.get("promotion_code", promotion_code, "discounts[0][promotion_code]") if promotion_code else None
    if promotion:
        check(world, promotion, subscription["customer"])
    source = world.get("coupon", promotion["promotion"]["coupon"] if promotion else coupon, "discounts[0][coupon]")
    for row in filter(None, (source, promotion)):
        row["times_redeemed"] += 1
        row["valid" if row is source else "active"] = row["max_redemptions"] is None or row["times_redeemed"] < row["max_redemptions"]
    start = world.now(subscription["customer"])
    made: Object = {
        "id": new_id("di"),
        "object": "discount",
        "checkout_session": checkout,
        "customer": subscription["customer"],
        "customer_account": None,
        "end": after(start, "month", 1, source["duration_in_months"]) if source["duration"] == "repeating" else None,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": promotion_code or None,
        "source": {"coupon": source["id"], "type": "coupon"},
        "start": start,
        "subscription": subscription["id"],
        "subscription_item": None,
    }
    world.add(made)
    subscription["discounts"].append(made["id"])
    world.emit("customer.discount.created", {**made, "source": {"coupon": render(source), "type": "coupon"}})


def active(world: World, subscription: Object) -> list[tuple[Object, Object]]:
    """(discount, coupon) that hold now."""
    now = world.now(subscription["customer"])
    rows = [world.get("discount", id) for id in subscription["discounts"]]
    return [(row, world.get("coupon", row["source"]["coupon"])) for row in rows if row["end"] is None or row["end"] > now]


def reduced(amount: int, coupon: Object, product: str) -> int:
    """What the coupon takes from an amount, at most all of it."""
    if amount <= 0 or (coupon["_products"] and product not in coupon["_products"]):
        return 0
    if coupon["percent_off"] is not None:
        return rounded(Fraction(str(coupon["percent_off"])) * amount / 100)
    return min(amount, int(coupon["amount_off"]))


def spend(world: World, subscription: Object) -> None:
    """After an invoice: discounts for one invoice, and those whose time is over, are gone."""
    kept = {row["id"] for row, coupon in active(world, subscription) if coupon["duration"] != "once"}
    for id in [id for id in subscription["discounts"] if id not in kept]:
        subscription["discounts"].remove(id)
        world.emit("customer.discount.deleted", world.get("discount", id))
