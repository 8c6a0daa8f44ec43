"""What makes the portal installable: its manifest, the worker that knows one page without a line, and that page."""

from __future__ import annotations

import hashlib
import json

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from triforce.pages import portal

GROUND = "#faf7f2"  # --ground of tokens.css, in the light
NEEDED = ("triforce/tokens.css", "triforce/base.css", "triforce/brumo.svg")  # by the page without a line


@require_safe
def manifest(request: HttpRequest) -> HttpResponse:
    """GET /manifest.webmanifest"""

    def icon(name: str, side: int, purpose: str) -> dict[str, str]:
        return {"src": static(f"triforce/icons/{name}.png"), "sizes": f"{side}x{side}", "type": "image/png", "purpose": purpose}

    body = {
        "id": "/",
        "name": "TriForce",
        "short_name": "TriForce",
        "description": _("Every large language model behind one account: one API, one chat, one exact meter."),
        "lang": get_language(),
        "start_url": "/chat",
        "scope": "/",
        "display": "standalone",
        "background_color": GROUND,
        "theme_color": GROUND,
        "icons": [icon("icon-192", 192, "any"), icon("icon-512", 512, "any"), icon("icon-mask-512", 512, "maskable")],
        "shortcuts": [
            {"name": _("Chat"), "url": "/chat"},
            {"name": _("Models"), "url": reverse("models")},
            {"name": _("Overview"), "url": reverse("dashboard")},
        ],
    }
    return JsonResponse(body, content_type="application/manifest+json", headers={"Cache-Control": "no-cache"})


@require_safe
def offline(request: HttpRequest) -> HttpResponse:
    """GET /offline: what the worker shows where the line is dead. It says nothing of who looks at it, for it is kept."""
    return render(request, "pages/offline.html")


@never_cache
@require_safe
def worker(request: HttpRequest) -> HttpResponse:
    """GET /service-worker.js. Its text changes with what it keeps, so that a browser fetches both anew."""
    kept = [reverse("offline"), *map(static, NEEDED)]
    look = json.dumps([kept, get_language(), portal(request)["theme"]])
    context = {"kept": json.dumps(kept), "version": hashlib.sha256(look.encode()).hexdigest()[:16]}
    return render(request, "service-worker.js", context, content_type="text/javascript; charset=utf-8")
