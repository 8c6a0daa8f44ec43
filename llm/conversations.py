"""Conversations: whose they are, which branch is shown, and how a turn is written down. Synchronous: call it in a database hop."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Prefetch

from accounts.caller import Caller
from accounts.errors import Conflict, NotFound
from billing import clock
from llm.models import Attachment, Conversation, Turn
from llm.types import Ask

if TYPE_CHECKING:
    from llm.composition import Composed

TITLE_CHARACTERS = 80
BIN = timedelta(days=7)  # a deleted conversation can be brought back for so long


def own(caller: Caller) -> Any:
    """The caller's conversations that are not in the bin."""
    return Conversation.objects.of(caller).filter(deleted=None)


def in_bin(caller: Caller) -> Any:
    """The caller's conversations that can still be brought back."""
    return Conversation.objects.of(caller).filter(deleted__gt=clock.now() - BIN)


def find(caller: Caller, conversation_id: UUID) -> Conversation:
    """The caller's conversation. Raises NotFound, also for somebody else's."""
    found: Conversation | None = own(caller).filter(pk=conversation_id).select_related("leaf").first()
    if found is None:
        raise NotFound
    return found


def find_turn(caller: Caller, turn_id: UUID) -> Turn:
    """The caller's turn, wherever it is. Raises NotFound."""
    turn = Turn.objects.filter(pk=turn_id, conversation__in=own(caller).order_by()).select_related("conversation").first()
    if turn is None:
        raise NotFound
    return turn


# -- the tree -------------------------------------------------------------------------------------------------------------


def parents_of(conversation: Conversation) -> dict[UUID, UUID | None]:
    """Every turn's parent, the oldest turn first."""
    return dict(conversation.turns.order_by("created", "id").values_list("pk", "parent_id"))


def path_to(turn_id: UUID | None, parents: Mapping[UUID, UUID | None]) -> list[UUID]:
    """The turns from the root to that one."""
    path = []
    while turn_id is not None:
        path.append(turn_id)
        turn_id = parents[turn_id]
    return path[::-1]


def turns_to(conversation: Conversation, turn_id: UUID | None) -> list[Turn]:
    """The turns from the root to that one, with their attachments' names."""
    rows = conversation.turns.prefetch_related(Prefetch("attachments", Attachment.objects.defer("image", "text"))).in_bulk()
    return [rows[pk] for pk in path_to(turn_id, {pk: row.parent_id for pk, row in rows.items()})]


def newest_leaf(turn_id: UUID, parents: Mapping[UUID, UUID | None]) -> UUID:
    """The end of the branch through that turn which was gone on with last."""
    below: dict[UUID | None, UUID] = {parent: child for child, parent in parents.items()}  # the last child wins
    while turn_id in below:
        turn_id = below[turn_id]
    return turn_id


# -- writing --------------------------------------------------------------------------------------------------------------


def open_turn(caller: Caller, ask: Ask, composed: Composed, request_id: str) -> Turn:
    """Write the turn down, in its conversation, before anything is asked. Raises Conflict where a turn of that id is there already."""
    for _try in range(2):
        try:
            return _written(caller, ask, composed, request_id)
        except IntegrityError:  # the turn is there, or a moment ago its conversation came to be, for another model of the group
            if Turn.objects.filter(pk=ask.id).exists():
                break
    raise Conflict


@transaction.atomic
def _written(caller: Caller, ask: Ask, composed: Composed, request_id: str) -> Turn:
    now = clock.now()
    conversation = composed.conversation or _new_conversation(caller, ask)
    turn = Turn.objects.create(
        id=ask.id,
        conversation=conversation,
        parent=composed.parent,
        group=ask.group,
        prompt=ask.message,
        requested_model=composed.model_id,
        request_id=request_id,
        created=now,
        saved=now,
    )
    if composed.attachments:
        turn.attachments.set(composed.attachments)
        Attachment.objects.filter(turns=turn).update(expires=None)
    beside = ask.group is not None and conversation.turns.filter(group=ask.group).exclude(pk=turn.pk).exists()
    if not beside:
        conversation.leaf = turn
    conversation.changed, conversation.model = now, composed.model_id
    conversation.save(update_fields=["leaf", "changed", "model"])
    return turn


def _new_conversation(caller: Caller, ask: Ask) -> Conversation:
    fields: dict[str, Any] = {"pk": ask.conversation} if ask.conversation else {}
    # one of that id may have been made a moment ago, for another model of the group
    found: Conversation | None = own(caller).filter(**fields).first() if fields else None
    return found or Conversation.objects.create(
        user_id=caller.user_id,
        visitor=caller.visitor if caller.is_guest else "",
        title=title_of(ask.message),
        system_prompt=ask.system_prompt or "",
        parameters=dict(ask.given),
        **fields,
    )


def title_of(prompt: str) -> str:
    """The beginning of a question, as a title."""
    line = next((line.strip() for line in prompt.splitlines() if line.strip()), "…")
    return line if len(line) <= TITLE_CHARACTERS else line[: TITLE_CHARACTERS - 1].rstrip() + "…"


def withdraw(turn: Turn) -> None:
    """The turn was refused before anything was asked: as if it had never been."""
    turn_id, parent_id = turn.pk, turn.parent_id  # a deleted row has no key any more
    with transaction.atomic():
        conversation = Conversation.objects.select_for_update().get(pk=turn.conversation_id)
        turn.delete()
        parents = parents_of(conversation)
        if not parents:
            conversation.delete()
        elif conversation.leaf_id is None or conversation.leaf_id == turn_id:
            conversation.leaf_id = newest_leaf(parent_id or next(reversed(parents)), parents)
            conversation.save(update_fields=["leaf"])
