"""Looking at the portal as somebody else: one row that the account's owner sees, and a mark in the operator's session.

Who looks, looks only: triforce.impersonation lets the listed pages through and nothing that writes; the doors in front of Django's
middleware are closed by accounts.sessions.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Impersonation, User

KEY = "impersonation"  # in the session: the row's pk
MINUTES = 30
RIGHT = "accounts.impersonate_user"


def begin(request: HttpRequest, user: User, reason: str) -> Impersonation:
    """Look at the portal as `user` from the next request on, for MINUTES at most. Raises PermissionDenied for accounts of the staff."""
    operator: Any = request.user
    if not _may(operator, user):
        raise PermissionDenied
    row = Impersonation.objects.create(user=user, operator=operator, reason=reason)
    request.session[KEY] = row.pk
    return row


def current(request: HttpRequest) -> Impersonation | None:
    """The look that this session is in; ends one whose time or right is over."""
    pk, operator = request.session.get(KEY), request.user
    if pk is None:
        return None
    row = Impersonation.objects.select_related("user").filter(pk=pk, operator_id=operator.pk, ended=None).first()
    if row is not None and _may(operator, row.user) and timezone.now() - row.started < timedelta(minutes=MINUTES):
        return row
    end(request)
    return None


def _may(operator: Any, user: User) -> bool:
    """Somebody who works here now, and an account that is nobody's who does."""
    return operator.is_active and operator.is_staff and operator.has_perm(RIGHT) and not user.works_here


def end(request: HttpRequest) -> None:
    """Be oneself again."""
    pk = request.session.pop(KEY, None)
    Impersonation.objects.filter(pk=pk, ended=None).update(ended=timezone.now())
