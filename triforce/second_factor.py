"""The administration is entered with a second factor: the account has one, and this session was opened or renewed with it today."""

from __future__ import annotations

import time
from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

PROOF_SECONDS = 12 * 3600  # a working day; then it is shown once more
FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def has_factor(user: Any) -> bool:
    """Does the account have one? Recovery codes alone are none. Asked once a request."""
    known: bool | None = getattr(user, "_has_factor", None)
    if known is None:
        known = Authenticator.objects.filter(user=user, type__in=FACTORS).exists()
        user._has_factor = known
    return known


def is_proven(request: HttpRequest) -> bool:
    """May this session enter? In development a password is enough."""
    if settings.DEBUG:
        return True
    since = time.time() - PROOF_SECONDS
    proofs = (record for record in get_authentication_records(request, request.user) if record.get("method") == "mfa")
    return any(record.get("at", 0) > since for record in proofs) and has_factor(request.user)


def lead_to_it(request: HttpRequest, back: str) -> HttpResponse:
    """To where somebody of the staff sets one up, or shows the one they have."""
    if has_factor(request.user):
        return HttpResponseRedirect(f"{reverse('mfa_reauthenticate')}?{urlencode({'next': back})}")
    messages.warning(request, _("The administration needs a second factor. Set one up here, then go back to it."))
    return HttpResponseRedirect(reverse("mfa_index"))
