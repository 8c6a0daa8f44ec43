"""The page at /simulator: the clock, the webhooks and the latest events, for a person."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from billing.simulator.control import DUNNING, OUTCOMES
from billing.simulator.deliveries import MODES
from billing.simulator.html import e, form, heading, hidden, page, paragraph, plain_button, rows, select
from billing.simulator.service import Service
from billing.simulator.words import language_of, money, translator

SHOWN = 30  # deliveries


async def show(request: web.Request) -> web.Response:
    """GET /simulator."""
    world = request.app[Service.KEY].world
    language = language_of(None, request.headers.get("Accept-Language", ""))
    _ = translator(language)
    settings = world.store.peek("_settings", "settings") or {}
    now = f"{datetime.fromtimestamp(world.now(), UTC):%Y-%m-%d %H:%M:%S} UTC"
    ahead = f"{settings['offset'] / 86_400:.1f}"
    steps = [("days", "1", _("A day")), ("months", "1", _("A month")), ("past_period_end", "true", _("Past the period's end"))]
    moves = "".join(form(hidden(name, value), plain_button(label), action="/simulator/clock") for name, value, label in steps)
    body = [
        paragraph(_("Everything here is made up: no bank, no card and no money takes part.")),
        heading(_("Clock")),
        rows([(_("Now"), now), (_("Days ahead of the wall clock"), ahead)]),
        f'<div class="row">{moves}</div>',
        heading(_("Webhooks")),
        _choice("mode", "mode", MODES, settings["mode"], _("Delivery"), _("Set")),
        form(plain_button(_("Send what is held")), action="/simulator/release"),
        heading(_("Charges")),
        _choice("charges", "outcome", OUTCOMES, (settings["charges"] or ["succeeded"])[0], _("Next charge"), _("Set")),
        _choice("dunning", "ends", DUNNING, settings["dunning_ends"], _("After the last retry"), _("Set")),
        _charges(request, language),
        heading(_("Latest deliveries")),
        _deliveries(request),
    ]
    return page(language, _("Payment simulator"), "\n".join(body), leads_to=[world.return_origin])


def _choice(action: str, name: str, choices: tuple[str, ...], chosen: str, label: str, press: str) -> str:
    return form(select(label, name, choices, chosen), plain_button(press), action=f"/simulator/{action}", kind="pair")


def _charges(request: web.Request, language: str) -> str:
    _, world = translator(language), request.app[Service.KEY].world
    paid = [row for row in world.store.all("charge") if row["paid"]][-5:][::-1]
    cells = []
    for row in paid:
        refund = form(hidden("charge", row["id"]), plain_button(_("Refund")), action="/simulator/refund")
        dispute = form(hidden("charge", row["id"]), plain_button(_("Dispute")), action="/simulator/dispute")
        acts = ("" if row["refunded"] else refund) + ("" if row["disputed"] else dispute)
        cells.append(f"<tr><th>{money(row['amount'], row['currency'], language)}</th><td><div class='row'>{acts}</div></td></tr>")
    return f"<table>{''.join(cells)}</table>" if cells else ""


def _deliveries(request: web.Request) -> str:
    latest = list(request.app[Service.KEY].world.store.all("_delivery"))[-SHOWN:][::-1]
    cells = [
        f"<tr><th>{e(row['type'])}</th><td>{e(row['state'])}</td><td>{e((row['attempts'] or [{}])[-1].get('status') or '–')}</td></tr>"
        for row in latest
    ]
    return f'<table class="small">{"".join(cells)}</table>' if cells else "<p>–</p>"
