"""Who is behind a socket: the handshake's check, the callers of its frames, and an eye on credentials that end while it is open."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, parse_cookie
from django.http.request import split_domain_port, validate_host
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from accounts.accept_language import api_language
from accounts.address import client_address
from accounts.caller import Caller
from accounts.errors import InvalidToken
from accounts.proxy import Seen
from accounts.revocation import Credential, credential_of, ended
from accounts.sessions import user_of_cookies
from accounts.visitors import visitor_of
from billing import clock, quota
from billing.db import in_database
from billing.errors import ApiError, ServiceUnavailable
from billing.models import UsageClass
from billing.request_ids import new_request_id
from llm.admission import Incoming, holder
from llm.dialects import socket

log = logging.getLogger(__name__)
WATCH_SECONDS = 1.0
SIGNED_OUT = 4401
_open: set[Open] = set()


class Open(Protocol):
    """An open socket."""

    credential: Credential | None

    async def close(self, code: int) -> None: ...


class ForeignOrigin(ApiError):
    """403: a page of another site, or nobody at all."""

    status_code = 403
    default_code = "permission_denied"
    default_detail = _("A socket is opened by a page of ours, or with an Authorization header.")


class Doorway:
    """What a handshake says of who asks. Every frame is judged anew: a key revoked meanwhile opens nothing."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.scope = scope
        self.headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            self.headers[name] = f"{self.headers[name]},{value}" if name in self.headers else value
        self.origin = self.headers.get("origin", "")
        # cookies come by themselves, so they count only where the browser says that a page of ours sent them
        self.cookies = parse_cookie(self.headers.get("cookie", "")) if self.origin else {}
        self.peer = scope["client"][0] if scope.get("client") else ""
        self.in_session = False
        self.address = client_address(self.peer, self.headers.get("x-forwarded-for", ""), settings.TRUSTED_PROXY_COUNT)

    @property
    def language(self) -> str:
        """A page's, or the API's."""
        accepted = self.headers.get("accept-language", "")
        if not self.origin:
            return api_language(accepted)
        request = HttpRequest()
        request.COOKIES, request.META = dict(self.cookies), {"HTTP_ACCEPT_LANGUAGE": accepted}
        return translation.get_language_from_request(request)

    def enter(self) -> tuple[Caller, Credential | None, bytes]:
        """The caller, what the socket stands on, and its first frame. Synchronous. Raises ApiError where it may not come in."""
        if not (self._is_ours() if self.origin else {"authorization", "x-api-key"} & self.headers.keys()):
            raise ForeignOrigin
        user = user_of_cookies(self.cookies) if settings.SESSION_COOKIE_NAME in self.cookies else None
        self.in_session = user is not None
        caller = self._incoming("websocket", lambda: user).caller()
        session_key = self.cookies.get(settings.SESSION_COOKIE_NAME, "")
        return caller, credential_of(caller, user, session_key), ready(caller)

    def _is_ours(self) -> bool:
        if self.origin in settings.CSRF_TRUSTED_ORIGINS:
            return True
        host = self.headers.get("host", "")
        return urlsplit(self.origin).netloc == host and validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)

    def incoming(self, entry_point: str) -> Incoming:
        """A frame as llm.chat takes it, with an id of its own."""
        return self._incoming(entry_point, self._session_user if self.in_session else None)

    def _session_user(self) -> Any:
        """Whoever came in signed in does not go on as a guest."""
        user = user_of_cookies(self.cookies)
        if user is None:
            raise InvalidToken
        return user

    def _incoming(self, entry_point: str, session_user: Callable[[], Any] | None) -> Incoming:
        headers = {name: value for name, value in self.headers.items() if name != "idempotency-key"}
        return Incoming(
            request_id=new_request_id(),
            headers=headers,
            address=self.address,
            entry_point=entry_point,
            seen=Seen(self.peer, "GET", self.scope.get("path", "")),
            session_user=session_user,
            visitor=visitor_of(self.cookies),
        )


def ready(caller: Caller) -> bytes:
    """The first frame: who the caller is, and what is left of the day."""
    day = clock.now().date()
    today, remaining = quota.counted(holder(caller), UsageClass.CLOUD, day)
    return socket.frame(
        "ready",
        user=caller.email or None,
        tier=caller.tier.slug,
        tier_name=caller.tier.name,
        tokens_remaining=remaining,
        token_limit=caller.tier.daily_tokens,
        tokens_used_today=today.used,
        resets_at=clock.stamp(clock.resets_at(day)),
    )


def register(consumer: Open) -> None:
    _open.add(consumer)


def forget(consumer: Open) -> None:
    _open.discard(consumer)


async def watch() -> None:
    """Close the sockets whose credential has ended, within two seconds of it; until cancelled."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        credentials = {consumer.credential for consumer in _open if consumer.credential is not None}
        if not credentials:
            continue
        try:
            gone = await in_database(ended, credentials)
        except ServiceUnavailable:
            continue  # nobody's credential can be looked at, and no frame is answered either
        except Exception:  # without this loop no socket would notice a sign-out any more
            log.exception("The credentials of open sockets could not be looked at.")
            continue
        await asyncio.gather(*(_sign_out(one) for one in list(_open) if one.credential in gone))


async def _sign_out(consumer: Open) -> None:
    """One that reads nothing must not keep the others open."""
    forget(consumer)
    try:
        async with asyncio.timeout(WATCH_SECONDS / 2):
            await consumer.close(SIGNED_OUT)
    except (TimeoutError, RuntimeError, OSError) as error:  # it is going by itself, or will be by its next frame
        log.info("A socket whose credential ended could not be told: %s", type(error).__name__)
