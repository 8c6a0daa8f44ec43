"""The catalogue that ships with the code: what is known of the cloud providers' models before anybody asked them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from django.db import transaction

from billing.models import Tier
from llm.models import LanguageModel, Provider
from llm.prices import Quote, write_versions
from llm.providers import PROVIDERS

PATH = Path(__file__).parent / "data" / "catalogue.json"
SOURCE = "snapshot"
BATCH = 500


@dataclass(frozen=True, slots=True)
class Counts:
    """What loading did: providers and models there are, models added or changed, price versions written or waiting for approval."""

    providers: int
    models: int
    added: int
    changed: int
    prices: int
    held: int


@dataclass(frozen=True, slots=True)
class Known:
    """One line of the file."""

    slug: str
    native_id: str
    name: str
    context_window: int | None
    capabilities: tuple[str, ...]
    quote: Quote | None

    @property
    def model_id(self) -> str:
        return f"{self.slug}/{self.native_id}"


def load_snapshot(path: Path = PATH) -> Counts:
    """Add what is missing and refresh what an earlier snapshot said. What an operator or a live list decided stays.

    Columns of an operator's (tier, position, fallback, listed, enabled) are written once, when a model is added.
    """
    file = orjson.loads(path.read_bytes())
    with transaction.atomic():
        providers = add_providers()
        known = {line.model_id: line for line in _lines(file["providers"]) if line.slug in providers}
        rows = {row.model_id: row for row in LanguageModel.objects.select_related("price")}
        added = _add([line for model_id, line in known.items() if model_id not in rows], providers)
        changed = _refresh([(row, known[model_id]) for model_id, row in rows.items() if model_id in known and row.source == SOURCE])
        rows = {row.model_id: row for row in LanguageModel.objects.select_related("price")} if added else rows
        offers = [(rows[model_id], line.quote) for model_id, line in known.items() if line.quote]
        versions = write_versions(offers, f"{SOURCE} {file['source']} {file['version']}")
    held = sum(not version.approved for version in versions)
    return Counts(len(providers), len(rows), added, changed, len(versions), held)


def add_providers() -> dict[str, Provider]:
    """Rows for what the table has and the database does not; all rows by slug."""
    rows = {row.slug: row for row in Provider.objects.all()}
    for position, row in enumerate(PROVIDERS):
        if row.slug not in rows:
            rows[row.slug] = Provider.objects.create(
                slug=row.slug,
                name=row.name,
                wire=row.wire,
                base_url=row.base_url,
                usage_class=row.usage_class,
                position=position,
                concurrency=row.concurrency,
                first_byte_seconds=row.first_byte_seconds,
                quirks=dict(row.quirks),
            )
    return rows


def tier_of_new_models() -> Tier:
    """The lowest tier that has all models; without one, the highest."""
    tiers = list(Tier.objects.order_by("position"))
    return next((tier for tier in tiers if tier.all_models), tiers[-1])


def _lines(providers: dict[str, list[dict[str, Any]]]) -> Iterator[Known]:
    for slug, lines in providers.items():
        for line in lines:
            names = ("input", "output", "cached_input", "cache_write")
            quote = Quote.of(dict(zip(names, line["price"], strict=True))) if "price" in line else None
            yield Known(slug, line["id"], line.get("name", ""), line.get("context"), tuple(line.get("can", ())), quote)


def _add(lines: list[Known], providers: dict[str, Provider]) -> int:
    if not lines:
        return 0
    tier = tier_of_new_models()
    rows = [
        LanguageModel(
            provider=providers[line.slug],
            native_id=line.native_id,
            model_id=line.model_id,
            name=line.name,
            min_tier=tier,
            capabilities=list(line.capabilities),
            context_window=line.context_window,
            source=SOURCE,
        )
        for line in lines
    ]
    LanguageModel.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)
    return len(rows)


def _refresh(pairs: list[tuple[LanguageModel, Known]]) -> int:
    """Facts that only a snapshot ever told, as this one tells them."""
    changed = []
    for row, line in pairs:
        facts = (line.name, line.context_window, list(line.capabilities))
        if (row.name, row.context_window, row.capabilities) != facts:
            row.name, row.context_window, row.capabilities = facts
            changed.append(row)
    if changed:
        LanguageModel.objects.bulk_update(changed, ["name", "context_window", "capabilities"], batch_size=BATCH)
    return len(changed)
