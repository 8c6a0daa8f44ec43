"""Network addresses: whose request it is when nobody says who they are."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from datetime import date
from functools import lru_cache

from django.conf import settings

from billing import clock


def client_address(peer: str, forwarded_for: str, trusted: int) -> str:
    """The client's address: the `trusted`-th from the right of X-Forwarded-For, or the socket's peer.

    With fewer entries than proxies the request did not come through them all, so the header proves nothing.
    """
    if not trusted or not forwarded_for:
        return peer
    entries = forwarded_for.split(",")
    if len(entries) < trusted:
        return peer
    found = _parsed(_without_port(entries[-trusted].strip()))
    return peer if found is None else str(found)


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What counts as one guest: an IPv4 address, or the /64 of an IPv6 one; IPv4 inside IPv6 is IPv4."""
    found = _parsed(address)
    if found is None:
        return address
    if found.version == 4:
        return str(found)
    return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))


def guest_subject(address: str, day: date | None = None) -> str:
    """The meter's name for callers from that address, new every UTC day and not to be turned back into the address."""
    return _hashed("guest", f"{(day or clock.now().date()).isoformat()}|{network_of(address)}", settings.SECRET_KEY)


def guests_of(address: str) -> str:
    """A name for the same callers that outlasts midnight, for what is kept a few hours."""
    return _hashed("guests", network_of(address), settings.SECRET_KEY)


@lru_cache(maxsize=8192)
def _hashed(kind: str, what: str, secret: str) -> str:
    return f"{kind}:" + hmac.new(secret.encode(), f"{kind}|{what}".encode(), hashlib.sha256).hexdigest()[:32]


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    if found.version == 6 and found.ipv4_mapped:
        return found.ipv4_mapped
    return found


def _without_port(entry: str) -> str:
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
