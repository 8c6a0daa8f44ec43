"""Bring the catalogue up to what each provider lists now. Nothing is deleted; an operator's columns are written once, with the model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from billing.db import in_database
from llm.capabilities import capabilities_of
from llm.checks import listing
from llm.models import LanguageModel, Provider
from llm.providers import is_on, native_id, spoken_id
from llm.providers.base import ListedModel
from llm.providers.errors import UpstreamError
from llm.snapshot import BATCH, tier_of_new_models

SECONDS = 60.0
SOURCE = "live"
PINNED = "seed"  # what every tier is promised: no list takes it away
LISTER = Callable[[Provider], Awaitable[list[ListedModel]]]


@dataclass(frozen=True, slots=True)
class Report:
    """What one provider's list changed. `problem` says in a sentence why less happened than was asked for."""

    provider: str
    listed: int = 0
    added: int = 0
    changed: int = 0
    missing: int = 0
    returned: int = 0
    problem: str = ""


async def sync_all(lister: LISTER = listing) -> list[Report]:
    """Every enabled provider that is on and has a list; a failure stays with its provider."""
    providers = await in_database(_providers)
    return list(await asyncio.gather(*(sync(provider, lister) for provider in providers)))


async def sync(provider: Provider, lister: LISTER = listing) -> Report:
    """One provider. Raises nothing that an upstream can cause: its models are then as they were, and the report says why."""
    try:
        async with asyncio.timeout(SECONDS):
            listed = await lister(provider)
    except TimeoutError:
        return Report(provider.slug, problem=_("It did not answer within %(seconds)d s.") % {"seconds": SECONDS})
    except UpstreamError as error:
        return Report(provider.slug, problem=f"{error.code}: {error.message}" if error.message else error.code)
    return await in_database(apply, provider, listed)


def _providers() -> list[Provider]:
    return [row for row in Provider.objects.filter(enabled=True).exclude(wire=Provider.Wire.LOCAL) if is_on(row)]


def apply(provider: Provider, listed: list[ListedModel]) -> Report:
    """Write a provider's list into the catalogue; synchronous."""
    found: dict[str, ListedModel] = {}
    with transaction.atomic():
        rows = {row.native_id: row for row in LanguageModel.objects.filter(provider=provider)}
        ours = {spoken_id(provider, name): name for name in rows}  # what this address lists may have another name here
        for model in listed:
            name = native_id(provider.slug, model.native_id)[:160]
            found.setdefault(ours.get(name, name), model)
        before = sum(row.source == SOURCE and row.missing_since is None for row in rows.values())
        report = Report(provider.slug, listed=len(found))
        report = replace(report, added=_add(provider, {name: model for name, model in found.items() if name not in rows}))
        seen = [(row, found[name]) for name, row in rows.items() if name in found]
        report = replace(report, returned=sum(row.missing_since is not None for row, _model in seen), changed=_refresh(seen))
        if not found or len(found) * 2 < before:
            words = {"now": len(found), "before": before}
            return replace(report, problem=_("It lists %(now)d models, before %(before)d: none was marked as gone.") % words)
        return replace(report, missing=_miss([row for name, row in rows.items() if name not in found]))


def _add(provider: Provider, found: dict[str, ListedModel]) -> int:
    if not found:
        return 0
    tier = tier_of_new_models()
    rows = [
        LanguageModel(
            provider=provider,
            native_id=name,
            model_id=f"{provider.slug}/{name}",
            name=model.name[:160],
            min_tier=tier,
            capabilities=capabilities_of(name, reported=model.capabilities or ()),
            context_window=model.context_window,
            max_output=model.max_output,
            source=SOURCE,
        )
        for name, model in found.items()
    ]
    LanguageModel.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)
    return len(rows)


def _refresh(pairs: list[tuple[LanguageModel, ListedModel]]) -> int:
    """What the provider says of models that are known; what it does not say stays."""
    changed = []
    for row, model in pairs:
        was = (row.name, row.context_window, row.max_output, row.capabilities, row.source, row.missing_since)
        row.missing_since = None
        if row.source != PINNED:
            row.source = SOURCE
            row.name = model.name[:160] or row.name
            row.context_window = model.context_window or row.context_window
            row.max_output = model.max_output or row.max_output
            row.capabilities = list(model.capabilities) if model.capabilities else row.capabilities
        if was != (row.name, row.context_window, row.max_output, row.capabilities, row.source, row.missing_since):
            changed.append(row)
    if changed:
        fields = ["name", "context_window", "max_output", "capabilities", "source", "missing_since"]
        LanguageModel.objects.bulk_update(changed, fields, batch_size=BATCH)
    return len(changed)


def _miss(rows: list[LanguageModel]) -> int:
    """Mark what the provider no longer lists."""
    gone = [row.pk for row in rows if row.missing_since is None and row.source != PINNED]
    for start in range(0, len(gone), BATCH):
        LanguageModel.objects.filter(pk__in=gone[start : start + BATCH]).update(missing_since=timezone.now())
    return len(gone)
