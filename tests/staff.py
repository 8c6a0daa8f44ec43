"""The staff's sessions: signed in with the second factor that the administration asks for."""

from __future__ import annotations

import time
from typing import Any

from allauth.account.internal.flows.login import _AUTHENTICATION_METHODS_USER_SESSION_KEY, AUTHENTICATION_METHODS_SESSION_KEY
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.auth.models import Group
from django.test import Client

from accounts.models import User

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def give_factor(user: User) -> str:
    """A second factor's secret."""
    secret = generate_totp_secret()
    Authenticator.objects.filter(user=user).delete()
    TOTP.activate(user, secret)
    return secret


def enter(client: Any, user: User) -> Any:
    """The client, signed in as allauth does it after a password and a code."""
    if not Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists():
        give_factor(user)
    client.force_login(user, backend=BACKEND)
    session = client.session
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [{"method": "mfa", "at": time.time(), "type": "totp"}]
    session[_AUTHENTICATION_METHODS_USER_SESSION_KEY] = str(user.pk)
    session.save()
    return client


def staff(role: str = "", email: str = "") -> User:
    """Somebody of that role, made once; of none: a superuser."""
    email = email or f"{role or 'root'}@example.org"
    if found := User.objects.filter(email=email).first():
        return found
    if not role:
        return User.objects.create_superuser(email, "x")
    user = User.objects.create_user(email, "x", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


def staff_client(role: str = "") -> Client:
    """A browser of somebody of that role."""
    client = Client()
    enter(client, staff(role))
    return client
