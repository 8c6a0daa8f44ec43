"""What a provider's list would change, for an operator to accept. It is written and taken back: the preview is the act itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.core import signing
from django.db import transaction

from llm.checks import listing
from llm.models import LanguageModel, Provider
from llm.providers import transport
from llm.providers.base import ListedModel
from llm.sync import SECONDS, Report, apply

SALT = "a provider's list"
HOUR = 3600  # seconds: an older list is asked for anew
COLUMNS = ("name", "context_window", "max_output", "capabilities", "source")


@dataclass(frozen=True, slots=True)
class Changed:
    """One column of one model."""

    model_id: str
    column: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Difference:
    report: Report
    added: tuple[str, ...]
    changed: tuple[Changed, ...]
    missing: tuple[str, ...]
    returned: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.changed or self.missing or self.returned)


def ask(provider: Provider) -> list[ListedModel]:
    """The provider's list. Synchronous, outside of any event loop. Raises UpstreamError, TimeoutError."""

    async def asked() -> list[ListedModel]:
        async with asyncio.timeout(SECONDS):
            return await listing(provider)

    return asyncio.run(transport.once(asked()))


def difference(provider: Provider, listed: Sequence[ListedModel]) -> Difference:
    """What apply() would do."""
    with transaction.atomic():
        before = _state(provider)
        report = apply(provider, list(listed))
        after = _state(provider)
        transaction.set_rollback(True)
    known = [(model_id, before[model_id], row) for model_id, row in after.items() if model_id in before]
    return Difference(
        report=report,
        added=tuple(model_id for model_id in after if model_id not in before),
        changed=tuple(
            Changed(model_id, column, old[column], new[column])
            for model_id, old, new in known
            for column in COLUMNS
            if old[column] != new[column]
        ),
        missing=tuple(model_id for model_id, old, new in known if new["missing_since"] and not old["missing_since"]),
        returned=tuple(model_id for model_id, old, new in known if old["missing_since"] and not new["missing_since"]),
    )


def _state(provider: Provider) -> dict[str, dict[str, Any]]:
    rows = LanguageModel.objects.filter(provider=provider).order_by("model_id")
    return {row["model_id"]: row for row in rows.values("model_id", "missing_since", *COLUMNS)}


def sealed(provider: Provider, listed: Sequence[ListedModel]) -> str:
    """The list in a form that comes back unchanged or not at all: what was looked at is what is applied."""
    rows = [asdict(model) for model in listed]
    return signing.dumps({"provider": provider.slug, "listed": rows}, salt=SALT, compress=True)


def opened(provider: Provider, seal: str) -> list[ListedModel]:
    """The list again. Raises signing.BadSignature where it is not ours, of another provider, or older than an hour."""
    found = signing.loads(seal, salt=SALT, max_age=HOUR)
    if found["provider"] != provider.slug:
        raise signing.BadSignature("The list is another provider's.")
    models = (ListedModel(**row) for row in found["listed"])
    return [replace(model, capabilities=None if model.capabilities is None else tuple(model.capabilities)) for model in models]
