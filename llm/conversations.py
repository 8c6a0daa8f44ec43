"""Conversations: whose they are, which branch is shown, and what a model is sent of it. Synchronous: call it in a database hop."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Prefetch
from django.utils.translation import gettext as _

from accounts.caller import Caller
from accounts.errors import Conflict, NotFound
from billing import clock
from billing.errors import InvalidRequest
from llm.admission import choose_model, output_for
from llm.meter import input_guess
from llm.models import Attachment, Conversation, Turn
from llm.types import Ask, ChatRequest, Image, Message, Text

TITLE_CHARACTERS = 80
BIN = timedelta(days=7)  # a deleted conversation can be brought back for so long


@dataclass(frozen=True, slots=True)
class Composed:
    """What a model is sent, and where the turn belongs. `dropped`: turns that did not fit its context."""

    request: ChatRequest
    model_id: str
    conversation: Conversation | None
    parent: Turn | None
    attachments: tuple[Attachment, ...]
    dropped: int = 0


def own(caller: Caller) -> Any:
    """The caller's conversations that are not in the bin."""
    return Conversation.objects.of(caller).filter(deleted=None)


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


# -- what a model is sent -------------------------------------------------------------------------------------------------


def compose(caller: Caller, ask: Ask) -> Composed:
    """The request of a turn, with all that came before it and fits. Changes nothing.

    Raises NotFound for what is not the caller's, and what choose_model and output_for raise.
    """
    conversation = _conversation(caller, ask)
    parent = _parent(conversation, ask)
    attachments = _attachments(caller, ask.attachments)
    settings: dict[str, Any] = {"shows_reasoning": True, "stream": True}
    if conversation is not None:
        own_ones = {name: value for name, value in conversation.parameters.items() if name not in ask.given}
        settings |= own_ones | ({"substitution_explicit": True} if "substitution" in own_ones else {})
        settings["model"] = ask.request.model or conversation.model
    request = replace(ask.request, **settings)
    entry = choose_model(caller, request)
    sees = not entry.capabilities or entry.can("vision")
    if not sees and any(row.kind == Attachment.Kind.IMAGE for row in attachments):
        raise InvalidRequest(_("%(model)s cannot see images. Choose a model that can.") % {"model": entry.model_id}, field="model")
    last = Message("user", _content(request.messages[-1].text, attachments))
    if ask.temporary:
        return Composed(replace(request, messages=(*request.messages[:-1], last)), entry.model_id, None, None, attachments)
    before = _before(parent, sees)
    prompt = ask.system_prompt if ask.system_prompt is not None else conversation.system_prompt if conversation else ""
    system = [Message("system", prompt)] if prompt else []
    room = None if entry.context_window is None else entry.context_window - output_for(request, entry)
    kept = _that_fit(system, before, last, room)
    messages = (*system, *(message for turn in kept for message in turn), last)
    return Composed(replace(request, messages=messages), entry.model_id, conversation, parent, attachments, len(before) - len(kept))


def _conversation(caller: Caller, ask: Ask) -> Conversation | None:
    if ask.conversation is None or ask.temporary:
        return None
    found: Conversation | None = own(caller).filter(pk=ask.conversation).select_related("leaf").first()
    if found is None and Conversation.objects.filter(pk=ask.conversation).exists():
        raise NotFound
    return found


def _parent(conversation: Conversation | None, ask: Ask) -> Turn | None:
    if conversation is None:
        if ask.parent is not None:
            raise NotFound
        return None
    if ask.at_leaf:
        return conversation.leaf
    if ask.parent is None:
        return None
    parent = conversation.turns.filter(pk=ask.parent).first()
    if parent is None:
        raise NotFound
    return parent


def _attachments(caller: Caller, ids: Sequence[UUID]) -> tuple[Attachment, ...]:
    found = {row.pk: row for row in Attachment.objects.of(caller).filter(pk__in=ids)}
    if len(found) < len(set(ids)):
        raise NotFound
    return tuple(found[pk] for pk in dict.fromkeys(ids))


def _before(parent: Turn | None, sees: bool) -> list[tuple[Message, Message]]:
    """Question and answer of each turn from the root to `parent`; a turn without an answer is left out, and images for who is blind."""
    if parent is None:
        return []
    path = path_to(parent.pk, parents_of(parent.conversation))
    rows = Turn.objects.filter(pk__in=path).exclude(answer="").prefetch_related("attachments").in_bulk()
    turns = [rows[pk] for pk in path if pk in rows]
    return [(Message("user", _content(turn.prompt, turn.attachments.all(), sees)), Message("assistant", turn.answer)) for turn in turns]


def _content(prompt: str, attachments: Iterable[Attachment], sees: bool = True) -> str | tuple[Text | Image, ...]:
    """Files as text in front of the question, images beside it."""
    rows = list(attachments)
    texts = [f'<file name="{row.name}">\n{row.text}\n</file>' for row in rows if row.kind == Attachment.Kind.TEXT]
    text = "\n\n".join([*texts, prompt])
    shown = [row for row in rows if sees and row.kind == Attachment.Kind.IMAGE]
    images = [Image(row.media_type, base64.b64encode(row.image).decode()) for row in shown]
    return (Text(text), *images) if images else text


def _that_fit(
    system: list[Message], before: list[tuple[Message, Message]], last: Message, room: int | None
) -> list[tuple[Message, Message]]:
    """The newest turns that fit into a model's context beside the question."""
    if room is None:
        return before
    room -= input_guess(ChatRequest((*system, last)))
    kept: list[tuple[Message, Message]] = []
    for turn in reversed(before):
        room -= input_guess(ChatRequest(turn))
        if room < 0:
            break
        kept.append(turn)
    return kept[::-1]


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
    turn.attachments.set(composed.attachments)
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
    with transaction.atomic():
        conversation = Conversation.objects.select_for_update().get(pk=turn.conversation_id)
        turn.delete()
        if not conversation.turns.exists():
            conversation.delete()
        elif conversation.leaf_id is None or conversation.leaf_id == turn.pk:
            conversation.leaf_id = turn.parent_id or conversation.turns.order_by("-created").values_list("pk", flat=True).first()
            conversation.save(update_fields=["leaf"])
