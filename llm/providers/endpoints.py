"""Where a provider is reached, and with what: from the environment, the table, the row, or the built-in model's child process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from django.conf import settings

from llm.providers import TABLE, ProviderLike, provider_key, provider_url, wire_for
from llm.providers.local import local_model


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`private`: may it lead to an address inside our own network? Only where the operator's environment, or our own table, says so."""

    base_url: str
    headers: dict[str, str]
    private: bool


@asynccontextmanager
async def contact(provider: ProviderLike, wire: str) -> AsyncIterator[Endpoint]:
    """The provider's endpoint, for as long as the block runs. Raises UpstreamError where the built-in model does not start."""
    row = TABLE.get(provider.slug)
    if row is not None and row.packages:
        async with local_model.use() as running:
            # its server closes kept connections without a word, so each request has its own
            headers = {**wire_for(wire).headers(running.api_key, provider.quirks), "Connection": "close"}
            yield Endpoint(running.base_url, headers, private=True)
        return
    yield endpoint(provider, wire)


def endpoint(provider: ProviderLike, wire: str) -> Endpoint:
    """The endpoint of a provider that is reached over the network."""
    url, row = provider_url(provider), TABLE.get(provider.slug)
    from_operator = bool(settings.PROVIDER_URLS.get(provider.slug)) or (row is not None and url == row.base_url)
    return Endpoint(url, wire_for(wire).headers(provider_key(provider), provider.quirks), private=from_operator)
