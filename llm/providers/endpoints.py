"""Where a provider is reached, and with what: from the environment, the table, the row, or the built-in model's child process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from llm.providers import TABLE, ProviderLike, is_ours, provider_key, provider_url, wire_for
from llm.providers.local import for_ever, local_model


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`private`: may it lead to an address inside our own network? Only where the operator's environment, or our own table, says so.

    `key` is in `headers`, too. It is the environment's, and "" where the address is not: who writes a row must not read a key.
    """

    base_url: str
    key: str
    headers: dict[str, str]
    private: bool


@asynccontextmanager
async def contact(provider: ProviderLike, wire: str, deadline: Callable[[], float] = for_ever) -> AsyncIterator[Endpoint]:
    """The provider's endpoint, for as long as the block runs. Raises UpstreamError where the built-in model does not start in time."""
    row = TABLE.get(provider.slug)
    if row is not None and row.packages:
        async with local_model.use(deadline) as running:
            # its server closes kept connections without a word, so each request has its own
            headers = {**wire_for(wire).headers(running.api_key, provider.quirks), "Connection": "close"}
            yield Endpoint(running.base_url, running.api_key, headers, private=True)
        return
    yield endpoint(provider, wire)


def endpoint(provider: ProviderLike, wire: str) -> Endpoint:
    """The endpoint of a provider that is reached over the network."""
    url = provider_url(provider)
    ours = is_ours(provider, url)
    key = provider_key(provider) if ours else ""
    return Endpoint(url, key, wire_for(wire).headers(key, provider.quirks), private=ours)
