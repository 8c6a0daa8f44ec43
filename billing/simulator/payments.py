"""How money comes in: payment intents, charges, the payments of invoices, and the balance that they change."""

from __future__ import annotations

from billing.simulator.cards import MESSAGES, code_of, refusal
from billing.simulator.params import Params
from billing.simulator.routing import listing_of, page, retrieving, route
from billing.simulator.store import Object
from billing.simulator.world import World, new_id, render

retrieving("/v1/payment_intents", "payment_intent")
listing_of("/v1/payment_intents", "payment_intent", "customer")
retrieving("/v1/charges", "charge")
listing_of("/v1/charges", "charge", "customer", "payment_intent")
retrieving("/v1/balance_transactions", "balance_transaction")
listing_of("/v1/balance_transactions", "balance_transaction", "type", "source")


def intent_for(world: World, invoice: Object) -> Object:
    """The payment intent of an invoice, made when it is first needed, with the invoice payment that ties the two."""
    for payment in world.store.find("invoice_payment", invoice=invoice["id"], status="open"):
        return world.get("payment_intent", payment["payment"]["payment_intent"])
    now = world.now(invoice["customer"])
    intent: Object = {
        "id": new_id("pi"),
        "object": "payment_intent",
        "amount": invoice["amount_due"],
        "amount_capturable": 0,
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": new_id("pi_secret"),
        "confirmation_method": "automatic",
        "created": now,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "description": "Subscription creation" if invoice["billing_reason"] == "subscription_create" else "Subscription update",
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": "off_session",
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }
    world.emit("payment_intent.created", world.add(intent))
    world.add(
        {
            "id": new_id("inpay"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": invoice["amount_due"],
            "created": now,
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )
    return intent


def charge(world: World, intent: Object, method: Object, *, on_session: bool, confirmed: bool = False) -> str:
    """Try to take the intent's amount. "" on success, else the bank's decline code, noted on intent and charge."""
    before = render(intent)
    code = refusal(world, method, saving=on_session, confirmed=confirmed)
    intent["payment_method"] = method["id"]
    if code == "authentication_required" and on_session:
        intent["status"] = "requires_action"
        intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
        world.emit("payment_intent.requires_action", intent)
        return code
    made = _charge(world, intent, method, code)
    intent["latest_charge"] = made["id"]
    intent["next_action"] = None
    if code:
        intent["payment_method"] = None
        intent["status"] = "requires_payment_method"
        intent["last_payment_error"] = {
            "charge": made["id"],
            "code": code_of(code),
            "decline_code": code,
            "message": MESSAGES[code],
            "payment_method": render(method),
            "type": "card_error",
        }
        world.emit("charge.failed", made)
        world.emit("payment_intent.payment_failed", intent)
        return code
    intent |= {"status": "succeeded", "amount_received": intent["amount"], "last_payment_error": None}
    world.emit("charge.succeeded", made)
    world.changed("payment_intent.succeeded", intent, before)
    return ""


def _charge(world: World, intent: Object, method: Object, code: str) -> Object:
    customer = world.get("customer", intent["customer"])
    made: Object = {
        "id": new_id("ch"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0 if code else intent["amount"],
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "TRIFORCE SIMULATED",
        "captured": not code,
        "created": world.now(customer["id"]),
        "currency": intent["currency"],
        "customer": customer["id"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": code_of(code) if code else None,
        "failure_message": MESSAGES[code] if code else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": {
            "network_status": "declined_by_network" if code else "approved_by_network",
            "reason": code or None,
            "risk_level": "normal",
            "seller_message": "The bank refused it." if code else "Payment complete.",
            "type": "issuer_declined" if code else "authorized",
        },
        "paid": not code,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {"card": {**method["card"], "three_d_secure": None}, "type": "card"},
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "failed" if code else "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    }
    world.add(made)
    if not code:
        made["balance_transaction"] = balance_transaction(world, made, intent["amount"], "charge", fee=round(intent["amount"] * 0.015) + 25)
    return made


def balance_transaction(world: World, source: Object, amount: int, kind: str, fee: int = 0) -> str:
    now = world.now(source.get("customer"))
    details = [{"amount": fee, "application": None, "currency": source["currency"], "description": "Simulated fees", "type": "stripe_fee"}]
    made: Object = {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": now + 7 * 86_400,
        "balance_type": "payments",
        "created": now,
        "currency": source["currency"],
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": details if fee else [],
        "net": amount - fee,
        "reporting_category": kind,
        "source": source["id"],
        "status": "pending",
        "type": kind,
    }
    return str(world.add(made)["id"])


@route("GET", "/v1/invoice_payments")
def list_invoice_payments(world: World, params: Params) -> Object:
    rows = world.store.where("invoice_payment", **({"invoice": invoice} if (invoice := params.text("invoice")) else {}))
    payment = params.nested("payment")
    payment.text("type")
    intent = payment.text("payment_intent")
    return page(params, [row for row in rows if not intent or row["payment"]["payment_intent"] == intent], "/v1/invoice_payments")


retrieving("/v1/invoice_payments", "invoice_payment")
