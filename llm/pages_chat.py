"""The chat, and what somebody shared of one."""

from __future__ import annotations

import uuid
from typing import Any, cast

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.utils.safestring import mark_safe
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from markdown_it import MarkdownIt

from accounts.authentication import address_of_request
from accounts.caller import Caller, caller_for
from accounts.models import User
from accounts.sync import settings_of
from accounts.visitors import remember, visitor_of
from billing import clock
from llm import attachments, sharing
from llm.conversations import own
from llm.persona import saying
from llm.serializers_chat import MOST_ATTACHMENTS
from llm.serializers_conversations import DAYS

MOST_BESIDE = 4  # models side by side
# HTML is text, and an image would tell its host who reads
_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")


@never_cache
@require_safe
def chat(request: HttpRequest, conversation_id: uuid.UUID | None = None) -> HttpResponse:
    """GET /chat, GET /chat/<conversation_id>. A guest's browser gets a cookie, whose chats these are."""
    caller = _caller(request)
    if conversation_id is not None and not own(caller).filter(pk=conversation_id).exists():
        raise Http404
    response = render(request, "pages/chat.html", {"boot": _boot(request, caller, conversation_id)})
    if caller.is_guest:
        remember(request, response)
    return response


def _caller(request: HttpRequest) -> Caller:
    """Pages know sessions and cookies, and no other credential."""
    return caller_for({}, address_of_request(request), session_user=request.user, visitor=visitor_of(request.COOKIES))


def _boot(request: HttpRequest, caller: Caller, conversation_id: uuid.UUID | None) -> dict[str, Any]:
    """What the page's scripts start with."""
    own_settings = {} if caller.is_guest else settings_of(cast(User, request.user))
    favourites = own_settings.get("favourites")
    return {
        "user": caller.email or None,
        "tier": caller.tier.slug,
        "tier_name": caller.tier.label,
        "is_guest": caller.is_guest,
        "conversation": None if conversation_id is None else str(conversation_id),
        "default_model": caller.default_model or settings.DEFAULT_MODEL,
        "language": get_language(),
        "csrf": get_token(request),
        "share_days": [*DAYS[1:], 0],
        "favourites": favourites if isinstance(favourites, list) else [],
        "brumo": caller.brumo,
        "saying": saying("welcome", str(clock.now().date())),
        "limits": {
            "attachment_bytes": attachments.MOST_BYTES,
            "attachments": MOST_ATTACHMENTS,
            "compare": min(MOST_BESIDE, caller.tier.concurrency or MOST_BESIDE),
        },
    }


@never_cache
@require_safe
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """GET /shared/<token>: for whoever has the link, and for no search engine."""
    conversation = sharing.shared(token)
    if conversation is None:
        raise Http404
    turns = [
        (turn, [(one, mark_safe(_markdown.render(one.answer))) for one in answers]) for turn, answers in sharing.turns_of(conversation)
    ]
    response = render(request, "pages/shared.html", {"conversation": conversation, "turns": turns})
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
