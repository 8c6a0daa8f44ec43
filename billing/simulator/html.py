"""The frame of every page, and the few elements that they share. Plain HTML, no script."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from aiohttp import web

from billing.simulator.cards import CARDS
from billing.simulator.words import translator

COUNTRIES = ("DE", "AT", "CH", "FR", "NL", "IT", "ES", "PL", "GB", "US")
Words = Callable[[str], str]


def e(value: object) -> str:
    return html.escape(str(value), quote=True)


def page(language: str, title: str, body: str, *, status: int = 200, leads_to: Iterable[str] = ()) -> web.Response:
    """A whole page. `leads_to`: addresses outside the simulator that its forms may end at."""
    _ = translator(language)
    banner = _("Simulator – no real money")
    origins = sorted({f"{parts.scheme}://{parts.netloc}" for url in leads_to if (parts := urlsplit(url)).netloc})
    text = f"""<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{e(title)}</title>
<link rel="stylesheet" href="/simulator/style.css">
</head>
<body>
<header class="banner">{e(banner)}</header>
<main>
<h1>{e(title)}</h1>
{body}
</main>
</body>
</html>
"""
    targets = " ".join(["'self'", *origins])
    policy = f"default-src 'none'; style-src 'self'; form-action {targets}; base-uri 'none'; frame-ancestors 'none'"
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


def alert(sentence: str) -> str:
    return f'<p class="alert" role="alert">{e(sentence)}</p>' if sentence else ""


def field(label: str, name: str, value: str = "", **attributes: str) -> str:
    """A labelled text field."""
    return f'<label>{e(label)}<input name="{name}" value="{e(value)}"{_more(attributes)}></label>'


def plain_button(label: str) -> str:
    """Of a form that does one thing."""
    return f"<button>{e(label)}</button>"


def _more(attributes: dict[str, str]) -> str:
    return "".join(f' {key}="{e(text)}"' for key, text in attributes.items())


def paragraph(text: str) -> str:
    return f"<p>{e(text)}</p>"


def heading(text: str) -> str:
    return f"<h2>{e(text)}</h2>"


def link(text: str, url: str, kind: str = "") -> str:
    return f'<a class="{kind}" href="{e(url)}">{e(text)}</a>'


def form(*parts: str, action: str = "", kind: str = "") -> str:
    """A form that posts to `action`, or to the page itself."""
    return f'<form method="post" action="{e(action)}" class="{kind}">{"".join(parts)}</form>'


def pair(*parts: str) -> str:
    """Side by side."""
    return f'<div class="pair">{"".join(parts)}</div>'


def hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{e(value)}">'


def select(label: str, name: str, options: Iterable[str], chosen: str = "") -> str:
    """A labelled choice."""
    shown = "".join(f"<option{' selected' if option == chosen else ''}>{e(option)}</option>" for option in options)
    return f'<label>{e(label)}<select name="{name}">{shown}</select></label>'


def button(label: str, action: str, kind: str = "", **attributes: str) -> str:
    return f'<button class="{kind}" name="action" value="{action}"{_more(attributes)}>{e(label)}</button>'


def rows(pairs: Iterable[tuple[str, str]]) -> str:
    """Two columns: what, and how much."""
    return "<table>" + "".join(f"<tr><th>{e(name)}</th><td>{e(value)}</td></tr>" for name, value in pairs) + "</table>"


def card_fields(_: Words, given: dict[str, str]) -> str:
    """Number, expiry and check digits of a card, with the test cards to choose from."""
    month = datetime.now(UTC)
    number = given.get("number") or "4242 4242 4242 4242"
    expiry = given.get("expiry") or f"{month.month:02d}/{(month.year + 3) % 100:02d}"
    options = "".join(f'<option value="{card.number}">{e(about(_, card.about))}</option>' for card in CARDS.values())
    known = "".join(f"<tr><td><code>{spaced(card.number)}</code></td><td>{e(about(_, card.about))}</td></tr>" for card in CARDS.values())
    typed = {"inputmode": "numeric", "autocomplete": "off", "required": ""}
    parts = [
        field(_("Card number"), "number", spaced(number), list="cards", **typed),
        f'<datalist id="cards">{options}</datalist>',
        pair(
            field(_("Expires (MM/YY)"), "expiry", expiry, autocomplete="off", required=""),
            field(_("Security code"), "cvc", given.get("cvc") or "123", **typed),
        ),
    ]
    title, tests = _("Card"), _("Test cards")
    details = f'<details><summary>{e(tests)}</summary><table class="cards">{known}</table></details>'
    return f"<fieldset><legend>{e(title)}</legend>{''.join(parts)}{details}</fieldset>"


def spaced(number: str) -> str:
    """In groups of four."""
    digits = number.replace(" ", "")
    return " ".join(digits[place : place + 4] for place in range(0, len(digits), 4))


def about(_: Words, sentence: str) -> str:
    """What a test card does, in the page's language."""
    return {
        "Succeeds": _("Succeeds"),
        "Succeeds, and expires next month": _("Succeeds, and expires next month"),
        "Asks for a confirmation, then succeeds": _("Asks for a confirmation, then succeeds"),
        "Asks for a confirmation each time": _("Asks for a confirmation each time"),
        "Succeeds now, and fails at the next charge": _("Succeeds now, and fails at the next charge"),
        "Is declined": _("Is declined"),
        "Has insufficient funds": _("Has insufficient funds"),
        "Has expired": _("Has expired"),
    }[sentence]


def refusal(_: Words, code: str) -> str:
    """Why the bank said no, for the person who pays."""
    return {
        "insufficient_funds": _("The card has insufficient funds. Choose another card."),
        "expired_card": _("The card has expired. Choose another card."),
        "authentication_required": _("The bank wants a confirmation."),
        "no_payment_method": _("There is no card to charge. Enter one."),
    }.get(code, _("The card was declined. Choose another card."))
