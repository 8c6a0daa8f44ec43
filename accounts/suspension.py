"""Closing an account for a while: nothing of it works, nothing of it is lost."""

from __future__ import annotations

from accounts.models import User


def suspend(user: User) -> None:
    """From the next request on no credential of theirs is good; open sockets close within two seconds."""
    User.objects.filter(pk=user.pk).update(is_active=False)
    user.sign_out_everywhere()


def reinstate(user: User) -> None:
    """They may sign in again; their API keys work again."""
    User.objects.filter(pk=user.pk).update(is_active=True)
