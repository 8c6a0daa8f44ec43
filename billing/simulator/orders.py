"""What an order at the checkout sets off: customer, card, subscription, first payment."""

from __future__ import annotations

from billing.simulator.beginnings import begin
from billing.simulator.collection import collect
from billing.simulator.customers import add_tax_id, create_customer
from billing.simulator.errors import declined
from billing.simulator.methods import attach
from billing.simulator.params import Params
from billing.simulator.store import Object
from billing.simulator.world import World, render


def complete(world: World, session: Object, method: Object | None, details: Object, *, confirmed: bool = False) -> None:
    """The customer has ordered. `details`: {email, name, address, tax_id, terms}. Raises ApiError where the bank refuses.

    authentication_required: the customer has to confirm first.
    """
    customer = _customer(world, session, details)
    if details.get("tax_id"):
        add_tax_id(world, customer, "eu_vat", details["tax_id"])
    if method:
        attach(world, method, customer, confirmed)
    subscription, invoice = begin(
        world,
        customer,
        session["_items"],
        trial_end=session["_trial_end"],
        method=method["id"] if method else None,
        metadata=session["_metadata"],
        automatic_tax=session["automatic_tax"]["enabled"],
        tax_rates=[world.get("tax_rate", id) for id in session["_tax_rates"]],
        description=session["_description"],
        trial_settings=session["_trial_settings"],
        coupons=[{name: value for name, value in row.items() if value} for row in session["discounts"]],
        checkout=session["id"],
    )
    world.emit("customer.subscription.created", subscription)
    if code := collect(world, invoice, method=method, on_session=True, confirmed=confirmed):
        raise declined("The card was refused.", code, code)
    _close(world, session, customer, subscription, invoice, details)


def _customer(world: World, session: Object, details: Object) -> Object:
    if session["customer"]:
        customer = world.get("customer", session["customer"])
        before = render(customer)
        customer["address"] = customer["address"] or details.get("address")
        customer["name"] = customer["name"] or details.get("name")
        world.changed("customer.updated", customer, before)
        return customer
    customer = create_customer(
        world, Params({"email": session["customer_email"] or details.get("email") or "", "name": details.get("name") or ""})
    )
    customer["address"] = details.get("address")
    return customer


def _close(world: World, session: Object, customer: Object, subscription: Object, invoice: Object, details: Object) -> None:
    tax_ids = [{"type": "eu_vat", "value": details["tax_id"]}] if details.get("tax_id") else []
    session |= {
        "status": "complete",
        "payment_status": "no_payment_required" if invoice["total"] == 0 else "paid",
        "customer": customer["id"],
        "subscription": subscription["id"],
        "invoice": invoice["id"],
        "url": None,
        "consent": {"promotions": None, "terms_of_service": "accepted" if details.get("terms") else None},
        "amount_subtotal": invoice["subtotal"],
        "amount_total": invoice["total"],
        "customer_details": {
            "address": customer["address"],
            "email": customer["email"],
            "name": customer["name"],
            "phone": None,
            "tax_exempt": customer["tax_exempt"],
            "tax_ids": tax_ids,
        },
    }
    if session["automatic_tax"]["enabled"]:
        session["automatic_tax"]["status"] = "complete"
    taxes = sum(row["amount"] for row in invoice["total_taxes"])
    session["total_details"] = {
        "amount_discount": sum(row["amount"] for row in invoice["total_discount_amounts"]),
        "amount_shipping": 0,
        "amount_tax": taxes,
    }
    world.emit("checkout.session.completed", session)


def success_url(session: Object) -> str:
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])
