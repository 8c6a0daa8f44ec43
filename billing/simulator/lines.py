"""An invoice's lines: whole periods, prorations, and the discount and tax in each."""

from __future__ import annotations

from datetime import UTC, datetime

from billing.simulator import discounts, money
from billing.simulator.catalogue import tax_rate
from billing.simulator.store import Object
from billing.simulator.world import World, new_id, render

Period = tuple[int, int]


def day(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%d %b %Y}"


def amount_of(item: Object) -> int:
    """What an item costs a period, in cents."""
    return int(item["price"]["unit_amount"] * item["quantity"])


def line(
    subscription: Object, item: Object, amount: int, description: str, period: Period, *, proration: bool = False, source: str | None = None
) -> Object:
    """A line of a subscription's item. `source` is the invoice item that it comes from."""
    price = item["price"]
    return {
        "id": new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": description,
        "discount_amounts": [],
        "discountable": not proration,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": subscription["metadata"],
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": source,
                "proration": proration,
                "proration_details": {"credited_items": None},
                "subscription": subscription["id"],
                "subscription_item": item["id"],
            },
            "type": "subscription_item_details",
        },
        "period": {"start": period[0], "end": period[1]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": item["quantity"],
        "quantity_decimal": str(item["quantity"]),
        "subscription": subscription["id"],
        "subtotal": amount,
        "taxes": [],
    }


def whole(world: World, subscription: Object, item: Object, period: Period, free: bool = False) -> Object:
    """The line of a whole period; free in a trial."""
    name = world.get("product", item["price"]["product"])["name"]
    recurring = item["price"]["recurring"]
    every = recurring["interval"] if recurring["interval_count"] == 1 else f"{recurring['interval_count']} {recurring['interval']}s"
    if free:
        return line(subscription, item, 0, f"Trial period for {name}", period)
    price = f"{item['price']['unit_amount'] / 100:.2f} {item['price']['currency'].upper()}"
    return line(subscription, item, amount_of(item), f"{item['quantity']} × {name} (at {price} / {every})", period)


def net_of_percent(world: World, subscription: Object, item: Object) -> int:
    """An item's price a period less percentage discounts: prorations carry them in their amount."""
    amount = amount_of(item)
    for _, coupon in discounts.active(world, subscription):
        if coupon["percent_off"] is not None:
            amount -= discounts.reduced(amount, coupon, item["price"]["product"])
    return amount


def unused(world: World, subscription: Object, item: Object, paid: int, moment: int) -> Object:
    """A credit for the rest of the item's period, of which `paid` cents were the price."""
    name, end = world.get("product", item["price"]["product"])["name"], item["current_period_end"]
    credit = -money.share(paid, moment, item["current_period_start"], end)
    return line(subscription, item, credit, f"Unused time on {name} after {day(moment)}", (moment, end), proration=True)


def remaining(world: World, subscription: Object, item: Object, moment: int) -> Object:
    """The price of an item for the rest of its period."""
    name, end = world.get("product", item["price"]["product"])["name"], item["current_period_end"]
    price = money.share(net_of_percent(world, subscription, item), moment, item["current_period_start"], end)
    return line(subscription, item, price, f"Remaining time on {name} after {day(moment)}", (moment, end), proration=True)


def pend(world: World, subscription: Object, made: Object) -> None:
    """Keep a proration for the next invoice, as an invoice item."""
    invoice_item: Object = {
        "id": new_id("ii"),
        "object": "invoiceitem",
        "amount": made["amount"],
        "created": world.now(subscription["customer"]),
        "currency": made["currency"],
        "customer": subscription["customer"],
        "date": world.now(subscription["customer"]),
        "description": made["description"],
        "discountable": False,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "parent": {
            "subscription_details": {
                "subscription": subscription["id"],
                "subscription_item": made["parent"]["subscription_item_details"]["subscription_item"],
            },
            "type": "subscription_details",
        },
        "period": made["period"],
        "pricing": made["pricing"],
        "proration": True,
        "proration_details": {"discount_amounts": []},
        "quantity": made["quantity"],
        "quantity_decimal": made["quantity_decimal"],
        "tax_rates": [],
        "test_clock": subscription["test_clock"],
        "_subscription": subscription["id"],
        "_line": made,
    }
    made["parent"]["subscription_item_details"]["invoice_item"] = invoice_item["id"]
    world.emit("invoiceitem.created", world.add(invoice_item))


def pending(world: World, subscription: Object, invoice: str) -> list[Object]:
    """The lines of the invoice items that wait; they belong to `invoice` from now on."""
    waiting = world.store.find("invoiceitem", invoice=None, _subscription=subscription["id"])
    for invoice_item in waiting:
        invoice_item["invoice"] = invoice
    return [invoice_item["_line"] for invoice_item in waiting]


def discounted(world: World, subscription: Object, lines: list[Object]) -> None:
    """Write into each line what the subscription's discounts take from it."""
    for discount, coupon in discounts.active(world, subscription):
        left = coupon["amount_off"]
        for found in lines:
            if not found["discountable"]:
                continue
            paid = found["amount"] - sum(row["amount"] for row in found["discount_amounts"])
            off = discounts.reduced(
                paid, coupon if left is None else {**coupon, "amount_off": left}, found["pricing"]["price_details"]["product"]
            )
            if off:
                found["discount_amounts"].append({"amount": off, "discount": discount["id"]})
                found["discounts"].append(discount["id"])
                left = None if left is None else left - off


def taxed(world: World, subscription: Object, lines: list[Object]) -> None:
    """Write into each line its tax: the subscription's rates, or the automatic one of the customer's country."""
    rates = subscription["default_tax_rates"] or ([_automatic(world, subscription)] if subscription["automatic_tax"]["enabled"] else [])
    for found in lines:
        price = world.get("price", found["pricing"]["price_details"]["price"])
        net = found["amount"] - sum(row["amount"] for row in found["discount_amounts"])
        for rate in rates:
            inclusive = rate["inclusive"] if subscription["default_tax_rates"] else price["tax_behavior"] != "exclusive"
            amount = (money.tax_within if inclusive else money.tax_upon)(net, rate["percentage"])
            found["taxes"].append(
                {
                    "amount": amount,
                    "tax_behavior": "inclusive" if inclusive else "exclusive",
                    "tax_rate_details": {"tax_rate": rate["id"]},
                    "taxability_reason": "standard_rated" if rate["percentage"] else "reverse_charge",
                    "taxable_amount": net - amount if inclusive else net,
                    "type": "tax_rate_details",
                }
            )


def _automatic(world: World, subscription: Object) -> Object:
    customer = world.get("customer", subscription["customer"])
    country = (customer["address"] or {}).get("country") or money.HOME
    business = any(row["type"] == "eu_vat" for row in world.store.find("tax_id", customer=customer["id"]))
    percent = money.percentage(country, business)
    for known in world.store.find("tax_rate", country=country, percentage=percent, display_name="VAT"):
        return render(known)
    return render(tax_rate(world, percent, "VAT", country, True))
