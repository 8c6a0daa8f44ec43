"""Checkout sessions, as the API makes them."""

from __future__ import annotations

from billing.simulator import discounts
from billing.simulator.customers import living
from billing.simulator.discounts import asked_for
from billing.simulator.errors import ApiError
from billing.simulator.items import described
from billing.simulator.money import percentage, tax_within
from billing.simulator.params import Params
from billing.simulator.routing import listing_of, page, retrieving, route
from billing.simulator.store import Object
from billing.simulator.world import World, listing, new_id

retrieving("/v1/checkout/sessions", "checkout.session")
listing_of("/v1/checkout/sessions", "checkout.session", "customer", "subscription", "status")
LOCALES = ("auto", "de", "en", "en-GB")
DAY = 86_400
IGNORED = "payment_method_types billing_address_collection customer_update saved_payment_method_options".split()
IGNORED += "custom_text ui_mode branding_settings".split()


@route("POST", "/v1/checkout/sessions")
def create_session(world: World, params: Params) -> Object:
    params.choice("mode", "subscription")
    params.skip(*IGNORED)
    items = [described(world, row) for row in params.items("line_items")]
    if not items:
        raise ApiError("Missing required param: line_items.", code="parameter_missing", param="line_items")
    customer = living(world, chosen) if (chosen := params.text("customer")) else None
    now = world.now(customer["id"] if customer else None)
    data, id = params.nested("subscription_data"), new_id("cs_test", 58)
    trial = _trial_end(data, now)
    coupons = asked_for(params)
    allow_codes = params.boolean("allow_promotion_codes")
    if coupons and allow_codes:
        raise ApiError("You may only specify one of these parameters: allow_promotion_codes, discounts.", param="discounts")
    for coupon in coupons:
        for kind, value in coupon.items():
            world.get(kind, value, f"discounts[0][{kind}]")
    consent = params.nested("consent_collection")
    tax_ids = params.nested("tax_id_collection")
    made: Object = {
        "id": id,
        "object": "checkout.session",
        "adaptive_pricing": None,
        "after_expiration": None,
        "allow_promotion_codes": allow_codes or None,
        "automatic_tax": _automatic_tax(params.nested("automatic_tax").boolean("enabled")),
        "billing_address_collection": None,
        "branding_settings": None,
        "cancel_url": world.check_return(url, "cancel_url") if (url := params.text("cancel_url")) else None,
        "client_reference_id": params.text("client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": {
            "payment_method_reuse_agreement": None,
            "promotions": consent.choice("promotions", "none", "auto", default="none"),
            "terms_of_service": consent.choice("terms_of_service", "none", "required", default="none"),
        },
        "created": now,
        "currency": items[0]["price"]["currency"],
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {"after_submit": None, "shipping_address": None, "submit": None, "terms_of_service_acceptance": None},
        "customer": customer["id"] if customer else None,
        "customer_account": None,
        "customer_creation": None if customer else "always",
        "customer_details": {
            "address": None,
            "email": customer["email"],
            "name": customer["name"],
            "phone": None,
            "tax_exempt": "none",
            "tax_ids": [],
        }
        if customer
        else None,
        "customer_email": params.text("customer_email"),
        "discounts": [{"coupon": row.get("coupon"), "promotion_code": row.get("promotion_code")} for row in coupons],
        "expires_at": params.integer("expires_at", now + DAY),
        "invoice": None,
        "invoice_creation": None,
        "livemode": False,
        "locale": params.choice("locale", *LOCALES, default="auto"),
        "metadata": params.metadata(),
        "mode": "subscription",
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": params.choice("payment_method_collection", "always", "if_required", default="always"),
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": params.nested("phone_number_collection").boolean("enabled")},
        "recovered_from": None,
        "saved_payment_method_options": {
            "allow_redisplay_filters": ["always"],
            "payment_method_remove": "disabled",
            "payment_method_save": None,
        },
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": params.text("submit_type"),
        "subscription": None,
        "success_url": world.check_return(params.required("success_url"), "success_url"),
        "tax_id_collection": {
            "enabled": tax_ids.boolean("enabled"),
            "required": tax_ids.choice("required", "never", "if_supported", default="never"),
        },
        "ui_mode": "hosted_page",
        "url": f"{world.origin}/c/pay/{id}",
        "wallet_options": None,
        "_items": items,
        "_trial_end": trial,
        "_trial_settings": data.nested("trial_settings").nested("end_behavior").text("missing_payment_method") or "create_invoice",
        "_metadata": data.metadata(),
        "_description": data.text("description"),
        "_tax_rates": data.texts("default_tax_rates"),
        "_method": None,
    }
    data.nested("billing_mode").skip("type")
    if made["expires_at"] <= now or made["expires_at"] > now + DAY:
        raise ApiError("The expires_at timestamp must be within 24 hours from now.", param="expires_at")
    for rate in made["_tax_rates"]:
        world.get("tax_rate", rate, "subscription_data[default_tax_rates]")
    world.add(made)
    price_up(world, made)
    return made


def _automatic_tax(enabled: bool) -> Object:
    liability, status = ({"type": "self"}, "requires_location_inputs") if enabled else (None, None)
    return {"enabled": enabled, "liability": liability, "provider": "stripe" if enabled else None, "status": status}


def _trial_end(data: Params, now: int) -> int | None:
    days, at = data.integer("trial_period_days"), data.integer("trial_end")
    if days is not None and not 1 <= days <= 730:
        raise ApiError("trial_period_days must be from 1 to 730.", param="subscription_data[trial_period_days]")
    return at or (now + days * DAY if days else None)


def price_up(world: World, session: Object) -> None:
    """Write the amounts that are due today, in cents, into the session and its line items."""
    free, percent, rows = session["_trial_end"] is not None, _percent(world, session), []
    for item in session["_items"]:
        price = item["price"]
        subtotal = 0 if free else price["unit_amount"] * item["quantity"]
        off = 0
        for discount in session["discounts"]:
            off += discounts.reduced(subtotal - off, _coupon(world, discount), price["product"])
        rows.append(
            {
                "id": new_id("li"),
                "object": "item",
                "adjustable_quantity": None,
                "amount_discount": off,
                "amount_subtotal": subtotal,
                "amount_tax": 0 if price["tax_behavior"] == "exclusive" else tax_within(subtotal - off, percent),
                "amount_total": subtotal - off,
                "currency": price["currency"],
                "description": world.get("product", price["product"])["name"],
                "discounts": [],
                "metadata": {},
                "price": price,
                "quantity": item["quantity"],
            }
        )
    session["_line_items"] = listing(rows, f"/v1/checkout/sessions/{session['id']}/line_items")
    session["amount_subtotal"] = sum(row["amount_subtotal"] for row in rows)
    session["amount_total"] = sum(row["amount_total"] for row in rows)
    tax, off = sum(row["amount_tax"] for row in rows), sum(row["amount_discount"] for row in rows)
    session["total_details"] = {"amount_discount": off, "amount_shipping": 0, "amount_tax": tax}


def _percent(world: World, session: Object) -> float:
    """The VAT that the page shows as contained: of the rates that were given, or of the customer's country as far as it is known."""
    if session["_tax_rates"]:
        rates = [world.get("tax_rate", id) for id in session["_tax_rates"]]
        return sum(float(rate["percentage"]) for rate in rates if rate["inclusive"])
    if not session["automatic_tax"]["enabled"]:
        return 0
    customer = world.get("customer", session["customer"]) if session["customer"] else {}
    return percentage((customer.get("address") or {}).get("country"), False)


def _coupon(world: World, discount: Object) -> Object:
    if discount["promotion_code"]:
        return world.get("coupon", world.get("promotion_code", discount["promotion_code"])["promotion"]["coupon"])
    return world.get("coupon", discount["coupon"])


@route("GET", "/v1/checkout/sessions/{id}/line_items")
def list_session_items(world: World, params: Params, id: str) -> Object:
    rows = world.get("checkout.session", id)["_line_items"]["data"]
    return page(params, rows[::-1], f"/v1/checkout/sessions/{id}/line_items")


@route("POST", "/v1/checkout/sessions/{id}")
def update_session(world: World, params: Params, id: str) -> Object:
    session = world.get("checkout.session", id)
    session["metadata"] = params.metadata(session["metadata"])
    return session


@route("POST", "/v1/checkout/sessions/{id}/expire")
def expire_by_request(world: World, params: Params, id: str) -> Object:
    return expire_session(world, opened(world, id))


def opened(world: World, id: str) -> Object:
    """A session that waits for its customer. Raises ApiError."""
    session = world.get("checkout.session", id)
    if session["status"] != "open":
        raise ApiError(f"This Checkout Session is {session['status']}.", param="session")
    return session


def expire_session(world: World, session: Object) -> Object:
    session |= {"status": "expired", "url": None}
    world.emit("checkout.session.expired", session)
    return session
