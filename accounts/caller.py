"""Who is asking: the one authenticator behind every door.

A request names its caller by a bearer token, an API key, a session or, in trusted-proxy mode, the proxy's signature; with
none of them it is a guest's. One query each, compiled once: this runs on every chat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from accounts import last_used, lookups
from accounts.address import guest_subject, guests_of
from accounts.errors import AmbiguousCredentials, InvalidToken, UserIdMismatch
from accounts.keys import PREFIX, SCOPES, digest_of, is_well_formed
from accounts.lookups import Person
from accounts.proxy import Seen, is_vouched_for
from accounts.tokens import read_token
from accounts.user_id import claimed_user
from billing.models import Tier
from billing.tiers import guest_tier, tier_from


@dataclass(frozen=True, slots=True)
class Caller:
    """The one who asks, with the tier that holds for this request. `scopes` None = all; `key_models` empty = all of the tier's."""

    user_id: int | None
    email: str
    tier: Tier
    subject: str  # the meter's name: "user:5" or "guest:<hash>"; an account that nobody has proven is counted with the guests
    address: str
    carrier: str  # guest, token, key, session or proxy
    scopes: frozenset[str] | None = None
    key_id: int | None = None
    key_models: tuple[str, ...] = ()
    key_daily_tokens: int = 0
    token_id: int | None = None  # LoginToken's
    default_model: str = ""
    brumo: bool = True
    visitor: str = ""  # a guest's browser, see accounts.visitors
    substitution: str = "any"  # where a request does not say
    quota_mails: bool = True
    language: str = ""  # of mails; "" = the house's

    @property
    def is_guest(self) -> bool:
        return self.user_id is None

    @property
    def owner(self) -> str:
        """Whose things they are, today and tomorrow: the account's, or the guests' of one network address."""
        return guests_of(self.address) if self.user_id is None else f"user:{self.user_id}"

    @property
    def share(self) -> str:
        """Who is told apart on a counter of the guests': a browser, or an account that nobody has proven yet. "" for all others."""
        return self.visitor if self.user_id is None or self.subject == self.owner else self.owner

    def may(self, scope: str) -> bool:
        """Does the credential open this scope (chat, mcp, memory, usage)?"""
        return self.scopes is None or scope in self.scopes


def caller_for(
    headers: Mapping[str, str], address: str, *, session_user: Any = None, seen: Seen | None = None, visitor: str = ""
) -> Caller:
    """The caller of a request; synchronous, asks the database.

    headers: by lower-case name, a repeated one joined with commas. address: the client's. session_user: the user of the
    session cookie, whose CSRF check is the door's. seen: the request line, which trusted-proxy mode needs. visitor: a guest's cookie.
    Raises InvalidRequest, AmbiguousCredentials, InvalidToken, UserIdMismatch.
    """
    claimed = claimed_user(headers)
    callers = _callers(headers, address, session_user, seen, claimed)
    if not callers:
        return guest(address, visitor)
    caller = _agreed(callers)
    if claimed and claimed not in (str(caller.user_id), caller.email):
        raise UserIdMismatch
    return caller


def guest(address: str, visitor: str = "") -> Caller:
    """The caller of a request without a credential."""
    subject = guest_subject(address)
    return Caller(user_id=None, email="", tier=guest_tier(), subject=subject, address=address, carrier="guest", visitor=visitor)


def _callers(headers: Mapping[str, str], address: str, session_user: Any, seen: Seen | None, claimed: str) -> list[Caller]:
    """One for each credential, the narrowest kind first."""
    callers = []
    authorization, api_key = headers.get("authorization"), headers.get("x-api-key")
    bearer = None if authorization is None else _bearer(authorization)
    if api_key is not None:
        callers.append(_by_key(api_key.strip(), address))
    if bearer is not None and bearer != api_key:
        callers.append(_by_key(bearer, address) if bearer.startswith(PREFIX) else _by_token(bearer, address))
    if is_vouched_for(headers, seen) and claimed:
        callers.append(_by_proxy(claimed, address))
    if getattr(session_user, "pk", None) is not None:
        callers.append(_by_session(session_user.pk, address))
    return callers


def _agreed(callers: list[Caller]) -> Caller:
    """The caller they all name; where a key is among them, its limits hold."""
    keys = {caller.key_id for caller in callers} - {None}
    if len(keys) > 1 or len({caller.user_id for caller in callers}) > 1:
        raise AmbiguousCredentials
    return min(callers, key=lambda caller: (caller.key_id is None, caller.scopes is None))


def _bearer(authorization: str) -> str:
    scheme, _space, value = authorization.strip().partition(" ")
    if scheme.casefold() != "bearer" or not value.strip():
        raise InvalidToken
    return value.strip()


def _by_key(key: str, address: str) -> Caller:
    found = lookups.by_key(digest_of(key)) if is_well_formed(key) else None
    if found is None:
        raise InvalidToken
    last_used.touch(found.key_id)
    return _caller(
        found.person,
        address,
        "key",
        scopes=frozenset(found.scopes),
        key_id=found.key_id,
        key_models=tuple(found.models),
        key_daily_tokens=found.daily_tokens,
    )


def _by_token(token: str, address: str) -> Caller:
    jti, user_id = read_token(token)
    found = lookups.by_login_token(jti)
    if found is None or found.person.user_id != user_id:
        raise InvalidToken
    return _caller(found.person, address, "token", token_id=found.token_id)


def _by_session(user_id: int, address: str) -> Caller:
    person = lookups.by_user_id(user_id)
    if person is None:
        raise InvalidToken
    return _caller(person, address, "session")


def _by_proxy(claimed: str, address: str) -> Caller:
    """A proxy speaks for existing, verified people without powers; it opens what a key can open, never the account itself."""
    person = lookups.by_user_id(int(claimed)) if claimed.isdecimal() and len(claimed) < 19 else lookups.by_email(claimed)
    if person is None or not person.is_verified or person.is_staff:
        raise InvalidToken
    return _caller(person, address, "proxy", scopes=frozenset(SCOPES))


def _caller(person: Person, address: str, carrier: str, **more: Any) -> Caller:
    # an address nobody has proven to own gives no more than a guest has, and out of the same purse, or daily tokens could be farmed
    counts = person.is_verified or not settings.EMAIL_IS_REAL
    return Caller(
        user_id=person.user_id,
        email=person.email,
        tier=tier_from(person.position) if counts else guest_tier(),
        subject=f"user:{person.user_id}" if counts else guest_subject(address),
        address=address,
        carrier=carrier,
        default_model=person.default_model,
        brumo=person.brumo,
        substitution=person.substitution,
        quota_mails=person.quota_mails,
        language=person.language,
        **more,
    )
