"""The pages' language: the application's own catalogue of sentences, read without Django, and how amounts and days are written."""

from __future__ import annotations

import functools
import gettext
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

LOCALE = Path(__file__).resolve().parents[2] / "locale"
SIGNS = {"eur": "€", "usd": "$", "gbp": "£", "chf": "CHF"}


@functools.cache
def translator(language: str) -> Callable[[str], str]:
    """gettext for "de" or "en"."""
    return gettext.translation("django", LOCALE, ["de"], fallback=True).gettext if language == "de" else str


def language_of(locale: str | None, accepted: str) -> str:
    """ "de" or "en": what the session asks for, else what the browser prefers."""
    wanted = accepted if locale in (None, "", "auto") else str(locale)
    return "de" if wanted.lower().startswith("de") else "en"


def money(cents: int, currency: str, language: str) -> str:
    """18,99 € or €18.99."""
    sign, amount = SIGNS.get(currency, currency.upper()), f"{abs(cents) / 100:,.2f}"
    minus = "−" if cents < 0 else ""
    if language == "de":
        return f"{minus}{amount.translate(str.maketrans(',.', '.,'))} {sign}"
    return f"{minus}{sign}{amount}"


def day(moment: int, language: str) -> str:
    """26.11.2026 or 26 Nov 2026, in UTC."""
    return f"{datetime.fromtimestamp(moment, UTC):{'%d.%m.%Y' if language == 'de' else '%d %b %Y'}}"
