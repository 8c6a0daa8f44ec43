"""What the account views share."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.authentication import caller_of
from accounts.errors import NotFound
from accounts.models import User, normalise_email


class OwnView(APIView):
    """A view under /v1/users/{me}/: `me` is the caller's own id or address, or "me"; anybody else's is not there."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        caller = caller_of(request)
        if normalise_email(kwargs["me"]) not in ("me", str(caller.user_id), caller.email):
            raise NotFound


def user_of(request: Request) -> User:
    """The signed-in account of a request that IsUser has let in."""
    return request.user  # type: ignore[return-value]
