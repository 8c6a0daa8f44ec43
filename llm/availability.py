"""Which models and providers work: learnt from every live answer, and from a background look at each provider's model list.

`record()` is called on every chat and touches memory alone; `flush()` writes what changed, every few seconds; `check_all()` looks at
the providers every AVAILABILITY_SECONDS. Several processes do all three: the last writer wins, and the next answer corrects it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from django.db import models
from django.utils import timezone

from llm.checks import check_all, check_all_async
from llm.models import LanguageModel, Provider, Status

__all__ = ["check_all", "check_all_async", "flush", "forget", "learnt", "record"]

FAILURES = 3  # in a row, until a model counts as offline
SILENT = frozenset({"cancelled", "breaker_open", "queue_full", "no_room", "context_length", "content_filter", "unsupported_request"})
FATAL = frozenset({"not_found", "unauthorized"})  # asking again changes nothing
SMOOTHING = 0.3  # the newest time to the first token counts this much
WORTH_WRITING = 0.1  # a time that moved less than this is left as it is


@dataclass(slots=True)
class Learnt:
    """What the live answers of this process say about one model or provider."""

    status: str = Status.UNKNOWN
    failures: int = 0
    ttft_ms: int | None = None

    def succeeded(self, ttft_ms: int | None) -> None:
        self.status, self.failures = Status.HEALTHY, 0
        if ttft_ms is not None:
            known = ttft_ms if self.ttft_ms is None else self.ttft_ms
            self.ttft_ms = round(known + SMOOTHING * (ttft_ms - known))

    def failed(self, code: str) -> None:
        if code == "rate_limited":  # it is there, and busy
            self.status = Status.DEGRADED
            return
        self.failures += 1
        self.status = Status.OFFLINE if code in FATAL or self.failures >= FAILURES else Status.DEGRADED

    def differs(self, known: str) -> bool:
        """Whether it should replace the status known so far: one more failure makes nothing that is offline merely degraded."""
        one_more = self.failures > 0 and known in (Status.OFFLINE, Status.NO_API_KEY)
        return self.status != known and not one_more


_lock = threading.Lock()
_models: dict[str, Learnt] = {}
_providers: dict[str, Learnt] = {}
_new: set[str] = set()  # ids of models and slugs of providers that flush() has not seen
# Status is no reference data: writing it must not bump the catalogue's revision, or every process would reload the catalogue
# every few seconds. Hence plain managers here, not `objects`.
_model_rows = LanguageModel._base_manager
_provider_rows = Provider._base_manager


def record(model_id: str, provider_slug: str, ok: bool, ttft_ms: int | None, code: str) -> None:
    """Learn from one live try. `ttft_ms`: milliseconds to the first token; `code`: an UpstreamError's, "" where ok. Memory only."""
    if not ok and code in SILENT:
        return
    with _lock:
        model = _models.setdefault(model_id, Learnt())
        if ok:
            model.succeeded(ttft_ms)
        else:
            model.failed(code)
        _new.add(model_id)
        if ok or code == "connect":  # any other failure came from somebody, so the provider is there
            provider = _providers.setdefault(provider_slug, Learnt())
            if ok:
                provider.succeeded(None)
            else:
                provider.failed(code)
            _new.add(provider_slug)


def learnt(model_id: str) -> Learnt | None:
    """What this process learnt about a model since it started."""
    return _models.get(model_id)


def forget() -> None:
    """Unlearn everything; between tests."""
    with _lock:
        for known in (_models, _providers, _new):
            known.clear()


def flush() -> int:
    """Write what was learnt since the last flush and differs from the database; the number of rows written. Synchronous."""
    with _lock:
        new = set(_new)
        _new.clear()
        seen_models = {name: replace(row) for name, row in _models.items() if name in new}
        seen_providers = {name: replace(row) for name, row in _providers.items() if name in new}
    try:
        return _write_models(seen_models) + _write_providers(seen_providers)
    except Exception:
        with _lock:
            _new.update(new)  # the next flush tries again
        raise


def _write_models(seen: dict[str, Learnt]) -> int:
    written, now = 0, timezone.now()
    for model_id, was, was_ttft in _rows(_model_rows, "model_id", seen, "status", "ttft_ms"):
        values: dict[str, Any] = {}
        if seen[model_id].differs(was):
            values = {"status": seen[model_id].status, "status_since": now}
        if _moved(was_ttft, seen[model_id].ttft_ms):
            values["ttft_ms"] = seen[model_id].ttft_ms
        if values:
            written += _model_rows.filter(model_id=model_id).update(**values)
    return written


def _write_providers(seen: dict[str, Learnt]) -> int:
    changed = [slug for slug, was in _rows(_provider_rows, "slug", seen, "status") if seen[slug].differs(was)]
    return sum(_provider_rows.filter(slug=slug).update(status=seen[slug].status) for slug in changed)


def _rows(manager: models.Manager[Any], key: str, names: Iterable[str], *fields: str) -> list[Any]:
    return list(manager.filter(**{f"{key}__in": list(names)}).values_list(key, *fields)) if names else []


def _moved(was: int | None, now: int | None) -> bool:
    return now is not None and (was is None or abs(now - was) > WORTH_WRITING * was)
