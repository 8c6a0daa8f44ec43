"""Signing in by address and password without a session: what desktop clients and scripts do."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.contrib.auth.hashers import make_password
from django.utils import timezone

from accounts.attempts import attempt, second_factor_attempt
from accounts.errors import InvalidCredentials, MfaRequired
from accounts.models import User, normalise_email

_TYPED_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES)


def sign_in(email: str, password: str, *, code: str = "", address: str) -> User:
    """The account whose password that is. Raises RateLimited, InvalidCredentials, MfaRequired; never makes an account."""
    trying = attempt(email, address)
    user = User.objects.filter(email=normalise_email(email)).first()
    if not _password_is_right(user, password) or user is None or not user.is_active:
        raise InvalidCredentials
    trying.take_back()
    _check_second_factor(user, code)
    User.objects.filter(pk=user.pk).update(last_login=timezone.now())
    return user


def _password_is_right(user: User | None, password: str) -> bool:
    """Takes as long for an unknown address, or an account without a password, as for a wrong password."""
    if user is None or not user.has_usable_password():
        make_password(password)
        return False
    return user.check_password(password)


def _check_second_factor(user: User, code: str) -> None:
    factors = list(Authenticator.objects.filter(user=user))
    if not factors:
        return
    if not code:
        raise MfaRequired
    trying = second_factor_attempt(user.pk)
    if not any(factor.wrap().validate_code(code) for factor in factors if factor.type in _TYPED_FACTORS):
        raise InvalidCredentials
    trying.take_back()
