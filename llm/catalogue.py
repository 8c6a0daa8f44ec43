"""Which models there are, who may use which, and what stands in for one. Kept in memory, at most a second behind the database.

Synchronous: call it in a database hop. Entries hold reference data alone; how a model does at the moment is in llm.availability.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.utils.translation import gettext as _

from billing.errors import InvalidRequest
from billing.models import Tier
from billing.revision import Snapshot
from billing.tiers import all_tiers
from llm.errors import ModelNotFound, ModelNotInTier, UpstreamUnavailable
from llm.models import LanguageModel, Provider
from llm.nearest import Nearest
from llm.providers import is_on
from llm.types import Substitution

__all__ = ["ModelEntry", "ProviderEntry", "fallbacks_of", "find", "get_model", "is_on", "models_for", "standing_in"]

LONGEST_ID = 200
ELSEWHERE = 2  # other providers of the same model that are asked before its fallbacks: they share one deadline


@dataclass(frozen=True, slots=True, eq=False)
class ProviderEntry:
    """A provider as a chat needs it. `base_url` is the row's; `llm.providers.provider_url()` knows the one that holds."""

    slug: str
    name: str
    wire: str
    base_url: str
    usage_class: str
    position: int
    concurrency: int
    first_byte_seconds: int
    quirks: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class ModelEntry:
    """A model that is switched on, of a provider that is switched on. None = unknown."""

    model_id: str
    native_id: str
    provider: ProviderEntry
    name: str
    description: str
    parameters: str
    min_tier_position: int
    min_tier_slug: str
    listed: bool
    enabled: bool
    capabilities: tuple[str, ...]
    context_window: int | None
    max_output: int | None
    fallback: tuple[str, ...]
    price_id: int | None
    position: int
    missing_since: datetime | None = None
    aliases: tuple[str, ...] = ()

    def can(self, capability: str) -> bool:
        """A model of which nothing is known counts as chat."""
        return capability in self.capabilities if self.capabilities else capability == "chat"

    @property
    def may_see(self) -> bool:
        """Can it look at images? One of which nothing is known may."""
        return not self.capabilities or self.can("vision")

    @property
    def stem(self) -> str:
        """The same for the same model at another provider: vendor, spelling and where it runs left out."""
        stem = self.native_id.casefold().rsplit("/", 1)[-1]
        return stem.removesuffix(":latest").removesuffix(":cloud").removesuffix("-cloud").replace(".", "-")


@dataclass(frozen=True)
class Catalogue:
    """All entries, in the order in which they are listed."""

    entries: tuple[ModelEntry, ...]
    lists: dict[tuple[int, frozenset[str]], tuple[ModelEntry, ...]] = field(default_factory=dict)  # by tier and providers that are on

    @cached_property
    def by_id(self) -> dict[str, ModelEntry]:
        return {entry.model_id: entry for entry in self.entries}

    @cached_property
    def by_alias(self) -> dict[str, ModelEntry]:
        return {alias: entry for entry in self.entries for alias in entry.aliases}

    @cached_property
    def by_native_id(self) -> dict[str, list[ModelEntry]]:
        return _grouped(self.entries, "native_id")

    @cached_property
    def by_stem(self) -> dict[str, list[ModelEntry]]:
        return _grouped(self.entries, "stem")

    @cached_property
    def providers(self) -> tuple[ProviderEntry, ...]:
        return tuple({entry.provider.slug: entry.provider for entry in self.entries}.values())

    @cached_property
    def nearest(self) -> Nearest:
        return Nearest(self.by_id)

    def visible(self, position: int) -> tuple[ModelEntry, ...]:
        """What the tier at that position may use and its lists show, whatever it can do."""
        on = frozenset(provider.slug for provider in self.providers if is_on(provider))
        if (position, on) not in self.lists:
            self.lists[position, on] = tuple(
                entry
                for entry in self.entries
                if entry.listed and entry.min_tier_position <= position and entry.provider.slug in on and entry.missing_since is None
            )
        return self.lists[position, on]


def _grouped(entries: tuple[ModelEntry, ...], name: str) -> dict[str, list[ModelEntry]]:
    groups: dict[str, list[ModelEntry]] = {}
    for entry in entries:
        groups.setdefault(getattr(entry, name), []).append(entry)
    return groups


def _load() -> Catalogue:
    providers = {row.pk: _provider(row) for row in Provider.objects.filter(enabled=True)}
    rows = (
        LanguageModel.objects.filter(enabled=True, provider__enabled=True)
        .select_related("min_tier")
        .order_by("position", "provider__position", "model_id")
    )
    return Catalogue(tuple(_entry(row, providers[row.provider_id]) for row in rows if row.provider_id in providers))


def _provider(row: Provider) -> ProviderEntry:
    return ProviderEntry(
        slug=row.slug,
        name=row.name,
        wire=row.wire,
        base_url=row.base_url,
        usage_class=row.usage_class,
        position=row.position,
        concurrency=row.concurrency,
        first_byte_seconds=row.first_byte_seconds,
        quirks=row.quirks,
    )


def _entry(row: LanguageModel, provider: ProviderEntry) -> ModelEntry:
    return ModelEntry(
        model_id=row.model_id,
        native_id=row.native_id,
        provider=provider,
        name=row.name or row.native_id,
        description=row.description,
        parameters=row.parameters,
        min_tier_position=row.min_tier.position,
        min_tier_slug=row.min_tier.slug,
        listed=row.listed,
        enabled=row.enabled,
        capabilities=tuple(row.capabilities),
        context_window=row.context_window,
        max_output=row.max_output,
        fallback=tuple(row.fallback),
        price_id=row.price_id,
        position=row.position,
        missing_since=row.missing_since,
        aliases=tuple(row.aliases),
    )


catalogue = Snapshot("catalogue", _load)


def models_for(tier: Tier, *, capability: str = "chat", provider: str | None = None, q: str | None = None) -> list[ModelEntry]:
    """What the tier's lists show, in order: of providers that are on, still in their provider's list, and able to do `capability`.

    provider: a slug. q: a part of the id or name, in any case.
    """
    needle = q.strip().casefold() if q else ""
    return [
        entry
        for entry in catalogue.get().visible(tier.position)
        if entry.can(capability)
        and (not provider or entry.provider.slug == provider)
        and (not needle or needle in entry.model_id.casefold() or needle in entry.name.casefold())
    ]


def standing_in(tier: Tier, *, missing: bool = False) -> list[ModelEntry]:
    """Chat models the tier may call that no list shows: the local fallbacks, and with `missing` those their provider no longer lists."""
    return [
        entry
        for entry in catalogue.get().entries
        if entry.min_tier_position <= tier.position
        and entry.can("chat")
        and is_on(entry.provider)
        and (entry.missing_since is not None if missing else not entry.listed and entry.missing_since is None)
    ]


def find(model_id: str) -> ModelEntry | None:
    """The model of exactly this id or alias, or the only one of this native id: among the providers that are on, else among all."""
    wanted, known = model_id.strip(), catalogue.get()
    if entry := known.by_id.get(wanted) or known.by_alias.get(wanted):
        return entry
    namesakes = known.by_native_id.get(wanted, [])
    on = [entry for entry in namesakes if is_on(entry.provider)] or namesakes
    return on[0] if len(on) == 1 else None


def get_model(model_id: str, tier: Tier, *, capability: str = "chat") -> ModelEntry:
    """The model that `model_id` means, which the tier may use for `capability`.

    Raises ModelNotFound (with `suggestions`), ModelNotInTier (with the lowest tier that has it), InvalidRequest where the model can't do
    it, UpstreamUnavailable where neither its provider nor that of any of its fallbacks is set up here.
    """
    entry = find(model_id)
    if entry is None:
        raise _not_found(model_id, tier)
    if entry.min_tier_position > tier.position:
        raise _not_in_tier(entry)
    if not entry.can(capability):
        words = {"model": entry.model_id, "kind": ", ".join(entry.capabilities), "wanted": capability}
        raise InvalidRequest(_("%(model)s is not a %(wanted)s model; it is for: %(kind)s.") % words, field="model")
    if not is_on(entry.provider) and not any(is_on(other.provider) for other in fallbacks_of(entry, "any")):
        raise UpstreamUnavailable(_("%(name)s is not set up on this server.") % {"name": entry.provider.name}, provider=entry.provider.slug)
    return entry


def fallbacks_of(entry: ModelEntry, substitution: Substitution = "any") -> tuple[ModelEntry, ...]:
    """What may answer in the model's place, in the order to ask it in.

    strict: nothing. family: the same model at another provider, else the first fallback it declares. any: those, then its whole chain.
    """
    if substitution == "strict":
        return ()
    elsewhere, chain = _elsewhere(entry), _chain(entry)
    if substitution == "family":
        same = [other for other in chain if other.stem == entry.stem]
        chain = same or chain[:1]
    return tuple(dict.fromkeys([*elsewhere, *chain]))


def _elsewhere(entry: ModelEntry) -> list[ModelEntry]:
    """The same model at other providers that are on; never one that a higher tier is needed for."""
    return [
        other
        for other in catalogue.get().by_stem.get(entry.stem, [])
        if other.provider.slug != entry.provider.slug
        and other.min_tier_position <= entry.min_tier_position
        and other.can("chat")
        and other.listed
        and other.missing_since is None
        and is_on(other.provider)
    ][:ELSEWHERE]


def _chain(entry: ModelEntry) -> list[ModelEntry]:
    """The fallbacks it declares, then what those declare; each once, never itself."""
    known = catalogue.get().by_id
    found: dict[str, ModelEntry] = {entry.model_id: entry}
    queue = list(entry.fallback)
    while queue:
        model_id = queue.pop(0)
        if model_id not in found and model_id in known:
            found[model_id] = known[model_id]
            queue.extend(known[model_id].fallback)
    return list(found.values())[1:]


def _not_found(model_id: str, tier: Tier) -> ModelNotFound:
    known, wanted = catalogue.get(), model_id.strip()[:LONGEST_ID]
    namesakes = known.by_native_id.get(wanted, [])
    usable = [entry.model_id for entry in known.visible(tier.position) if entry.can("chat")]
    alike = [entry.model_id for entry in namesakes if entry.model_id in set(usable)] if namesakes else []
    suggestions = [*alike, *(near for near in known.nearest.to(wanted, usable) if near not in alike)][:3]
    words = {"model": wanted, "suggestions": ", ".join(suggestions)}
    if not suggestions:
        return ModelNotFound(_("There is no model %(model)s.") % words, model=wanted, suggestions=[])
    if namesakes:
        return ModelNotFound(
            _("Several providers have %(model)s. Say which: %(suggestions)s.") % words, model=wanted, suggestions=suggestions
        )
    return ModelNotFound(_("There is no model %(model)s. The nearest are: %(suggestions)s.") % words, model=wanted, suggestions=suggestions)


def _not_in_tier(entry: ModelEntry) -> ModelNotInTier:
    lowest = next((tier for tier in all_tiers() if tier.position >= entry.min_tier_position), None)
    slug = name = label = entry.min_tier_slug
    if lowest is not None:
        slug, name, label = lowest.slug, lowest.name, lowest.label
    words = {"model": entry.model_id, "tier": label}
    return ModelNotInTier(_("%(model)s is part of %(tier)s and above.") % words, model=entry.model_id, tier=slug, tier_name=name)
