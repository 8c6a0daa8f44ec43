"""A guest who signs in: the chats of their browser become the account's, and so does what they used of the day.

So does what an account used of the guests' day before its address was proven.
"""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpRequest

from accounts.models import User
from accounts.visitors import visitor_of
from billing.models import UsageClass
from billing.tiers import tier_for
from billing.visitors import carry_over
from llm.models import Attachment, Conversation, Provider


@receiver(user_logged_in, dispatch_uid="llm.adoption")
def take_along(sender: Any, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    """The portal's sign-in, by whatever means."""
    visitor = visitor_of(request.COOKIES) if request is not None else ""
    if visitor:
        adopt(visitor, user)


@receiver(post_save, sender=EmailAddress, dispatch_uid="llm.adoption.proven")
def count_itself(sender: Any, instance: EmailAddress, **kwargs: Any) -> None:
    """From its first proven address on."""
    if instance.verified:
        _carry(instance.user.subject, instance.user)


@transaction.atomic
def adopt(visitor: str, user: User) -> None:
    """All that is that browser's; once, for nothing is left to take."""
    for model in (Conversation, Attachment):
        model.objects.filter(visitor=visitor, user=None).update(visitor="", user=user)
    _carry(visitor, user)


def _carry(share: str, user: User) -> None:
    tier = tier_for(user)
    unlimited = Provider.objects.filter(usage_class=UsageClass.UNLIMITED) if tier.ollama_unlimited else Provider.objects.none()
    carry_over(share, account_id=user.pk, subject=user.subject, tier=tier.slug, unlimited=unlimited.values_list("slug", flat=True))
