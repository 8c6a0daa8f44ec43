"""The background look at the providers: one cheap request for the model list of each that is on, and what follows for its models."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from billing.db import in_database
from llm import health
from llm.models import LanguageModel, Provider, Status
from llm.providers import is_on, native_id, spoken_id, transport, wire_for
from llm.providers.base import ListedModel
from llm.providers.endpoints import endpoint
from llm.providers.errors import UpstreamError
from llm.providers.listings import list_models
from llm.providers.local import local_model

log = logging.getLogger(__name__)

PROBE_SECONDS = 5.0
TROUBLE_LASTS = timedelta(minutes=5)  # a list says that a model exists, a failed answer that it does not work: believe the answer so long
# Plain managers: a status is no reference data, and bumping the catalogue's revision would make every process reload it.
_model_rows = LanguageModel._base_manager
_provider_rows = Provider._base_manager


@dataclass(frozen=True, slots=True)
class Look:
    """What a provider showed. `listed` None = it gave no list that says anything about single models."""

    status: str
    listed: frozenset[str] | None = None


def check_all(*, force: bool = False) -> int:
    """Look at every provider that is due and write what it showed; the number looked at. Synchronous, for tasks and commands.

    `force` looks at all, due or not.
    """
    due = _claim(force)
    looks = asyncio.run(transport.once(_look_at_all(due)))
    _write_all(looks)
    return len(due)


def check_now(providers: Iterable[Provider]) -> list[tuple[Provider, Look]]:
    """Look at these, due or not, and write what they showed. Synchronous, outside of any event loop."""
    looks = asyncio.run(transport.once(_look_at_all(list(providers))))
    _write_all(looks)
    return looks


async def check_all_async(*, force: bool = False) -> int:
    """The same from async code: only the database work is done in a database thread."""
    due = await in_database(_claim, force)
    looks = await _look_at_all(due)
    await in_database(_write_all, looks)
    return len(due)


def _claim(force: bool) -> list[Provider]:
    """The providers that nobody looks at now. A conditional update takes each, so that of many processes one does the looking."""
    now = timezone.now()
    due = Q(checked_at=None) | Q(checked_at__lt=now - timedelta(seconds=settings.AVAILABILITY_SECONDS * 0.9))
    claimed = []
    for row in _provider_rows.filter(enabled=True):
        has_new_key = row.status == Status.NO_API_KEY and is_on(row)
        mine = Q(pk=row.pk) if force or has_new_key else Q(pk=row.pk) & due
        if _provider_rows.filter(mine).update(checked_at=now):
            claimed.append(row)
    return claimed


async def _look_at_all(providers: Iterable[Provider]) -> list[tuple[Provider, Look]]:
    rows = list(providers)
    return list(zip(rows, await asyncio.gather(*(look_at(row) for row in rows)), strict=True))


async def look_at(provider: Provider) -> Look:
    """Ask one provider for its list, within PROBE_SECONDS. Raises nothing that an upstream can cause."""
    if provider.wire == Provider.Wire.LOCAL:
        return Look(Status.HEALTHY, frozenset(["*"])) if local_model.available() else Look(Status.OFFLINE)
    if not is_on(provider):
        return Look(Status.NO_API_KEY)
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return Look(Status.HEALTHY, frozenset(native_id(provider.slug, model.native_id) for model in await listing(provider)))
    except TimeoutError:
        return Look(Status.OFFLINE)
    except UpstreamError as error:
        log.info("%s does not list its models: %s", provider.slug, error.code)
        return Look(status_of(error))


async def listing(provider: Provider) -> list[ListedModel]:
    """The models that a provider lists. Raises UpstreamError."""
    place = endpoint(provider, provider.wire)
    return await list_models(
        transport.current(), wire_for(provider.wire), place.base_url, place.key, provider.quirks, allow_private=place.private
    )


def status_of(error: UpstreamError) -> str:
    """What a failed list says about the provider."""
    if error.code in ("connect", "timeout", "unauthorized"):
        return Status.OFFLINE
    return Status.UNKNOWN if error.status in (404, 405, 501) else Status.DEGRADED  # some have no list


def _write_all(looks: list[tuple[Provider, Look]]) -> None:
    now = timezone.now()
    for provider, look in looks:
        _provider_rows.filter(pk=provider.pk).update(status=look.status, checked_at=now)
        health.note(provider, look.status)
        changed: dict[str, list[int]] = {}
        for row in _model_rows.filter(provider=provider):
            row.provider = provider
            status = judged(row, look, provider.status, now)
            if status != row.status:
                changed.setdefault(status, []).append(row.pk)
        for status, keys in changed.items():
            _model_rows.filter(pk__in=keys).update(status=status, status_since=now)


def judged(row: LanguageModel, look: Look, provider_was: str, now: datetime) -> str:
    """A model's status after a look at its provider. What live answers said holds where it is newer or says more than a list can."""
    if look.status in (Status.OFFLINE, Status.NO_API_KEY):
        return look.status
    came_back = provider_was in (Status.OFFLINE, Status.NO_API_KEY)  # then the model was marked with its provider, not for itself
    if look.listed is None:
        return Status.UNKNOWN if came_back and row.status == provider_was else row.status
    in_trouble = row.status in (Status.DEGRADED, Status.OFFLINE) and not came_back
    if in_trouble and row.status_since and now - row.status_since < TROUBLE_LASTS:
        return row.status
    if is_listed(spoken_id(row.provider, row.native_id), look.listed):
        return Status.HEALTHY
    has_answered = row.status == Status.HEALTHY and row.ttft_ms is not None
    return Status.HEALTHY if has_answered else Status.UNKNOWN


def is_listed(native_id: str, listed: frozenset[str]) -> bool:
    """Ollama lists `llama3` as `llama3:latest`."""
    return native_id in listed or f"{native_id}:latest" in listed or "*" in listed
