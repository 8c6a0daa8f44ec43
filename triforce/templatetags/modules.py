"""The JavaScript modules of a page, named ahead, so that the browser fetches all of them at once instead of one import after the other."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

STATIC = Path(__file__).resolve().parent.parent / "static"
register = template.Library()


@cache
def _names(folder: str) -> list[str]:
    return sorted(f"{folder}/{path.name}" for path in STATIC.glob(f"{folder}/*.js"))


@register.simple_tag
def sentences_stamp() -> int:
    """Changes with the translations, so that a browser may keep what it has until then."""
    path = settings.LOCALE_PATHS[0] / "de/LC_MESSAGES/djangojs.mo"
    return int(path.stat().st_mtime) if path.exists() else 0


@register.simple_tag
def modulepreload(folder: str, *others: str) -> SafeString:
    """A line for every module of a folder of triforce/static, and for the others named."""
    return format_html_join("\n", '<link rel="modulepreload" href="{}">', ((static(name),) for name in (*_names(folder), *others)))
