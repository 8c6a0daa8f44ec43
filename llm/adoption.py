"""A guest who signs in: the chats of their browser become the account's, and so does what they used of the day."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest

from accounts.models import User
from accounts.visitors import visitor_of
from billing.tiers import tier_for
from billing.visitors import carry_over
from llm.models import Attachment, Conversation


@receiver(user_logged_in, dispatch_uid="llm.adoption")
def take_along(sender: Any, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    """The portal's sign-in, by whatever means."""
    visitor = visitor_of(request.COOKIES) if request is not None else ""
    if visitor:
        adopt(visitor, user)


@transaction.atomic
def adopt(visitor: str, user: User) -> None:
    """All that is that browser's; once, for nothing is left to take."""
    for model in (Conversation, Attachment):
        model.objects.filter(visitor=visitor, user=None).update(visitor="", user=user)
    carry_over(visitor, account_id=user.pk, subject=user.subject, tier=tier_for(user).slug)
