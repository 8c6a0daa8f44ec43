"""What is sold: products, prices, tax rates."""

from __future__ import annotations

from billing.simulator.errors import ApiError
from billing.simulator.params import LARGEST, Params
from billing.simulator.routing import listing_of, page, retrieving, route
from billing.simulator.store import Object
from billing.simulator.world import World, new_id, render

CURRENCIES = ("eur", "usd", "gbp", "chf")
retrieving("/v1/products", "product")
listing_of("/v1/products", "product", "active")
retrieving("/v1/prices", "price")
retrieving("/v1/tax_rates", "tax_rate")
listing_of("/v1/tax_rates", "tax_rate", "active", "inclusive")


@route("POST", "/v1/products")
def create_product(world: World, params: Params) -> Object:
    id = params.text("id") or new_id("prod", 14)
    if world.store.peek("product", id):
        raise ApiError(f"Product already exists: {id}", code="resource_already_exists", param="id")
    product: Object = {
        "id": id,
        "object": "product",
        "active": params.boolean("active", True),
        "created": world.now(),
        "default_price": None,
        "description": params.text("description"),
        "images": params.texts("images"),
        "livemode": False,
        "marketing_features": [{"name": feature.text("name")} for feature in params.items("marketing_features")],
        "metadata": params.metadata(),
        "name": params.required("name"),
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": params.text("statement_descriptor"),
        "tax_code": params.text("tax_code"),
        "type": params.choice("type", "service", "good", default="service"),
        "unit_label": params.text("unit_label"),
        "updated": world.now(),
        "url": params.text("url"),
    }
    world.emit("product.created", world.add(product))
    return product


@route("POST", "/v1/products/{id}")
def update_product(world: World, params: Params, id: str) -> Object:
    product = world.get("product", id)
    before = render(product)
    for name in ("name", "description", "statement_descriptor", "tax_code", "unit_label", "url", "default_price"):
        if name in params:
            product[name] = params.text(name)
    if product["default_price"]:
        world.get("price", product["default_price"], "default_price")
    if "marketing_features" in params:
        product["marketing_features"] = [{"name": feature.text("name")} for feature in params.items("marketing_features")]
    product["active"] = params.boolean("active", product["active"])
    product["metadata"] = params.metadata(product["metadata"])
    product["updated"] = world.now()
    world.changed("product.updated", product, before)
    return product


@route("DELETE", "/v1/products/{id}")
def delete_product(world: World, params: Params, id: str) -> Object:
    product = world.get("product", id)
    if world.store.find("price", product=id):
        raise ApiError("This product cannot be deleted because it has one or more user-created prices.", param="id")
    world.store.remove("product", id)
    world.emit("product.deleted", product)
    return {"id": id, "object": "product", "deleted": True}


@route("GET", "/v1/products/{id}/features")
def list_features(world: World, params: Params, id: str) -> Object:
    world.get("product", id)
    return page(params, [], f"/v1/products/{id}/features")


@route("GET", "/v1/prices")
def list_prices(world: World, params: Params) -> Object:
    wanted = {name: value for name in ("product", "currency", "type") if (value := params.text(name))}
    if "active" in params:
        wanted["active"] = params.boolean("active")  # type: ignore[assignment]
    keys = params.texts("lookup_keys")
    rows = [row for row in world.store.where("price", **wanted) if not keys or row["lookup_key"] in keys]
    return page(params, rows, "/v1/prices")


@route("POST", "/v1/prices")
def create_price(world: World, params: Params) -> Object:
    amount, currency = params.integer("unit_amount"), params.choice("currency", *CURRENCIES)
    if amount is None or not 0 <= amount <= LARGEST:
        raise ApiError("unit_amount must be a number of cents, 0 or more.", code="parameter_missing", param="unit_amount")
    product = _product(world, params)
    recurring = params.nested("recurring")
    price: Object = {
        "id": new_id("price"),
        "object": "price",
        "active": params.boolean("active", True),
        "billing_scheme": params.choice("billing_scheme", "per_unit", default="per_unit"),
        "created": world.now(),
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": params.metadata(),
        "nickname": params.text("nickname"),
        "product": product,
        "recurring": _recurring(recurring) if "recurring" in params else None,
        "tax_behavior": params.choice("tax_behavior", "inclusive", "exclusive", "unspecified", default="unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if "recurring" in params else "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
    }
    _claim_lookup_key(world, params, price)
    world.emit("price.created", world.add(price))
    return price


@route("POST", "/v1/prices/{id}")
def update_price(world: World, params: Params, id: str) -> Object:
    price = world.get("price", id)
    before = render(price)
    price["active"] = params.boolean("active", price["active"])
    price["metadata"] = params.metadata(price["metadata"])
    if "nickname" in params:
        price["nickname"] = params.text("nickname")
    if "tax_behavior" in params:
        behavior = params.choice("tax_behavior", "inclusive", "exclusive", "unspecified")
        if price["tax_behavior"] not in ("unspecified", behavior):
            raise ApiError("The tax behavior of this price has been set and cannot be changed.", param="tax_behavior")
        price["tax_behavior"] = behavior
    _claim_lookup_key(world, params, price)
    world.changed("price.updated", price, before)
    return price


@route("POST", "/v1/tax_rates")
def create_tax_rate(world: World, params: Params) -> Object:
    percentage = params.number("percentage")
    if percentage is None:
        raise ApiError("Missing required param: percentage.", code="parameter_missing", param="percentage")
    return tax_rate(world, percentage, params.required("display_name"), params.text("country"), params.boolean("inclusive"))


def tax_rate(world: World, percentage: float, name: str, country: str | None, inclusive: bool, kind: str = "vat") -> Object:
    """A new tax rate."""
    made: Object = {
        "id": new_id("txr"),
        "object": "tax_rate",
        "active": True,
        "country": country,
        "created": world.now(),
        "description": None,
        "display_name": name,
        "effective_percentage": percentage,
        "flat_amount": None,
        "inclusive": inclusive,
        "jurisdiction": country,
        "jurisdiction_level": "country" if country else None,
        "livemode": False,
        "metadata": {},
        "percentage": percentage,
        "rate_type": "percentage",
        "state": None,
        "tax_type": kind,
    }
    world.emit("tax_rate.created", world.add(made))
    return made


def _product(world: World, params: Params) -> str:
    if "product_data" in params:
        data = params.nested("product_data")
        return str(create_product(world, data)["id"])
    return str(world.get("product", params.required("product"), "product")["id"])


def _recurring(params: Params) -> Object:
    params.skip("usage_type")
    return {
        "interval": params.choice("interval", "day", "week", "month", "year"),
        "interval_count": params.integer("interval_count", 1),
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def _claim_lookup_key(world: World, params: Params, price: Object) -> None:
    transfer, key = params.boolean("transfer_lookup_key"), params.text("lookup_key")
    if "lookup_key" not in params:
        return
    for holder in world.store.find("price", lookup_key=key) if key else []:
        if holder["id"] == price["id"]:
            continue
        if not transfer:
            raise ApiError(f"A price already uses the lookup key {key}: transfer_lookup_key takes it over.", param="lookup_key")
        before = render(holder)
        holder["lookup_key"] = None
        world.changed("price.updated", holder, before)
    price["lookup_key"] = key


def recurring_price(world: World, id: str, param: str = "price") -> Object:
    """An active, recurring price. Raises ApiError."""
    price = world.get("price", id, param)
    if not price["active"]:
        raise ApiError(f"The price specified is inactive: {id}", code="price_inactive", param=param)
    if not price["recurring"]:
        raise ApiError(f"The price {id} is no recurring one: a subscription needs recurring prices.", param=param)
    return price
