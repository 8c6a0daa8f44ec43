"""The customer portal's API: configurations say what may be done, sessions open the page."""

from __future__ import annotations

from billing.simulator.customers import living
from billing.simulator.errors import ApiError, missing
from billing.simulator.items import PRORATIONS
from billing.simulator.params import Params
from billing.simulator.routing import listing_of, retrieving, route
from billing.simulator.store import Object
from billing.simulator.world import World, new_id, render

retrieving("/v1/billing_portal/configurations", "billing_portal.configuration")
listing_of("/v1/billing_portal/configurations", "billing_portal.configuration", "active", "is_default")
REASONS = "too_expensive missing_features switched_service unused customer_service too_complex low_quality other".split()
CONDITIONS = ("decreasing_item_amount", "shortening_interval")
FLOWS = ("payment_method_update", "subscription_cancel", "subscription_update", "subscription_update_confirm", "customer_update")


@route("POST", "/v1/billing_portal/configurations")
def create_configuration(world: World, params: Params) -> Object:
    features = params.nested("features")
    if "features" not in params:
        raise ApiError("Missing required param: features.", code="parameter_missing", param="features")
    made: Object = {
        "id": new_id("bpc"),
        "object": "billing_portal.configuration",
        "active": True,
        "application": None,
        "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
        "created": world.now(),
        "default_return_url": None,
        "features": {
            "customer_update": {"allowed_updates": [], "enabled": False},
            "invoice_history": {"enabled": False},
            "payment_method_update": {"enabled": False, "payment_method_configuration": None},
            "subscription_cancel": {
                "cancellation_reason": {"enabled": False, "options": []},
                "enabled": False,
                "mode": "at_period_end",
                "proration_behavior": "none",
            },
            "subscription_update": {
                "billing_cycle_anchor": None,
                "default_allowed_updates": [],
                "enabled": False,
                "products": [],
                "proration_behavior": "none",
                "schedule_at_period_end": {"conditions": []},
                "trial_update_behavior": "end_trial",
            },
        },
        "is_default": not world.store.find("billing_portal.configuration", is_default=True),
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": {},
        "name": None,
        "updated": world.now(),
    }
    _fill(world, made, params, features)
    world.emit("billing_portal.configuration.created", world.add(made))
    return made


@route("POST", "/v1/billing_portal/configurations/{id}")
def update_configuration(world: World, params: Params, id: str) -> Object:
    found = world.get("billing_portal.configuration", id)
    before = render(found)
    found["active"] = params.boolean("active", found["active"])
    _fill(world, found, params, params.nested("features"))
    found["updated"] = world.now()
    world.changed("billing_portal.configuration.updated", found, before)
    return found


def _fill(world: World, made: Object, params: Params, features: Params) -> None:
    profile, kept = params.nested("business_profile"), made["features"]
    for name in ("headline", "privacy_policy_url", "terms_of_service_url"):
        if name in profile:
            made["business_profile"][name] = profile.text(name)
    if "default_return_url" in params:
        made["default_return_url"] = params.text("default_return_url")
    if "name" in params:
        made["name"] = params.text("name")
    params.nested("login_page").skip("enabled")
    made["metadata"] = params.metadata(made["metadata"])
    for name in ("customer_update", "invoice_history", "payment_method_update", "subscription_cancel", "subscription_update"):
        if name in features:
            feature = features.nested(name)
            kept[name]["enabled"] = feature.boolean("enabled", kept[name]["enabled"])
            _fill_feature(world, name, kept[name], feature)


def _fill_feature(world: World, name: str, kept: Object, given: Params) -> None:
    if name == "customer_update":
        kept["allowed_updates"] = given.texts("allowed_updates") or kept["allowed_updates"]
    if name == "subscription_cancel":
        kept["mode"] = given.choice("mode", "at_period_end", "immediately", default=kept["mode"])
        kept["proration_behavior"] = given.choice("proration_behavior", *PRORATIONS, default=kept["proration_behavior"])
        reason = given.nested("cancellation_reason")
        if "cancellation_reason" in given:
            kept["cancellation_reason"] = {"enabled": reason.boolean("enabled"), "options": reason.texts("options")}
    if name == "subscription_update":
        kept["default_allowed_updates"] = given.texts("default_allowed_updates") or kept["default_allowed_updates"]
        kept["proration_behavior"] = given.choice("proration_behavior", *PRORATIONS, default=kept["proration_behavior"])
        if "products" in given:
            kept["products"] = [_product(world, row) for row in given.items("products")]
        if "schedule_at_period_end" in given:
            conditions = given.nested("schedule_at_period_end").items("conditions")
            kept["schedule_at_period_end"] = {"conditions": [{"type": row.choice("type", *CONDITIONS)} for row in conditions]}
        given.skip("billing_cycle_anchor", "trial_update_behavior")


def _product(world: World, params: Params) -> Object:
    product = world.get("product", params.required("product"), params.full("product"))
    prices = [world.get("price", id, params.full("prices")) for id in params.texts("prices")]
    intervals = [tuple(price["recurring"].items()) for price in prices if price["recurring"]]
    if len(set(intervals)) != len(intervals):
        raise ApiError("A product's prices must differ in their interval.", param=params.full("prices"))
    params.nested("adjustable_quantity").skip("enabled", "minimum", "maximum")
    quantity = {"enabled": False, "maximum": None, "minimum": 1}
    return {"adjustable_quantity": quantity, "prices": [price["id"] for price in prices], "product": product["id"]}


@route("POST", "/v1/billing_portal/sessions")
def create_session(world: World, params: Params) -> Object:
    customer = living(world, params.required("customer"))
    chosen = params.text("configuration")
    configurations = world.store.find("billing_portal.configuration", is_default=True)
    if not chosen and not configurations:
        raise ApiError(
            "No configuration provided and your test mode default configuration has not been created. "
            "Create one through the API (POST /v1/billing_portal/configurations)."
        )
    configuration = world.get("billing_portal.configuration", chosen, "configuration") if chosen else configurations[0]
    return_url = params.text("return_url") or configuration["default_return_url"]
    made: Object = {
        "id": new_id("bps"),
        "object": "billing_portal.session",
        "configuration": configuration["id"],
        "created": world.now(customer["id"]),
        "customer": customer["id"],
        "customer_account": None,
        "flow": _flow(world, params.nested("flow_data")) if "flow_data" in params else None,
        "livemode": False,
        "locale": params.text("locale"),
        "on_behalf_of": None,
        "return_url": world.check_return(return_url, "return_url") if return_url else None,
        "url": f"{world.origin}/p/session/{new_id('test', 40)}",
    }
    made["_token"] = made["url"].rpartition("/")[2]
    return world.add(made)


def _flow(world: World, params: Params) -> Object:
    kind = params.choice("type", *FLOWS)
    done = params.nested("after_completion")
    redirect = done.nested("redirect").text("return_url")
    flow: Object = {
        "after_completion": {
            "hosted_confirmation": None,
            "redirect": {"return_url": world.check_return(redirect, "flow_data[after_completion][redirect][return_url]")}
            if redirect
            else None,
            "type": done.choice("type", "portal_homepage", "redirect", "hosted_confirmation", default="portal_homepage"),
        },
        "type": kind,
        **dict.fromkeys(name for name in FLOWS if name != "payment_method_update"),
    }
    if kind.startswith("subscription"):
        details = params.nested(kind)
        subscription = details.required("subscription")
        world.get("subscription", subscription, details.full("subscription"))
        flow[kind] = {"subscription": subscription}
        if kind == "subscription_cancel":
            flow[kind]["retention"] = None
        if kind == "subscription_update_confirm":
            flow[kind] |= {"discounts": None, "items": [_flow_item(world, row) for row in details.items("items")]}
    return flow


def _flow_item(world: World, params: Params) -> Object:
    price = world.get("price", params.required("price"), params.full("price"))["id"]
    return {"id": params.text("id"), "price": price, "quantity": params.integer("quantity", 1)}


def session_by(world: World, token: str) -> Object:
    """The session whose page it is. Raises ApiError."""
    for found in world.store.find("billing_portal.session", _token=token):
        return found
    raise missing("billing_portal.session", token)
