"""What people type into the pages, read into objects."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aiohttp import web

from billing.simulator.cards import CARDS, payment_method
from billing.simulator.customers import ADDRESS
from billing.simulator.html import Words
from billing.simulator.store import Object
from billing.simulator.world import World


class FormError(Exception):
    """A sentence for the person, in their language."""


async def posted(request: web.Request) -> dict[str, str]:
    return {name: value.strip() for name, value in (await request.post()).items() if isinstance(value, str)}


def card_from(world: World, _: Words, given: Mapping[str, str]) -> Object:
    """The payment method of the form's card. Raises FormError."""
    number = re.sub(r"\D", "", given.get("number", ""))
    if number not in CARDS:
        raise FormError(_("The simulator takes test cards only; they are listed below the field. Never enter a real card."))
    expiry = re.fullmatch(r"(0?[1-9]|1[0-2])\s*/\s*(?:20)?(\d\d)", given.get("expiry", ""))
    if not expiry:
        raise FormError(_("The expiry has the form MM/YY."))
    if not re.fullmatch(r"\d{3,4}", given.get("cvc", "")):
        raise FormError(_("The security code has three digits."))
    billing = {"email": given.get("email") or None, "name": given.get("name") or None, "address": address_from(given)}
    return payment_method(world, CARDS[number], int(expiry[1]), 2000 + int(expiry[2]), billing)


def address_from(given: Mapping[str, str]) -> Object:
    return {name: given.get(name) or None for name in ADDRESS}


def check_email(_: Words, email: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise FormError(_("Enter an e-mail address."))
    return email
