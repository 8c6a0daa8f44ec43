"""Devices with client credentials of their own: a desktop that signs in again without its owner's password."""

from __future__ import annotations

import hmac
import secrets

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.attempts import attempt
from accounts.errors import Conflict, InvalidCredentials
from accounts.keys import digest_of
from accounts.models import Device, User

MOST_DEVICES = 50


def add_device(user: User, *, name: str, kind: str) -> tuple[Device, str]:
    """A new device and its client secret, which is nowhere to be had again. Raises Conflict."""
    if user.devices.count() >= MOST_DEVICES:
        raise Conflict(_("There are %(most)s devices already; remove one first.") % {"most": MOST_DEVICES})
    secret = secrets.token_urlsafe(32)
    client_id = f"{kind}_{user.pk}_{secrets.token_hex(8)}"
    return Device.objects.create(user=user, name=name, kind=kind, client_id=client_id, secret_digest=digest_of(secret)), secret


def sign_in_device(client_id: str, client_secret: str, *, address: str) -> Device:
    """The device whose credentials these are. Raises RateLimited, InvalidCredentials."""
    trying = attempt(client_id, address)
    device = Device.objects.select_related("user").filter(client_id=client_id, user__is_active=True).first()
    expected = device.secret_digest if device else ""
    if not hmac.compare_digest(expected, digest_of(client_secret)) or device is None:
        raise InvalidCredentials(_("Invalid client credentials"))
    trying.take_back()
    device.last_seen = timezone.now()
    device.save(update_fields=["last_seen"])
    return device


def remove_device(device: Device) -> None:
    """Its credentials and the logins made with them are dead at the next request."""
    device.user.login_tokens.filter(client_id=device.client_id, revoked=False).update(revoked=True)
    device.delete()
