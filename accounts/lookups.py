"""From a credential to its person and tier, in one joined query each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from allauth.account.models import EmailAddress
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

from accounts.models import ApiKey, LoginToken, User
from billing.compiled import CompiledQuery
from billing.models import Subscription
from billing.tiers import in_force


@dataclass(frozen=True, slots=True)
class Person:
    """An active account as the hot path needs it. position: of its highest tier in force, None = the default tier."""

    user_id: int
    email: str
    default_model: str
    brumo: bool
    substitution: str
    quota_mails: bool
    language: str
    is_staff: bool
    position: int | None
    is_verified: bool


_PERSON = ("id", "email", "default_model", "brumo", "substitution", "quota_mails", "language", "is_staff")  # in Person's order


@dataclass(frozen=True, slots=True)
class FoundKey:
    key_id: int
    scopes: list[str]
    models: list[str]
    daily_tokens: int
    person: Person


@dataclass(frozen=True, slots=True)
class FoundToken:
    token_id: int
    person: Person


def _with_person(rows: QuerySet[Any], to_user: str, *columns: str) -> QuerySet[Any, Any]:
    """The columns, then those of Person. `to_user` leads from the row to its user: "user__" or ""."""
    user = f"{to_user}id"
    subscriptions = Subscription.objects.filter(in_force(), user=OuterRef(user)).order_by("-tier__position")
    addresses = EmailAddress.objects.filter(user=OuterRef(user), email=OuterRef(f"{to_user}email"), verified=True)
    person = [f"{to_user}{column}" for column in _PERSON]
    return (
        rows.filter(**{f"{to_user}is_active": True})
        .order_by()
        .annotate(best=Subquery(subscriptions.values("tier__position")[:1]), is_proven=Exists(addresses))
        .values_list(*columns, *person, "best", "is_proven")
    )


def unexpired() -> Q:
    """The rows whose `expires` is not over."""
    return Q(expires=None) | Q(expires__gt=Now())


_KEY = CompiledQuery(
    lambda digest: _with_person(
        ApiKey.objects.filter(unexpired(), digest=digest, revoked=False), "user__", "pk", "scopes", "models", "daily_tokens"
    ),
    str,
)
_TOKEN = CompiledQuery(lambda jti: _with_person(LoginToken.objects.filter(expires__gt=Now(), jti=jti, revoked=False), "user__", "pk"), str)
_USER = CompiledQuery(lambda user_id: _with_person(User.objects.filter(pk=user_id), ""), int)
_EMAIL = CompiledQuery(lambda email: _with_person(User.objects.filter(email=email), ""), str)


def by_key(digest: str) -> FoundKey | None:
    """The key with that digest that is neither revoked nor expired, of an active account."""
    row = _KEY.first(digest)
    return None if row is None else FoundKey(row[0], row[1], row[2], row[3], Person(*row[4:]))


def by_login_token(jti: str) -> FoundToken | None:
    """The login with that jti that is neither revoked nor expired, of an active account."""
    row = _TOKEN.first(jti)
    return None if row is None else FoundToken(row[0], Person(*row[1:]))


def by_user_id(user_id: int) -> Person | None:
    """The active account with that id."""
    row = _USER.first(user_id)
    return None if row is None else Person(*row)


def by_email(email: str) -> Person | None:
    """The active account with that address, in its normal form."""
    row = _EMAIL.first(email)
    return None if row is None else Person(*row)
