"""The house's own pages: the operator's texts, how the pages look, and what an error says to a person."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.utils.functional import SimpleLazyObject
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from django.views.i18n import set_language
from markdown_it import MarkdownIt

from accounts.language import remember
from billing import offers
from llm.persona import saying
from triforce import announcements
from triforce.models import Text

THEMES = ("auto", "light", "dark")
THEME_COOKIE = "theme"
YEAR = 365 * 24 * 3600
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")  # HTML in a text is text


def portal(request: HttpRequest) -> dict[str, object]:
    """For every template: the chosen look, the footer's texts, announcements, who looks as another, and what is offered here."""
    theme = request.COOKIES.get(THEME_COOKIE, "")
    return {
        "theme": theme if theme in THEMES else "auto",
        "texts": SimpleLazyObject(texts),
        "announcements": SimpleLazyObject(lambda: announcements.shown_to(request)),
        "impersonation": getattr(request, "impersonation", None),
        "signs_in_elsewhere": bool(settings.SOCIALACCOUNT_PROVIDERS),
        "is_selling": bool(settings.STRIPE_SECRET_KEY),
        "may_end_contracts": SimpleLazyObject(offers.may_end_contracts),
    }


def texts() -> list[Text]:
    """Every text once: in the visitor's language, else in the house's."""
    found: dict[str, Text] = {}
    for text in Text.objects.filter(language__in={get_language(), settings.LANGUAGE_CODE}).defer("body"):
        if text.slug not in found or text.language == get_language():
            found[text.slug] = text
    return sorted(found.values(), key=lambda text: text.position)


@require_safe
def text(request: HttpRequest, slug: str) -> HttpResponse:
    """GET /pages/<slug>"""
    rows = {row.language: row for row in Text.objects.filter(slug=slug)}
    found = rows.get(get_language() or "") or rows.get(settings.LANGUAGE_CODE)
    if found is None:
        raise Http404
    return render(request, "pages/text.html", {"text": found, "html": mark_safe(_markdown.render(found.body))})


@require_POST
def appearance(request: HttpRequest) -> HttpResponse:
    """POST /appearance: light, dark, or as the device has it. Kept in a cookie, so that no page flashes."""
    response = back(request)
    theme = request.POST.get("theme")
    if theme in THEMES:
        keep(response, THEME_COOKIE, theme)
    return response


def back(request: HttpRequest) -> HttpResponse:
    """To the posted `next`, where that is a page of ours."""
    to = request.POST.get("next", "")
    return HttpResponseRedirect(to if url_has_allowed_host_and_scheme(to, {request.get_host()}, request.is_secure()) else "/")


def keep(response: HttpResponse, name: str, value: str) -> None:
    """What somebody chose, in a cookie of this browser, for a year."""
    response.set_cookie(name, value, max_age=YEAR, httponly=True, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE)


def language(request: HttpRequest) -> HttpResponseBase:
    """POST /language: German or English, on this browser and, of somebody who is signed in, in their mails too."""
    response = set_language(request)
    chosen = request.POST.get("language", "")
    if request.method == "POST" and request.user.is_authenticated and chosen in dict(settings.LANGUAGES):
        remember(request.user, chosen, response)
    return response


@require_safe
@login_required
def components(request: HttpRequest) -> HttpResponse:
    """GET /internal/components: every component in the light and in the dark, for those who build with them."""
    user: Any = request.user
    if not user.is_staff:
        raise PermissionDenied
    return render(request, "pages/components.html", {"looks": ("light", "dark")})


def not_found(request: HttpRequest) -> HttpResponse:
    """404 for a person."""
    return _error(request, 404, _("There is nothing here"), _("The address is wrong, or what was here is gone."), "missing")


def forbidden(request: HttpRequest) -> HttpResponse:
    """403 for a person."""
    return _error(request, 403, _("This is not for you"), _("Sign in with another account, or go back and try again."), "permission")


def stale(request: HttpRequest) -> HttpResponse:
    """403 for a form whose token does not fit."""
    words = _("The page was open for too long, or its form came from elsewhere. Go back, load it anew, and try again.")
    return _error(request, 403, _("That form is too old"), words, "input")


def _error(request: HttpRequest, status: int, heading: str, words: str, situation: str) -> HttpResponse:
    context = {"heading": heading, "words": words, "saying": saying(situation, request.path)}
    try:
        return render(request, "pages/error.html", context, status=status)
    finally:
        if not connection.in_atomic_block:
            connection.close()  # Django makes these pages in threads of its own, whose connections nobody else gives back
