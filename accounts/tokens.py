"""Login tokens: JWTs that name a row, so that one can be taken back before its 30 days are over."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta
from functools import lru_cache

import jwt
from django.conf import settings
from django.utils import timezone

from accounts.errors import InvalidToken
from accounts.models import LoginToken, User

_ALGORITHM = "HS256"


def token_seconds() -> int:
    """How long a login token holds."""
    return int(settings.LOGIN_TOKEN_DAYS) * 86_400


def issue_token(user: User, *, client_id: str = "") -> tuple[str, str]:
    """A login token (JWT) and its client id, which is new unless a device brings its own."""
    client_id = client_id or new_client_id(user.email)
    now = timezone.now()
    expires = now + timedelta(seconds=token_seconds())
    row = LoginToken.objects.create(jti=secrets.token_hex(16), user=user, client_id=client_id, created=now, expires=expires)
    claims = {"sub": user.email, "uid": user.pk, "jti": row.jti, "client_id": client_id, "iat": now, "exp": expires}
    return jwt.encode(claims, _signing_key(settings.SECRET_KEY), algorithm=_ALGORITHM), client_id


def read_token(token: str) -> tuple[str, int]:
    """The jti and the user id of a token that is signed by us and not expired. Raises InvalidToken."""
    try:
        claims = jwt.decode(token, _signing_key(settings.SECRET_KEY), algorithms=[_ALGORITHM], options={"require": ["exp", "jti", "uid"]})
        return str(claims["jti"]), int(claims["uid"])
    except (jwt.InvalidTokenError, ValueError, TypeError) as error:
        raise InvalidToken from error


def new_client_id(email: str) -> str:
    """`client-<up to 10 characters of the local part>-<16 hex>`."""
    local = re.sub(r"[^a-z0-9._-]", "", email.partition("@")[0].casefold())[:10]
    return f"client-{local}-{secrets.token_hex(8)}"


@lru_cache(maxsize=4)
def _signing_key(secret: str) -> bytes:
    return hashlib.sha256(b"triforce login token|" + secret.encode()).digest()
