"""A conversation for whoever has its link: the branch as it was when it was shared, until it is revoked or the link ends."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from billing import clock
from llm import listing
from llm.conversations import parents_of, path_to
from llm.models import Conversation, Turn


def share(conversation: Conversation, days: int) -> None:
    """Share what there is now, for so many days; 0 = until it is revoked. Shared anew, it gets a new link and the old one is dead."""
    conversation.share_token = secrets.token_urlsafe(24)
    conversation.share_expires = clock.now() + timedelta(days=days) if days else None
    conversation.share_leaf = conversation.leaf
    conversation.save(update_fields=["share_token", "share_expires", "share_leaf"])


def revoke(conversation: Conversation) -> None:
    """The link is dead at once."""
    conversation.share_token = conversation.share_expires = conversation.share_leaf = None
    conversation.save(update_fields=["share_token", "share_expires", "share_leaf"])


def link_of(conversation: Conversation) -> dict[str, str | datetime | None] | None:
    """{url, expires}; None where it is not shared (any more)."""
    expires = conversation.share_expires
    if not conversation.share_token or (expires is not None and expires <= clock.now()):
        return None
    return {"url": f"{settings.PUBLIC_URL}/shared/{conversation.share_token}", "expires": expires}


def shared(token: str) -> Conversation | None:
    """The conversation behind a link that holds."""
    in_force = Q(share_expires=None) | Q(share_expires__gt=clock.now())
    return Conversation.objects.filter(in_force, share_token=token, deleted=None).select_related("share_leaf").first()


def turns_of(conversation: Conversation) -> list[tuple[Turn, list[Turn]]]:
    """What is shared, from the first question on, each with its answers: those of its comparison, or its own."""
    path = path_to(conversation.share_leaf_id, parents_of(conversation))
    return [(turn, turn.alternatives or [turn]) for turn in listing.loaded(conversation, path)]  # type: ignore[attr-defined]
