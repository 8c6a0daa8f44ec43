"""How it is paid: payment methods and setup intents."""

from __future__ import annotations

from datetime import UTC, datetime

from billing.simulator.cards import CARDS, MESSAGES, TOKENS, code_of, payment_method, refusal
from billing.simulator.customers import living
from billing.simulator.errors import ApiError, declined, missing
from billing.simulator.params import Params
from billing.simulator.routing import listing_of, page, retrieving, route
from billing.simulator.store import Object
from billing.simulator.world import World, new_id, render

listing_of("/v1/setup_intents", "setup_intent", "customer")
retrieving("/v1/payment_methods", "payment_method")
retrieving("/v1/setup_intents", "setup_intent")
ATTACHABLE = "The simulator knows the test cards' tokens (pm_card_visa, …) and the payment methods made here."


def named(world: World, id: str, param: str = "payment_method") -> Object:
    """A payment method by its id, or a new one by a test card's token. Raises ApiError."""
    if card := TOKENS.get(id):
        soon = datetime.fromtimestamp(world.now(), UTC)
        return payment_method(world, card, soon.month, soon.year + 3)
    if found := world.store.get("payment_method", id):
        return found
    raise missing("payment_method", f"{id}' - {ATTACHABLE}", param)


def attach(world: World, method: Object, customer: Object, confirmed: bool = True) -> Object:
    """Make it the customer's. Raises ApiError where the bank refuses."""
    if method["customer"] not in (None, customer["id"]):
        raise ApiError("The payment method is already attached to another customer.", code="payment_method_unexpected_state")
    if code := refusal(world, method, saving=True, confirmed=confirmed):
        raise declined(MESSAGES[code], code, code_of(code))
    if method["customer"] is None:
        method["customer"] = customer["id"]
        world.emit("payment_method.attached", method)
    return method


@route("POST", "/v1/payment_methods")
def create_method(world: World, params: Params) -> Object:
    params.choice("type", "card")
    card = params.nested("card")
    token = card.text("token")
    if token:
        return named(world, token.replace("tok_", "pm_card_"), "card[token]")
    number = card.required("number").replace(" ", "")
    if number not in CARDS:
        raise declined("Your card was declined. The simulator takes test cards only.", "test_mode_live_card")
    month, year = card.integer("exp_month") or 0, card.integer("exp_year") or 0
    card.skip("cvc")
    return payment_method(world, CARDS[number], month, year)


@route("GET", "/v1/payment_methods")
def list_methods(world: World, params: Params) -> Object:
    params.text("type")
    return page(params, world.store.where("payment_method", customer=params.required("customer")), "/v1/payment_methods")


@route("GET", "/v1/customers/{id}/payment_methods")
def list_customers_methods(world: World, params: Params, id: str) -> Object:
    params.text("type")
    return page(params, world.store.where("payment_method", customer=living(world, id)["id"]), f"/v1/customers/{id}/payment_methods")


@route("GET", "/v1/customers/{id}/payment_methods/{method}")
def retrieve_customers_method(world: World, params: Params, id: str, method: str) -> Object:
    return world.get("payment_method", method)


@route("POST", "/v1/payment_methods/{id}")
def update_method(world: World, params: Params, id: str) -> Object:
    method = world.get("payment_method", id)
    before = render(method)
    card = params.nested("card")
    method["card"]["exp_month"] = card.integer("exp_month", method["card"]["exp_month"])
    method["card"]["exp_year"] = card.integer("exp_year", method["card"]["exp_year"])
    method["metadata"] = params.metadata(method["metadata"])
    world.changed("payment_method.updated", method, before)
    return method


@route("POST", "/v1/payment_methods/{id}/attach")
def attach_method(world: World, params: Params, id: str) -> Object:
    return attach(world, named(world, id, "id"), living(world, params.required("customer")))


@route("POST", "/v1/payment_methods/{id}/detach")
def detach_method(world: World, params: Params, id: str) -> Object:
    method = world.get("payment_method", id)
    if method["customer"] is None:
        raise ApiError("The payment method you provided is not attached to a customer so detachment is impossible.")
    owner = world.get("customer", method["customer"])
    before = render(owner)
    if owner["invoice_settings"]["default_payment_method"] == id:
        owner["invoice_settings"]["default_payment_method"] = None
        world.changed("customer.updated", owner, before)
    for subscription in world.store.find("subscription", default_payment_method=id):
        subscription["default_payment_method"] = None
    method["customer"] = None
    world.emit("payment_method.detached", method, {"customer": owner["id"]})
    return method


@route("POST", "/v1/setup_intents")
def create_setup_intent(world: World, params: Params) -> Object:
    params.nested("automatic_payment_methods").skip("enabled", "allow_redirects")
    params.skip("return_url", "payment_method_types")
    customer = living(world, params.required("customer"))
    intent: Object = {
        "id": new_id("seti"),
        "object": "setup_intent",
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": new_id("seti_secret"),
        "created": world.now(customer["id"]),
        "customer": customer["id"],
        "description": params.text("description"),
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": params.metadata(),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": params.choice("usage", "off_session", "on_session", default="off_session"),
    }
    world.emit("setup_intent.created", world.add(intent))
    if "payment_method" in params:
        intent["payment_method"] = named(world, params.required("payment_method"))["id"]
        intent["status"] = "requires_confirmation"
    return _confirm(world, intent, customer) if params.boolean("confirm") else intent


@route("POST", "/v1/setup_intents/{id}/confirm")
def confirm_setup_intent(world: World, params: Params, id: str) -> Object:
    params.skip("return_url")
    intent = world.get("setup_intent", id)
    if "payment_method" in params:
        intent["payment_method"] = named(world, params.required("payment_method"))["id"]
    if intent["status"] in ("succeeded", "canceled") or not intent["payment_method"]:
        raise ApiError(f"This SetupIntent cannot be confirmed: its status is {intent['status']}.", code="setup_intent_unexpected_state")
    return _confirm(world, intent, living(world, intent["customer"]))


@route("POST", "/v1/setup_intents/{id}/cancel")
def cancel_setup_intent(world: World, params: Params, id: str) -> Object:
    intent = world.get("setup_intent", id)
    intent["status"], intent["cancellation_reason"] = "canceled", params.text("cancellation_reason")
    world.emit("setup_intent.canceled", intent)
    return intent


def _confirm(world: World, intent: Object, customer: Object) -> Object:
    method = world.get("payment_method", intent["payment_method"])
    if refusal(world, method, saving=True) == "authentication_required":
        intent["status"] = "requires_action"
        intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
        world.emit("setup_intent.requires_action", intent)
        return intent
    attach(world, method, customer)
    intent["status"], intent["next_action"] = "succeeded", None
    world.emit("setup_intent.succeeded", intent)
    return intent
