"""A request sent again with the same Idempotency-Key gets the stored answer: one call upstream, one charge."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DataError, transaction
from django.utils.translation import gettext as _

from billing import clock
from billing.errors import InvalidRequest
from billing.models import UsageEvent
from llm.errors import Conflict, IdempotencyMismatch
from llm.models import IdempotentAnswer
from llm.types import Completion, ToolCall, Usage

log = logging.getLogger(__name__)
LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of a key. `id` None: none was sent. `completion` set: answer with it."""

    id: int | None = None
    completion: Completion | None = None


def begin(subject: str, key: str, body: bytes, request_id: str) -> Stored:
    """Claim the key for this request, or return the answer stored under it.

    Raises InvalidRequest (malformed key), IdempotencyMismatch (422: another body) or Conflict (409: the first one still runs).
    """
    if not key:
        return Stored()
    if len(key) > LONGEST_KEY or not key.isprintable():
        raise InvalidRequest(_("Idempotency-Key has 1 to 255 printable characters."), field="Idempotency-Key")
    digest = hashlib.sha256(body).hexdigest()
    for _turn in range(2):
        claim = IdempotentAnswer(subject=subject, key=key, body_digest=digest, request_id=request_id, created=clock.now())
        IdempotentAnswer.objects.bulk_create([claim], ignore_conflicts=True)
        row = IdempotentAnswer.objects.get(subject=subject, key=key)
        if row.request_id == request_id:
            return Stored(row.pk)
        if not _is_stale(row):
            break
        IdempotentAnswer.objects.filter(pk=row.pk).delete()
    if row.body_digest != digest:
        raise IdempotencyMismatch
    if row.completion is None:
        raise Conflict(headers={"Retry-After": "1"})
    return Stored(row.pk, _from_json(row.completion))


def _is_stale(row: IdempotentAnswer) -> bool:
    """Too old to repeat, or of a request whose process died."""
    if row.created < clock.now() - timedelta(hours=settings.IDEMPOTENCY_HOURS):
        return True
    if row.completion is not None or row.created > clock.now() - timedelta(seconds=30):
        return False
    return not UsageEvent.objects.filter(request_id=row.request_id, state=UsageEvent.State.OPEN).exists()


def store(row_id: int, completion: Completion) -> None:
    """Keep the answer for whoever sends the request again. One that the database cannot store is not kept, and its text is not logged."""
    kept = dataclasses.replace(completion, text=completion.text.replace("\x00", ""), reasoning=completion.reasoning.replace("\x00", ""))
    try:
        with transaction.atomic():  # what fails here undoes nothing else
            IdempotentAnswer.objects.filter(pk=row_id).update(completion=dataclasses.asdict(kept))
    except (DataError, UnicodeError) as error:
        log.error("The answer to %s could not be stored: %s", completion.request_id, type(error).__name__)
        forget(row_id)


def forget(row_id: int | None) -> None:
    """The request failed: sent again, it may run."""
    if row_id is not None:
        IdempotentAnswer.objects.filter(pk=row_id, completion__isnull=True).delete()


def purge() -> int:
    """Delete what is older than IDEMPOTENCY_HOURS. Returns how many."""
    old = clock.now() - timedelta(hours=settings.IDEMPOTENCY_HOURS)
    return IdempotentAnswer.objects.filter(created__lt=old).delete()[0]


def _from_json(data: dict[str, Any]) -> Completion:
    calls = tuple(ToolCall(**call) for call in data["tool_calls"])
    return Completion(**{**data, "usage": Usage(**data["usage"]), "tool_calls": calls, "warnings": tuple(data["warnings"])})
