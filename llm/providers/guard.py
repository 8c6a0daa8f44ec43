"""Where the server may connect to. A provider's address may come from a database row, and a row must not reach our own network.

Names are resolved once, every address of theirs is checked, and exactly these addresses are connected to; an address written in the
URL is checked as it stands. Addresses of the environment are the operator's word: they may be private. Link-local ones, where clouds
keep their credentials, are refused in either case.
"""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from llm.providers.errors import UpstreamError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
METADATA = frozenset({ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")})
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class BlockedAddress(OSError):
    """A name that stands for an address we do not connect to."""


def allowed(address: str, *, private: bool) -> bool:
    """Whether this IP address may be connected to; `private` lets loopback and private networks in."""
    try:
        found = _innermost(ipaddress.ip_address(address))
    except ValueError:
        return False
    if found.is_link_local or found.is_multicast or found in METADATA:
        return False
    return private or (found.is_global and not found.is_reserved)


def _innermost(address: Address) -> Address:
    """The IPv4 address that an IPv6 one carries, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)


@lru_cache(maxsize=1024)
def checked_url(url: str, private: bool) -> URL:
    """The URL, parsed once. Raises UpstreamError (connect) for one that is no HTTP address or names a forbidden IP address."""
    try:
        parsed = URL(url)
        host, port = parsed.host, parsed.port
    except ValueError:
        raise refused() from None
    if parsed.scheme not in ("http", "https") or not host or not port or parsed.user or parsed.password:
        raise refused()
    if (":" in host or host.rstrip(".").rpartition(".")[2].isdigit()) and not allowed(host, private=private):
        raise refused()
    return parsed


def refused() -> UpstreamError:
    return UpstreamError("connect", "The provider's address is not allowed.", retryable=False)


class GuardedResolver(AbstractResolver):
    """Resolves a name, and refuses it if any of its addresses is not allowed."""

    def __init__(self, *, private: bool, resolver: AbstractResolver | None = None) -> None:
        self._private = private
        self._resolver = resolver or ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not all(allowed(one["host"], private=self._private) for one in found):
            raise BlockedAddress(f"{host} is not allowed")
        return found

    async def close(self) -> None:
        await self._resolver.close()
