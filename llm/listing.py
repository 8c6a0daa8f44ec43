"""What is shown of conversations: the list, and the end of a branch. Synchronous."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet

from accounts.caller import Caller
from accounts.errors import NotFound
from billing import clock
from llm.conversations import BIN, in_bin, own, parents_of, path_to
from llm.models import Attachment, Conversation, Turn

PAGE = 40
EXCERPT = 80  # characters before and after what was found
GUESTS_KEPT = timedelta(days=30)


def summaries(
    caller: Caller, *, q: str = "", folder: str | None = None, deleted: bool = False, start: int = 0, limit: int = PAGE
) -> tuple[list[Conversation], bool]:
    """The caller's conversations, pinned ones first, then the newest; and whether more follow. Found by `q`, each has an `excerpt`.

    `deleted`: those in the bin, the last to come into it first.
    """
    found = with_state(in_bin(caller) if deleted else own(caller))
    if folder is not None:
        found = found.filter(folder=folder)
    words = q.split()
    for word in words:
        found = found.filter(Q(**_holds("title", word)) | Exists(_turns_with(word)))
    order = ("-deleted", "pk") if deleted else ("-pinned", "-changed", "pk")
    page = list(found.order_by(*order)[start : start + limit + 1])
    for conversation in page[:limit] if words else ():
        conversation.excerpt = _excerpt(conversation, words[0])  # type: ignore[attr-defined]
    return page[:limit], len(page) > limit


def with_state(conversations: QuerySet[Conversation]) -> QuerySet[Conversation]:
    """With `running`: is an answer being written?"""
    return conversations.annotate(running=Exists(Turn.objects.filter(conversation=OuterRef("pk"), state=Turn.State.RUNNING)))


def _holds(field: str, word: str) -> dict[str, str]:
    """SQLite's LIKE knows ä and Ä as two letters; its regular expressions are Python's, which do not."""
    if connection.vendor == "sqlite":
        return {f"{field}__iregex": re.escape(word)}
    return {f"{field}__icontains": word}


def _turns_with(word: str) -> QuerySet[Turn]:
    said = Q(**_holds("prompt", word)) | Q(**_holds("answer", word))
    return Turn.objects.filter(said, conversation=OuterRef("pk"))


def _excerpt(conversation: Conversation, word: str) -> str:
    said = Q(**_holds("prompt", word)) | Q(**_holds("answer", word))
    turn = conversation.turns.filter(said).only("prompt", "answer").first()
    if turn is None:
        return ""
    text = next(text for text in (turn.prompt, turn.answer, "") if word.casefold() in text.casefold() or not text)
    place = max(0, text.casefold().find(word.casefold()))
    start, end = max(0, place - EXCERPT), place + len(word) + EXCERPT
    return ("…" if start else "") + " ".join(text[start:end].split()) + ("…" if end < len(text) else "")


def folders(caller: Caller) -> list[dict[str, Any]]:
    """{name, count} of each folder."""
    rows = own(caller).exclude(folder="").order_by().values("folder").annotate(count=Count("pk")).order_by("folder")
    return [{"name": row["folder"], "count": row["count"]} for row in rows]


@dataclass(frozen=True, slots=True)
class Branch:
    """Turns in a row, each with its `alternatives`. before: the turn to ask on from, None = there is nothing before them."""

    turns: list[Turn]
    before: UUID | None
    siblings: Mapping[UUID | None, Sequence[UUID]]  # by parent


def branch(conversation: Conversation, *, before: UUID | None = None, limit: int = PAGE) -> Branch:
    """The last turns of the branch that is shown, or the last before a turn of it. Raises NotFound where that is not on the branch."""
    parents = parents_of(conversation)
    path = path_to(conversation.leaf_id, parents)
    if before is not None:
        if before not in path:
            raise NotFound
        path = path[: path.index(before)]
    shown = path[-limit:]
    siblings: dict[UUID | None, list[UUID]] = defaultdict(list)
    for child, parent in parents.items():
        siblings[parent].append(child)
    return Branch(loaded(conversation, shown), shown[0] if len(path) > len(shown) else None, siblings)


def loaded(conversation: Conversation, shown: Sequence[UUID]) -> list[Turn]:
    """These turns in this order, with their `alternatives`, all turns of their comparison."""
    rows = conversation.turns.prefetch_related(Prefetch("attachments", Attachment.objects.defer("image", "text")))
    found = rows.in_bulk(shown)
    groups = {turn.group for turn in found.values()} - {None}
    beside = list(rows.filter(group__in=groups)) if groups else []
    for turn in found.values():
        alike = [row for row in beside if (row.group, row.parent_id) == (turn.group, turn.parent_id)]
        turn.alternatives = alike  # type: ignore[attr-defined]
    return [found[pk] for pk in shown]


def purge() -> int:
    """Delete for good what was in the bin for a week, and what guests left a month ago. Returns how many."""
    now = clock.now()
    old = Q(deleted__lt=now - BIN) | Q(user=None, changed__lt=now - GUESTS_KEPT)
    count = Conversation.objects.filter(old).count()
    Conversation.objects.filter(old).delete()
    return count
