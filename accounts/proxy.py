"""Trusted-proxy mode: a proxy of the operator's vouches for the user it names in X-User-ID. Off unless the operator set it up.

X-TriForce-Proxy-Auth: t=<unix seconds>,v1=<hex of HMAC-SHA256(secret, "t|METHOD|path?query|user")>
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings

from accounts.errors import InvalidToken

HEADER = "x-triforce-proxy-auth"
SECONDS = 60


@dataclass(frozen=True, slots=True)
class Seen:
    """The request as it came off the socket. peer: the socket's address; target: path?query as sent."""

    peer: str
    method: str
    target: str


def is_vouched_for(headers: Mapping[str, str], seen: Seen | None) -> bool:
    """Did a trusted proxy sign this request? Raises InvalidToken for a signature that is none."""
    signature = headers.get(HEADER)
    if signature is None or not settings.TRUSTED_PROXY_SECRET:
        return False
    if seen is None or not _is_trusted(seen.peer):
        raise InvalidToken
    fields = dict(part.strip().partition("=")[::2] for part in signature.split(","))
    moment, given = fields.get("t", ""), fields.get("v1", "")
    if not moment.isascii() or not moment.isdecimal() or abs(time.time() - int(moment[:15])) > SECONDS:
        raise InvalidToken
    if not hmac.compare_digest(given.encode(), sign(moment, seen, headers.get("x-user-id", "")).encode()):
        raise InvalidToken
    return True


def sign(moment: str, seen: Seen, user: str) -> str:
    """The v1 of a request: what the proxy has to send. user: the X-User-ID header as sent."""
    message = f"{moment}|{seen.method}|{seen.target}|{user}"
    return hmac.new(settings.TRUSTED_PROXY_SECRET.encode(), message.encode(), hashlib.sha256).hexdigest()


def _is_trusted(peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in _networks(tuple(settings.TRUSTED_PROXY_CIDRS)))


@lru_cache(maxsize=8)
def _networks(cidrs: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(cidr, strict=False) for cidr in cidrs)
