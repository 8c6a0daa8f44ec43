"""The hosted checkout: order summary, card, promotion code, and the bank's confirmation where a card asks for it."""

from __future__ import annotations

from aiohttp import web

from billing.simulator import discounts
from billing.simulator.checkout import opened, price_up
from billing.simulator.customers import TAX_ID_SHAPES
from billing.simulator.errors import ApiError
from billing.simulator.forms import FormError, address_from, card_from, check_email, posted
from billing.simulator.html import (
    COUNTRIES,
    Words,
    alert,
    button,
    card_fields,
    e,
    field,
    form,
    link,
    page,
    pair,
    paragraph,
    refusal,
    rows,
    select,
)
from billing.simulator.orders import complete, success_url
from billing.simulator.service import Service
from billing.simulator.store import Object
from billing.simulator.words import day, language_of, money, translator
from billing.simulator.world import World, no_request


async def show(request: web.Request) -> web.Response:
    """GET /c/pay/{id}."""
    world = request.app[Service.KEY].world
    session = world.store.peek("checkout.session", request.match_info["id"])
    language = language_of(session["locale"] if session else None, request.headers.get("Accept-Language", ""))
    if not session or session["status"] != "open":
        return _over(language, session)
    return _form(world, session, language, {})


async def submit(request: web.Request) -> web.StreamResponse:
    """POST /c/pay/{id}: action apply (the promotion code), pay, confirm or refuse (the bank's question)."""
    service, given = request.app[Service.KEY], await posted(request)
    world = service.world
    known = world.store.peek("checkout.session", request.match_info["id"])
    language = language_of(known["locale"] if known else None, request.headers.get("Accept-Language", ""))
    _ = translator(language)
    world.request = no_request()
    try:
        session = opened(world, request.match_info["id"])
    except ApiError:
        return _over(language, known)
    try:
        return _act(service, session, given, language)
    except FormError as error:
        world.store.rollback()
        return _form(world, world.get("checkout.session", session["id"]), language, given, str(error), status=422)
    except ApiError as error:
        world.store.rollback()
        kept = world.get("checkout.session", session["id"])
        if error.code == "tax_id_invalid" or error.code.startswith("promotion_code"):
            sentence = _("This tax id is not valid.") if error.code == "tax_id_invalid" else _("This code is not valid.")
            return _form(world, kept, language, given, sentence, status=422)
        code = str(error.more.get("decline_code", ""))
        if code == "authentication_required" and given.get("action") == "pay":
            return _question(kept, language)
        return _form(world, kept, language, given, refusal(_, code), status=402)


def _act(service: Service, session: Object, given: dict[str, str], language: str) -> web.StreamResponse:
    world, _, action = service.world, translator(language), given.get("action", "pay")
    if action == "apply":
        code = discounts.usable(world, given.get("promotion_code", ""), session["customer"])
        session["discounts"] = [{"coupon": None, "promotion_code": code["id"]}]
        price_up(world, session)
        service.keep()
        return _form(world, world.get("checkout.session", session["id"]), language, given)
    if action == "refuse":
        raise FormError(_("The bank did not confirm the payment. Try again, or choose another card."))
    if action == "pay":
        session["_pending"] = _ordered(world, session, given, language)
        service.keep()  # the card outlives a refusal: the bank's question comes in a step of its own
        session = world.get("checkout.session", session["id"])
    details = session["_pending"]
    method = world.get("payment_method", details["method"])
    complete(world, session, method, details, confirmed=action == "confirm")
    service.keep()
    raise web.HTTPSeeOther(success_url(session))


def _ordered(world: World, session: Object, given: dict[str, str], language: str) -> Object:
    """{method, email, name, address, tax_id, terms} of the form. Raises FormError, or ApiError for the code or the tax id."""
    _ = translator(language)
    if code := given.get("promotion_code"):
        if not session["allow_promotion_codes"]:
            raise FormError(_("This code is not valid."))
        session["discounts"] = [{"coupon": None, "promotion_code": discounts.usable(world, code, session["customer"])["id"]}]
        price_up(world, session)
    terms = bool(given.get("terms"))
    if session["consent_collection"]["terms_of_service"] == "required" and not terms:
        raise FormError(_("Agree to the terms of service."))
    email = session["customer_email"] or (session["customer_details"] or {}).get("email") or check_email(_, given.get("email", ""))
    tax_id = given.get("tax_id", "").replace(" ", "") if session["tax_id_collection"]["enabled"] else ""
    method = card_from(world, _, {**given, "email": email})
    details = {"method": method["id"], "email": email, "name": given.get("name") or None, "address": address_from(given)}
    return {**details, "tax_id": tax_id or None, "terms": terms}


def _form(world: World, session: Object, language: str, given: dict[str, str], problem: str = "", status: int = 200) -> web.Response:
    _, currency = translator(language), session["currency"]
    lines = [
        (
            f"{row['quantity']} × {row['description']}",
            f"{money(row['price']['unit_amount'], currency, language)} / {every(_, row['price'])}",
        )
        for row in session["_line_items"]["data"]
    ]
    if session["_trial_end"]:
        lines.append((_("Free trial until"), day(session["_trial_end"], language)))
    if off := session["total_details"]["amount_discount"]:
        lines.append((_("Discount"), money(-off, currency, language)))
    if tax := session["total_details"]["amount_tax"]:
        lines.append((_("VAT included"), money(tax, currency, language)))
    lines.append((_("Due today"), money(session["amount_total"], currency, language)))
    email = session["customer_email"] or (session["customer_details"] or {}).get("email")
    parts = [paragraph(email) if email else field(_("E-mail"), "email", given.get("email", ""), type="email", required="")]
    parts += [card_fields(_, given), field(_("Name on the card"), "name", given.get("name", ""), autocomplete="off")]
    postal = field(_("Postal code"), "postal_code", given.get("postal_code", ""), autocomplete="off")
    parts.append(pair(select(_("Country"), "country", COUNTRIES, given.get("country") or "DE"), postal))
    if session["tax_id_collection"]["enabled"]:
        parts.append(field(_("VAT id (for companies)"), "tax_id", given.get("tax_id", ""), pattern=TAX_ID_SHAPES["eu_vat"]))
    if session["allow_promotion_codes"]:
        typed = field(_("Promotion code"), "promotion_code", given.get("promotion_code", ""))
        parts.append(pair(typed, button(_("Apply"), "apply", formnovalidate="")))
    if session["consent_collection"]["terms_of_service"] == "required":
        agreed = _("I agree to the terms of service.")
        parts.append(f'<label class="check"><input type="checkbox" name="terms" value="yes"> {e(agreed)}</label>')
    parts.append(button(_("Subscribe with obligation to pay"), "pay", "primary"))
    body = alert(problem) + rows(lines) + form(*parts)
    if session["cancel_url"]:
        body += link(_("Back without ordering"), session["cancel_url"])
    return page(language, _("Checkout"), body, status=status, leads_to=[session["success_url"]])


def every(_: Words, price: Object) -> str:
    """month, year, 3 months …"""
    recurring = price["recurring"]
    one = {"day": _("day"), "week": _("week"), "month": _("month"), "year": _("year")}[recurring["interval"]]
    return str(one) if recurring["interval_count"] == 1 else f"{recurring['interval_count']} × {one}"


def _question(session: Object, language: str) -> web.Response:
    _ = translator(language)
    body = paragraph(_("The card's bank asks you to confirm this payment, as it would in its app."))
    body += form(button(_("Confirm"), "confirm", "primary"), button(_("Refuse"), "refuse"), kind="pair")
    return page(language, _("Confirm the payment"), body, leads_to=[session["success_url"]])


def _over(language: str, session: Object | None) -> web.Response:
    _ = translator(language)
    if session is None:
        return page(language, _("Checkout"), alert(_("There is no such checkout.")), status=404)
    done = session["status"] == "complete"
    sentence = _("This order is complete.") if done else _("This checkout has expired. Begin again where you came from.")
    return page(language, _("Checkout"), alert(sentence), status=410)
