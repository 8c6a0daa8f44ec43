"""What allauth tells us about."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.signals import password_reset
from django.dispatch import receiver

from accounts.models import User


@receiver(password_reset)
def drop_a_squatters_keys(sender: Any, user: User, **kwargs: Any) -> None:
    """The mailbox's owner takes over an account that somebody else made with the address: nothing of theirs may go on working."""
    if not EmailAddress.objects.filter(user=user, verified=True).exists():
        user.api_keys.update(revoked=True)
