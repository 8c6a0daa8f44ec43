"""The hosted invoice: what was charged, the PDF, and a card form where it is still open."""

from __future__ import annotations

from aiohttp import web

from billing.simulator.collection import collect
from billing.simulator.errors import ApiError, declined
from billing.simulator.forms import FormError, card_from, posted
from billing.simulator.html import alert, button, card_fields, form, link, page, refusal, rows
from billing.simulator.invoices import subscription_of
from billing.simulator.methods import attach
from billing.simulator.pdf import document
from billing.simulator.service import Service
from billing.simulator.store import Object
from billing.simulator.words import day, language_of, money, translator
from billing.simulator.world import World, no_request


def _invoice(request: web.Request) -> Object:
    world = request.app[Service.KEY].world
    for row in world.store.all("invoice"):
        if row.get("_token") == request.match_info["token"]:
            return world.get("invoice", row["id"])
    raise web.HTTPNotFound(text="There is no such invoice.")


def _language(request: web.Request, world: World, invoice: Object) -> str:
    locales = world.get("customer", invoice["customer"])["preferred_locales"]
    return language_of(locales[0] if locales else None, request.headers.get("Accept-Language", ""))


async def show(request: web.Request) -> web.Response:
    """GET /i/{token}."""
    world, invoice = request.app[Service.KEY].world, _invoice(request)
    return _page(invoice, _language(request, world, invoice), {})


async def submit(request: web.Request) -> web.StreamResponse:
    """POST /i/{token}: pay it with another card, which the subscription keeps; confirm answers the bank's question."""
    given = await posted(request)
    service, invoice = request.app[Service.KEY], _invoice(request)
    world, id, language = service.world, invoice["id"], _language(request, service.world, invoice)
    _ = translator(language)
    world.request = no_request()
    if invoice["status"] not in ("open", "uncollectible"):
        raise web.HTTPSeeOther(request.path)
    try:
        confirmed = given.get("action") == "confirm"
        if not confirmed:
            invoice["_pending"] = card_from(world, _, given)["id"]
            service.keep()
            invoice = world.get("invoice", id)
        _pay(world, invoice, confirmed)
    except FormError as error:
        world.store.rollback()
        return _page(world.get("invoice", id), language, given, str(error), status=422)
    except ApiError as error:
        world.store.rollback()
        code = str(error.more.get("decline_code", ""))
        asked = code == "authentication_required"
        return _page(world.get("invoice", id), language, given, refusal(_, code), status=200 if asked else 402, question=asked)
    service.keep()
    raise web.HTTPSeeOther(request.path)


def _pay(world: World, invoice: Object, confirmed: bool) -> None:
    method = world.get("payment_method", invoice["_pending"])
    attach(world, method, world.get("customer", invoice["customer"]), confirmed)
    subscription = subscription_of(world, invoice)
    subscription["default_payment_method"] = method["id"]
    if code := collect(world, invoice, method=method, on_session=True, confirmed=confirmed):
        raise declined("The card was refused.", code, code)


def lines_of(invoice: Object, language: str) -> list[tuple[str, str]]:
    """(what, how much) of the whole invoice."""
    _, currency = translator(language), invoice["currency"]
    shown = [(f"{row['description']}", money(row["amount"], currency, language)) for row in invoice["lines"]["data"]]
    shown += [(_("Discount"), money(-row["amount"], currency, language)) for row in invoice["total_discount_amounts"]]
    included, added = _("VAT included"), _("VAT")
    shown += [
        (included if row["tax_behavior"] == "inclusive" else added, money(row["amount"], currency, language))
        for row in invoice["total_taxes"]
    ]
    shown.append((_("Total"), money(invoice["total"], currency, language)))
    if balance := invoice["starting_balance"] - (invoice["ending_balance"] or 0):
        shown.append((_("Credit used") if balance < 0 else _("Credit kept for later"), money(balance, currency, language)))
    return [
        *shown,
        (_("Paid"), money(invoice["amount_paid"], currency, language)),
        (_("Open"), money(invoice["amount_remaining"], currency, language)),
    ]


def heading(invoice: Object, language: str) -> list[tuple[str, str]]:
    _ = translator(language)
    pairs = [(_("Invoice number"), invoice["number"] or "–"), (_("Date"), day(invoice["created"], language))]
    first = invoice["lines"]["data"]
    if first:
        period = (min(row["period"]["start"] for row in first), max(row["period"]["end"] for row in first))
        pairs.append((_("Period of service"), f"{day(period[0], language)} – {day(period[1], language)}"))
    return [*pairs, (_("Seller"), invoice["account_name"]), (_("Customer"), invoice["customer_name"] or invoice["customer_email"] or "–")]


def _page(
    invoice: Object, language: str, given: dict[str, str], problem: str = "", *, status: int = 200, question: bool = False
) -> web.Response:
    _ = translator(language)
    words = {"open": _("Open"), "paid": _("Paid"), "void": _("Void"), "uncollectible": _("Given up"), "draft": _("Draft")}
    parts = [
        alert(problem),
        rows([*heading(invoice, language), (_("Status"), words[invoice["status"]])]),
        rows(lines_of(invoice, language)),
    ]
    parts.append(link(_("Download as PDF"), invoice["invoice_pdf"]))
    if question:
        parts.append(form(button(_("Confirm"), "confirm", "primary")))
    elif invoice["status"] in ("open", "uncollectible"):
        parts.append(form(card_fields(_, given), button(_("Pay now"), "pay", "primary")))
    return page(language, _("Invoice"), "\n".join(parts), status=status)


async def pdf(request: web.Request) -> web.Response:
    """GET /i/{token}/pdf."""
    world, invoice = request.app[Service.KEY].world, _invoice(request)
    language = _language(request, world, invoice)
    _ = translator(language)
    gap = [("", "")]
    body = document(
        _("Invoice"), [(_("Simulator – no real money"), ""), *gap, *heading(invoice, language), *gap, *lines_of(invoice, language)]
    )
    headers = {"Content-Disposition": f'inline; filename="{invoice["number"]}.pdf"', "Cache-Control": "no-store"}
    return web.Response(body=body, content_type="application/pdf", headers=headers)
