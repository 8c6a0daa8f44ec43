"""The test cards, and what the bank answers to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from billing.simulator.money import after
from billing.simulator.store import Object
from billing.simulator.world import World, new_id


@dataclass(frozen=True)
class Card:
    """A test card. `setup` and `charge`: what happens when it is saved, and when it is charged later; "" is success."""

    number: str
    brand: str
    about: str  # an English sentence for the page
    setup: str = ""
    charge: str = ""
    token: str = ""  # Stripe's name of a payment method made from it
    authenticate: str = ""  # "once": when saved; "always": at each charge
    months: int = 0  # until it expires, whatever is typed; 0: as typed


CARDS = {
    card.number: card
    for card in (
        Card("4242424242424242", "visa", "Succeeds", token="pm_card_visa"),
        Card("5555555555554444", "mastercard", "Succeeds", token="pm_card_mastercard"),
        Card(
            "4000002500003155",
            "visa",
            "Asks for a confirmation, then succeeds",
            authenticate="once",
            token="pm_card_authenticationRequiredOnSetup",
        ),
        Card(
            "4000002760003184", "visa", "Asks for a confirmation each time", authenticate="always", token="pm_card_authenticationRequired"
        ),
        Card("4000056655665556", "visa", "Succeeds, and expires next month", months=1, token="pm_card_visa_debit"),
        Card(
            "4000000000000341",
            "visa",
            "Succeeds now, and fails at the next charge",
            charge="generic_decline",
            token="pm_card_chargeCustomerFail",
        ),
        Card("4000000000000002", "visa", "Is declined", setup="generic_decline", charge="generic_decline", token="pm_card_chargeDeclined"),
        Card(
            "4000000000009995",
            "visa",
            "Has insufficient funds",
            setup="insufficient_funds",
            charge="insufficient_funds",
            token="pm_card_visa_chargeDeclinedInsufficientFunds",
        ),
        Card(
            "4000000000000069",
            "visa",
            "Has expired",
            setup="expired_card",
            charge="expired_card",
            token="pm_card_chargeDeclinedExpiredCard",
        ),
    )
}
TOKENS = {card.token: card for card in CARDS.values()}
MESSAGES = {
    "generic_decline": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
}
FAILURES = {
    "declined": "generic_decline",
    "insufficient_funds": "insufficient_funds",
    "expired_card": "expired_card",
}  # a charge's forced ends


def code_of(decline: str) -> str:
    """The error's code to a decline code: most are the same general one."""
    return decline if decline in ("expired_card", "authentication_required") else "card_declined"


def payment_method(world: World, card: Card, month: int, year: int, billing: Object | None = None) -> Object:
    """A new payment method that belongs to nobody yet."""
    if card.months:
        expires = datetime.fromtimestamp(after(world.now(), "month", 1, card.months), UTC)
        month, year = expires.month, expires.year
    made: Object = {
        "id": new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {"address": _ADDRESS, "email": None, "name": None, "phone": None, "tax_id": None} | (billing or {}),
        "card": {
            "brand": card.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "DE",
            "display_brand": card.brand,
            "exp_month": month,
            "exp_year": year,
            "fingerprint": f"simulated{card.number[-7:]}",
            "funding": "credit",
            "generated_from": None,
            "last4": card.number[-4:],
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": world.now(),
        "customer": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
        "_number": card.number,
    }
    return world.add(made)


_ADDRESS: Object = {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None}


def refusal(world: World, method: Object, *, saving: bool = False, confirmed: bool = False) -> str:
    """The bank's answer to saving the card or charging it: "" for yes, a decline code, or authentication_required.

    `saving`: its owner is there, and may be asked to confirm; `confirmed`: has just done so. For charges without the owner an outcome
    forced through the control API comes first.
    """
    card = CARDS[method["_number"]]
    forced = world.settings["charges"]
    if forced and not saving:
        outcome = forced.pop(0)
        return FAILURES.get(outcome, "" if outcome == "succeeded" else outcome)
    now = datetime.fromtimestamp(world.now(method["customer"]), UTC)
    if (method["card"]["exp_year"], method["card"]["exp_month"]) < (now.year, now.month):
        return "expired_card"
    decline = card.setup if saving else card.charge
    if decline:
        return decline
    needs = card.authenticate == "always" or (card.authenticate == "once" and saving)
    return "authentication_required" if needs and not confirmed else ""
