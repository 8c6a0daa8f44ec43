"""Who may: anybody, an account, a credential with a scope, or the account's owner in person. Each refuses with its own error."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.authentication import caller_of
from accounts.errors import AuthenticationRequired, InsufficientScope


class AnyCaller(BasePermission):
    """Everybody, guests too."""

    for_guests = True

    def has_permission(self, request: Request, view: Any) -> bool:
        return True


class IsUser(BasePermission):
    """Anyone with an account, by whatever credential."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.auth is None or caller_of(request).is_guest:
            raise AuthenticationRequired
        return True


class KeepsChats(IsUser):
    """Who has conversations: an account, with the scope `chat`, or a guest's browser."""

    def has_permission(self, request: Request, view: Any) -> bool:
        caller = None if request.auth is None else caller_of(request)
        if caller is not None and caller.visitor:
            return True
        super().has_permission(request, view)
        if caller is not None and not caller.may("chat"):
            raise InsufficientScope
        return True


class IsOwner(IsUser):
    """The account's owner: a login or a session. No key or proxy manages the account, or it could give itself more rights."""

    def has_permission(self, request: Request, view: Any) -> bool:
        super().has_permission(request, view)
        if caller_of(request).scopes is not None:
            raise InsufficientScope
        return True


def HasScope(scope: str) -> type[IsUser]:
    """The permission class for credentials that open `scope`."""

    class Scoped(IsUser):
        def has_permission(self, request: Request, view: Any) -> bool:
            super().has_permission(request, view)
            if not caller_of(request).may(scope):
                raise InsufficientScope
            return True

    return Scoped
