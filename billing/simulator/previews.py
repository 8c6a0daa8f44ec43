"""What a change would cost: the invoice that it would make, of which nothing is kept."""

from __future__ import annotations

from billing.simulator.errors import ApiError
from billing.simulator.items import PRORATIONS, change
from billing.simulator.params import Params
from billing.simulator.routing import route
from billing.simulator.store import Object
from billing.simulator.subscriptions import alive, wanted_item
from billing.simulator.timeline import next_invoice
from billing.simulator.world import World, render


@route("POST", "/v1/invoices/create_preview")
def create_preview(world: World, params: Params) -> Object:
    id = params.required("subscription")
    customer = params.text("customer")
    details = params.nested("subscription_details")
    items, moment = details.items("items"), details.integer("proration_date")
    proration = details.choice("proration_behavior", *PRORATIONS, default="create_prorations")
    params.skip("preview_mode")
    if customer and world.get("subscription", id)["customer"] != customer:
        raise ApiError("The subscription is not this customer's.", param="subscription")
    with world.store.preview():
        subscription = alive(world, id)
        made = preview(world, subscription, [wanted_item(world, subscription, row) for row in items], proration, moment)
    return made


def preview(world: World, subscription: Object, items: list[Object], proration: str, moment: int | None = None) -> Object:
    """The next invoice if the items were changed so now: at once, or with the renewal. To be called within store.preview()."""
    draft = change(world, subscription, items, proration=proration, moment=moment) if items else None
    if draft is None:
        draft = next_invoice(world, subscription)
    shown: Object = render(draft)
    shown |= {"id": f"upcoming_{draft['id']}", "billing_reason": "upcoming", "number": None}
    return shown
