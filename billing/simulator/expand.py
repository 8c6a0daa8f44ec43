"""expand[]: ids become the objects they name, and what Stripe leaves out unless asked is put in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from billing.simulator.errors import ApiError
from billing.simulator.store import Object
from billing.simulator.world import World, listing, render

Includer = Callable[[World, Object], Any]


def _children(kind: str, owner: str, url: str, **equal: Any) -> Includer:
    """Those of a kind that name their owner in a field, newest first."""
    return lambda world, parent: listing(
        [render(row) for row in reversed(world.store.where(kind, **{owner: parent["id"]}, **equal))], url.format(id=parent["id"])
    )


INCLUDED: dict[tuple[str, str], Includer] = {
    ("customer", "subscriptions"): _children("subscription", "customer", "/v1/customers/{id}/subscriptions"),
    ("customer", "tax_ids"): _children("tax_id", "customer", "/v1/customers/{id}/tax_ids"),
    ("customer", "sources"): lambda world, parent: listing([], f"/v1/customers/{parent['id']}/sources"),
    ("customer", "tax"): lambda world, parent: {"automatic_tax": "supported", "ip_address": None, "location": None, "provider": "stripe"},
    ("invoice", "payments"): _children("invoice_payment", "invoice", "/v1/invoice_payments?invoice={id}"),
    ("charge", "refunds"): _children("refund", "charge", "/v1/charges/{id}/refunds"),
    ("checkout.session", "line_items"): lambda world, parent: render(parent["_line_items"]),
    ("coupon", "applies_to"): lambda world, parent: {"products": parent["_products"]} if parent["_products"] else None,
    ("price", "currency_options"): lambda world, parent: {parent["currency"]: {"unit_amount": parent["unit_amount"]}},
    ("price", "tiers"): lambda world, parent: None,
}
HIDDEN = {"breakdown"}  # fields of hashes that are only shown when asked for; the simulator has nothing to say in them


def expanded(world: World, answer: Object, paths: list[str]) -> Object:
    """A rendered copy of the answer with these paths expanded. Raises ApiError for a path that leads nowhere."""
    shown = render(answer)
    for path in paths:
        _expand(world, shown, path.split("."), path)
    return shown


def _expand(world: World, place: Any, names: list[str], path: str) -> None:
    if not names:
        return
    if isinstance(place, list):
        for found in place:
            _expand(world, found, names, path)
        return
    name, rest = names[0], names[1:]
    if name not in place:
        _include(world, place, name, path)
    place[name] = _opened(world, place[name])
    if place[name] is not None:
        _expand(world, place[name], rest, path)


def _opened(world: World, value: Any) -> Any:
    if isinstance(value, list):
        return [_opened(world, found) for found in value]
    if isinstance(value, str) and (found := world.store.resolve(value)):
        return render(found)
    return value


def _include(world: World, place: Object, name: str, path: str) -> None:
    includer = INCLUDED.get((place.get("object", ""), name))
    if includer and (parent := world.store.resolve(place["id"])):
        place[name] = includer(world, parent)
    elif name in HIDDEN:
        place[name] = None
    else:
        raise ApiError(f"This property cannot be expanded ({path}).", param="expand")
