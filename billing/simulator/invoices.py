"""Invoices: made as drafts from lines, finalized with a number, paid, voided, given up."""

from __future__ import annotations

from billing.simulator import discounts
from billing.simulator.errors import ApiError
from billing.simulator.lines import Period, discounted, pending, taxed
from billing.simulator.params import Params
from billing.simulator.routing import page, retrieving, route
from billing.simulator.store import Object
from billing.simulator.world import World, listing, new_id, render

retrieving("/v1/invoices", "invoice")
retrieving("/v1/invoiceitems", "invoiceitem")
DRAFT_SECONDS = 3600  # how long a renewal's invoice stays a draft


def make(world: World, subscription: Object, lines: list[Object], reason: str, period: Period) -> Object:
    """A draft of these lines and of what waits for the next invoice. Spends discounts for one invoice."""
    id, customer = new_id("in"), world.get("customer", subscription["customer"])
    lines = [*pending(world, subscription, id), *lines]
    discounted(world, subscription, lines)
    taxed(world, subscription, lines)
    for found in lines:
        found["invoice"] = id
    made: Object = {**_blank(world, subscription, customer), "id": id, "billing_reason": reason}
    made |= {"period_start": period[0], "period_end": period[1]}
    made |= {"lines": listing(lines, f"/v1/invoices/{id}/lines", total_count=len(lines)), "discounts": list(subscription["discounts"])}
    made |= _totals(lines)
    made |= _due(made["total"], customer["balance"])
    subscription["latest_invoice"] = id
    world.emit("invoice.created", world.add(made))
    if any(found["amount"] for found in lines):
        discounts.spend(world, subscription)
    return made


def finalize(world: World, invoice: Object) -> Object:
    """Give it a number and let the customer's balance pay first. Nothing is charged here."""
    customer = world.get("customer", invoice["customer"])
    before, owner = render(invoice), render(customer)
    now = world.now(customer["id"])
    invoice["number"] = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
    customer["next_invoice_sequence"] += 1
    invoice |= _due(invoice["total"], customer["balance"])
    customer["balance"] = invoice["ending_balance"]
    customer["currency"] = invoice["currency"]
    token = new_id("live", 32).partition("_")[2]
    invoice |= {
        "_token": token,
        "status": "open",
        "effective_at": now,
        "hosted_invoice_url": f"{world.origin}/i/{token}",
        "invoice_pdf": f"{world.origin}/i/{token}/pdf",
        "automatically_finalizes_at": None,
    }
    invoice["status_transitions"]["finalized_at"] = now
    world.emit("invoice.finalized", invoice, {name: before.get(name) for name in ("status", "number")})
    world.changed("customer.updated", customer, owner)
    return invoice


def mark_paid(world: World, invoice: Object) -> None:
    """Paid in full, by a charge or by the customer's balance."""
    now = world.now(invoice["customer"])
    invoice |= {
        "status": "paid",
        "attempted": True,
        "amount_paid": invoice["amount_due"],
        "amount_remaining": 0,
        "next_payment_attempt": None,
    }
    invoice["status_transitions"]["paid_at"] = now
    for payment in world.store.find("invoice_payment", invoice=invoice["id"], status="open"):
        payment |= {"status": "paid", "amount_paid": payment["amount_requested"]}
        payment["status_transitions"]["paid_at"] = now
        world.emit("invoice_payment.paid", payment)
    world.emit("invoice.paid", invoice)
    world.emit("invoice.payment_succeeded", invoice)


def give_up(world: World, invoice: Object, status: str) -> Object:
    """`status` void or uncollectible."""
    if invoice["status"] not in ("open", "uncollectible"):
        raise ApiError(f"You can only pass in open invoices: this one is {invoice['status']}.", code="invoice_not_editable")
    now = world.now(invoice["customer"])
    before = render(invoice)
    invoice |= {"status": status, "next_payment_attempt": None, "auto_advance": False}
    invoice["status_transitions"]["voided_at" if status == "void" else "marked_uncollectible_at"] = now
    world.changed("invoice.voided" if status == "void" else "invoice.marked_uncollectible", invoice, before)
    return invoice


def subscription_of(world: World, invoice: Object) -> Object:
    return world.get("subscription", invoice["parent"]["subscription_details"]["subscription"])


@route("GET", "/v1/invoices")
def list_invoices(world: World, params: Params) -> Object:
    wanted = {name: value for name in ("customer", "status") if (value := params.text(name))}
    rows = world.store.where("invoice", **wanted)
    if subscription := params.text("subscription"):
        rows = [row for row in rows if row["parent"]["subscription_details"]["subscription"] == subscription]
    return page(params, rows, "/v1/invoices")


@route("GET", "/v1/invoices/{id}/lines")
def list_lines(world: World, params: Params, id: str) -> Object:
    rows = [{**row, "created": 0} for row in world.get("invoice", id)["lines"]["data"]]
    shown = page(params, rows[::-1], f"/v1/invoices/{id}/lines")
    shown["data"] = [{name: value for name, value in row.items() if name != "created"} for row in shown["data"]]
    return shown


@route("POST", "/v1/invoices/{id}")
def update_invoice(world: World, params: Params, id: str) -> Object:
    invoice = world.get("invoice", id)
    before = render(invoice)
    invoice["metadata"] = params.metadata(invoice["metadata"])
    for name in ("description", "footer"):
        if name in params:
            invoice[name] = params.text(name)
    world.changed("invoice.updated", invoice, before)
    return invoice


@route("POST", "/v1/invoices/{id}/void")
def void_invoice(world: World, params: Params, id: str) -> Object:
    return give_up(world, world.get("invoice", id), "void")


@route("POST", "/v1/invoices/{id}/mark_uncollectible")
def mark_uncollectible(world: World, params: Params, id: str) -> Object:
    return give_up(world, world.get("invoice", id), "uncollectible")


@route("GET", "/v1/invoiceitems")
def list_invoice_items(world: World, params: Params) -> Object:
    wanted = {name: value for name in ("customer", "invoice") if (value := params.text(name))}
    waiting = params.text("pending")
    rows = [row for row in world.store.where("invoiceitem", **wanted) if waiting != "true" or row["invoice"] is None]
    return page(params, rows, "/v1/invoiceitems")


def _totals(lines: list[Object]) -> Object:
    """The sums over the lines, in cents."""
    subtotal = sum(found["amount"] for found in lines)
    off: dict[str, int] = {}
    taxes: dict[tuple[str, str], Object] = {}
    for found in lines:
        for row in found["discount_amounts"]:
            off[row["discount"]] = off.get(row["discount"], 0) + row["amount"]
        for row in found["taxes"]:
            known = taxes.setdefault((row["tax_rate_details"]["tax_rate"], row["tax_behavior"]), {**row, "amount": 0, "taxable_amount": 0})
            known["amount"] += row["amount"]
            known["taxable_amount"] += row["taxable_amount"]
    inside = sum(row["amount"] for row in taxes.values() if row["tax_behavior"] == "inclusive")
    upon = sum(row["amount"] for row in taxes.values() if row["tax_behavior"] == "exclusive")
    total = subtotal - sum(off.values()) + upon
    return {
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - inside,
        "total": total,
        "total_excluding_tax": total - inside - upon,
        "total_discount_amounts": [{"amount": amount, "discount": discount} for discount, amount in off.items()],
        "total_pretax_credit_amounts": [],
        "total_taxes": list(taxes.values()),
    }


def _due(total: int, balance: int) -> Object:
    """What is left to pay after the customer's balance, which is below zero where we owe them."""
    used = 0 if total <= 0 else max(-total, min(0, balance))
    due = max(0, total + used)
    ending = balance + total if total < 0 else balance - used
    return {"starting_balance": balance, "ending_balance": ending, "amount_due": due, "amount_remaining": due}


def _blank(world: World, subscription: Object, customer: Object) -> Object:
    now = world.now(customer["id"])
    tax_ids = [{"type": row["type"], "value": row["value"]} for row in world.store.find("tax_id", customer=customer["id"])]
    return {
        "object": "invoice",
        "account_country": "DE",
        "account_name": world.account["business_profile"]["name"],
        "account_tax_ids": None,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": subscription["automatic_tax"]["enabled"],
            "liability": {"type": "self"} if subscription["automatic_tax"]["enabled"] else None,
            "provider": "stripe" if subscription["automatic_tax"]["enabled"] else None,
            "status": "complete" if subscription["automatic_tax"]["enabled"] else None,
        },
        "automatically_finalizes_at": now + DRAFT_SECONDS,
        "collection_method": "charge_automatically",
        "created": now,
        "currency": subscription["currency"],
        "custom_fields": None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": None,
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": tax_ids,
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": subscription["default_tax_rates"],
        "description": None,
        "due_date": None,
        "effective_at": None,
        "footer": customer["invoice_settings"]["footer"],
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": {
            "quote_details": None,
            "subscription_details": {"metadata": subscription["metadata"], "subscription": subscription["id"]},
            "type": "subscription_details",
        },
        "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": {"finalized_at": None, "marked_uncollectible_at": None, "paid_at": None, "voided_at": None},
        "test_clock": customer["test_clock"],
        "webhooks_delivered_at": now,
    }
