"""How money goes back: refunds, and disputes that a cardholder's bank opens."""

from __future__ import annotations

from billing.simulator.errors import ApiError
from billing.simulator.params import Params
from billing.simulator.payments import balance_transaction
from billing.simulator.routing import listing_of, page, retrieving, route
from billing.simulator.store import Object
from billing.simulator.world import World, new_id, render

retrieving("/v1/refunds", "refund")
listing_of("/v1/refunds", "refund", "charge", "payment_intent")
retrieving("/v1/disputes", "dispute")
listing_of("/v1/disputes", "dispute", "charge", "payment_intent")
DISPUTE_DAYS = 7


@route("POST", "/v1/refunds")
def create_refund(world: World, params: Params) -> Object:
    reason = params.text("reason")
    intent = params.text("payment_intent")
    charge_id = world.get("payment_intent", intent, "payment_intent")["latest_charge"] if intent else params.required("charge")
    return refund(world, world.get("charge", charge_id, "charge"), params.integer("amount"), reason, params.metadata())


def refund(world: World, found: Object, amount: int | None, reason: str | None = None, metadata: dict[str, str] | None = None) -> Object:
    """Give back `amount` cents of a charge, or what is left of it. Raises ApiError."""
    before, left = render(found), found["amount_captured"] - found["amount_refunded"]
    if left <= 0:
        raise ApiError(f"Charge {found['id']} has already been refunded.", code="charge_already_refunded")
    if amount is not None and not 0 < amount <= left:
        raise ApiError(f"Refund amount ({amount}) must be above 0 and at most what is left of the charge ({left}).", param="amount")
    made: Object = {
        "id": new_id("re"),
        "object": "refund",
        "amount": left if amount is None else amount,
        "balance_transaction": None,
        "charge": found["id"],
        "created": world.now(found["customer"]),
        "currency": found["currency"],
        "destination_details": {
            "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
            "type": "card",
        },
        "metadata": metadata or {},
        "payment_intent": found["payment_intent"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }
    world.add(made)
    made["balance_transaction"] = balance_transaction(world, {**made, "customer": found["customer"]}, -made["amount"], "refund")
    found["amount_refunded"] += made["amount"]
    found["refunded"] = found["amount_refunded"] == found["amount_captured"]
    world.emit("refund.created", made)
    world.changed("charge.refunded", found, before)
    return made


@route("POST", "/v1/refunds/{id}")
def update_refund(world: World, params: Params, id: str) -> Object:
    found = world.get("refund", id)
    found["metadata"] = params.metadata(found["metadata"])
    return found


@route("GET", "/v1/charges/{id}/refunds")
def list_charges_refunds(world: World, params: Params, id: str) -> Object:
    return page(params, world.store.where("refund", charge=id), f"/v1/charges/{id}/refunds")


def dispute(world: World, found: Object, reason: str = "fraudulent") -> Object:
    """The cardholder's bank takes the money of a charge back."""
    if found["disputed"] or not found["paid"]:
        raise ApiError(f"Charge {found['id']} is already disputed, or was never paid.", param="charge")
    now = world.now(found["customer"])
    made: Object = {
        "id": new_id("dp"),
        "object": "dispute",
        "amount": found["amount"],
        "balance_transactions": [],
        "charge": found["id"],
        "created": now,
        "currency": found["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {"customer_email_address": found["billing_details"]["email"], "customer_name": found["billing_details"]["name"]},
        "evidence_details": {
            "due_by": now + DISPUTE_DAYS * 86_400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": found["payment_intent"],
        "payment_method_details": {"card": {"brand": "visa", "case_type": "chargeback", "network_reason_code": "10"}, "type": "card"},
        "reason": reason,
        "status": "needs_response",
    }
    world.add(made)
    taken = balance_transaction(world, {**made, "customer": found["customer"]}, -found["amount"], "adjustment", fee=2000)
    made["balance_transactions"] = [render(world.get("balance_transaction", taken))]
    before = render(found)
    found["disputed"] = True
    world.emit("charge.dispute.created", made)
    world.changed("charge.updated", found, before)
    world.emit("charge.dispute.funds_withdrawn", made)
    return made


def close_dispute(world: World, made: Object, status: str) -> Object:
    """`status` won or lost."""
    before = render(made)
    made["status"] = status
    world.changed("charge.dispute.closed", made, before)
    return made
