"""Putting an announcement away."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from triforce.announcements import COOKIE, MOST_KEPT, put_away
from triforce.pages import back, keep


@require_POST
def dismiss(request: HttpRequest, announcement_id: int) -> HttpResponse:
    """POST /announcements/<id>/dismiss with `next`: not shown to this browser again."""
    response = back(request)
    away = [pk for pk in put_away(request) if pk != announcement_id] + [announcement_id]
    keep(response, COOKIE, ".".join(map(str, away[-MOST_KEPT:])))
    return response
