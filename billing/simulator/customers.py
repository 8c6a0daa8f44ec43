"""Who pays: customers and their tax ids."""

from __future__ import annotations

import re

from billing.simulator.errors import ApiError
from billing.simulator.params import Params
from billing.simulator.routing import page, retrieving, route
from billing.simulator.store import Object
from billing.simulator.world import World, new_id, render

retrieving("/v1/tax_ids", "tax_id")

ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")
TAX_ID_SHAPES = {"eu_vat": r"[A-Z]{2}[0-9A-Za-z]{2,12}", "gb_vat": r"GB\d{9}(\d{3})?", "ch_vat": r"CHE-?[\d.]{9,11} ?(MWST|TVA|IVA)"}


@route("GET", "/v1/customers/{id}")
def retrieve_customer(world: World, params: Params, id: str) -> Object:
    customer = world.get("customer", id)
    return {"id": id, "object": "customer", "deleted": True} if customer.get("_deleted") else customer


@route("GET", "/v1/customers")
def list_customers(world: World, params: Params) -> Object:
    wanted = {name: value for name in ("email", "test_clock") if (value := params.text(name))}
    return page(params, [row for row in world.store.where("customer", **wanted) if not row.get("_deleted")], "/v1/customers")


@route("POST", "/v1/customers")
def create_customer(world: World, params: Params) -> Object:
    clock = params.text("test_clock")
    made: Object = {
        "id": new_id("cus", 14),
        "object": "customer",
        "address": None,
        "balance": params.integer("balance", 0),
        "business_name": None,
        "created": int(world.get("test_helpers.test_clock", clock, "test_clock")["frozen_time"]) if clock else world.now(),
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "individual_name": None,
        "invoice_prefix": new_id("", 8).lstrip("_").upper(),
        "invoice_settings": {"custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None},
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": clock,
    }
    world.add(made)
    _fill(world, params, made)
    world.emit("customer.created", made)
    for tax_id in params.items("tax_id_data"):
        create_tax_id(world, tax_id, made["id"])
    return made


@route("POST", "/v1/customers/{id}")
def update_customer(world: World, params: Params, id: str) -> Object:
    customer = living(world, id, "id")
    before = render(customer)
    _fill(world, params, customer)
    if "balance" in params:
        customer["balance"] = params.integer("balance", 0)
    world.changed("customer.updated", customer, before)
    return customer


def living(world: World, id: str, param: str = "customer") -> Object:
    """A customer that is not deleted. Raises ApiError."""
    customer = world.get("customer", id, param)
    if customer.get("_deleted"):
        raise ApiError(f"No such customer: '{id}'; it has been deleted.", code="resource_missing", param=param)
    return customer


def address(params: Params) -> Object:
    return {name: params.text(name) for name in ADDRESS}


def _fill(world: World, params: Params, customer: Object) -> None:
    for name in ("email", "name", "phone", "description", "business_name", "individual_name"):
        if name in params:
            customer[name] = params.text(name)
    if "address" in params:
        customer["address"] = address(params.nested("address"))
    if "tax_exempt" in params:
        customer["tax_exempt"] = params.choice("tax_exempt", "none", "exempt", "reverse", default="none")
    if "preferred_locales" in params:
        customer["preferred_locales"] = params.texts("preferred_locales")
    params.nested("tax").skip("ip_address", "validate_location")
    customer["metadata"] = params.metadata(customer["metadata"])
    settings = params.nested("invoice_settings")
    if "default_payment_method" in settings:
        method = settings.text("default_payment_method")
        if method and world.get("payment_method", method, "invoice_settings[default_payment_method]")["customer"] != customer["id"]:
            raise ApiError(
                f"The customer does not have a payment method with the ID {method}. It must be attached to the customer first.",
                code="resource_missing",
                param="invoice_settings[default_payment_method]",
            )
        customer["invoice_settings"]["default_payment_method"] = method
    if "footer" in settings:
        customer["invoice_settings"]["footer"] = settings.text("footer")


@route("POST", "/v1/customers/{id}/tax_ids")
def create_tax_id(world: World, params: Params, id: str) -> Object:
    kind, value = params.required("type"), params.required("value").replace(" ", "")
    return add_tax_id(world, living(world, id), kind, value)


def add_tax_id(world: World, customer: Object, kind: str, value: str) -> Object:
    """A tax id of the customer. Raises ApiError where it cannot be one of its kind."""
    if kind in TAX_ID_SHAPES and not re.fullmatch(TAX_ID_SHAPES[kind], value):
        raise ApiError(f"Invalid value for {kind}.", code="tax_id_invalid", param="value")
    made = {
        "id": new_id("txi"),
        "object": "tax_id",
        "country": value[:2] if kind == "eu_vat" else None,
        "created": world.now(customer["id"]),
        "customer": customer["id"],
        "livemode": False,
        "owner": {"customer": customer["id"], "type": "customer"},
        "type": kind,
        "value": value,
        "verification": {"status": "verified", "verified_address": None, "verified_name": customer["name"]},
    }
    world.emit("customer.tax_id.created", world.add(made))
    return made


@route("GET", "/v1/customers/{id}/tax_ids")
def list_tax_ids(world: World, params: Params, id: str) -> Object:
    return page(params, world.store.where("tax_id", customer=living(world, id)["id"]), f"/v1/customers/{id}/tax_ids")


@route("GET", "/v1/customers/{id}/tax_ids/{tax_id}")
def retrieve_customers_tax_id(world: World, params: Params, id: str, tax_id: str) -> Object:
    return world.get("tax_id", tax_id)


@route("DELETE", "/v1/customers/{id}/tax_ids/{tax_id}")
def delete_tax_id(world: World, params: Params, id: str, tax_id: str) -> Object:
    found = world.get("tax_id", tax_id)
    world.store.remove("tax_id", tax_id)
    world.emit("customer.tax_id.deleted", found)
    return {"id": tax_id, "object": "tax_id", "deleted": True}
