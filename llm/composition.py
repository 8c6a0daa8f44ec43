"""What a model is sent of a conversation: what was said before and fits, and the files. Synchronous: call it in a database hop.

What goes along is chosen by what the rows say of the files' sizes; contents, which may be large, are read of that alone.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db.models import Prefetch
from django.utils.translation import gettext as _

from accounts.caller import Caller
from accounts.errors import NotFound
from billing.errors import InvalidRequest
from billing.estimate import MESSAGE_TOKENS, guess
from llm.admission import choose_model, output_for
from llm.conversations import own, parents_of, path_to
from llm.models import Attachment, Conversation, Turn
from llm.types import Ask, ChatRequest, Image, Message, Role, Text

MOST_EARLIER_PICTURES = 20  # of questions before this one: the newest, and together no more bytes than
MOST_EARLIER_BYTES = 20 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Composed:
    """What a model is sent, and where the turn belongs.

    `dropped`: questions that did not fit its context; `left_behind`: files of the others that are not sent again.
    """

    request: ChatRequest
    model_id: str
    conversation: Conversation | None
    parent: Turn | None
    attachments: tuple[Attachment, ...]
    dropped: int = 0
    left_behind: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """A message whose files were not read yet. `left_behind`: how many it had besides."""

    role: Role
    text: str
    files: tuple[Attachment, ...] = ()
    left_behind: int = 0

    @property
    def tokens(self) -> int:
        """A fair guess."""
        return MESSAGE_TOKENS + guess(self.text) + sum(file.tokens + guess(file.name) for file in self.files)


def compose(caller: Caller, ask: Ask, *, quoted: bool = False) -> Composed:
    """The request of a turn, with all that came before it and fits. Changes nothing.

    `quoted`: it is only counted, so its pictures hold no data.
    Raises NotFound for what is not the caller's, and what choose_model and output_for raise.
    """
    conversation = _conversation(caller, ask)
    parent = _parent(conversation, ask)
    files = _files(caller, ask.all_files)
    settings: dict[str, Any] = {"shows_reasoning": True, "stream": True}
    if conversation is not None:
        own_ones = {name: value for name, value in conversation.parameters.items() if name not in ask.given}
        settings |= own_ones | ({"substitution_explicit": True} if "substitution" in own_ones else {})
        settings["model"] = ask.request.model or conversation.model
    request = replace(ask.request, **settings)
    entry = choose_model(caller, request)
    question = _question(ask, files)
    if not entry.may_see and any(file.kind == Attachment.Kind.IMAGE for file in question.files):
        raise InvalidRequest(_("%(model)s cannot see images. Choose a model that can.") % {"model": entry.model_id}, field="model")
    system, before = _spoken(ask, files) if ask.temporary else (_system(ask, conversation), _before(parent))
    room = None if entry.context_window is None else entry.context_window - output_for(request, entry)
    kept = _that_fit(_thinned(before, entry.may_see), room, beside=(*system, question))
    said = (*system, *kept, question)
    return Composed(
        replace(request, messages=_messages(said, quoted)),
        entry.model_id,
        None if ask.temporary else conversation,
        parent,
        question.files,
        _questions(before) - _questions(kept),
        sum(one.left_behind for one in kept),
    )


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


def _files(caller: Caller, ids: Collection[UUID]) -> Mapping[UUID, Attachment]:
    """The caller's of these, without their contents."""
    found = Attachment.objects.of(caller).filter(pk__in=ids).defer("image", "text") if ids else ()
    return {file.pk: file for file in found}


# -- what is said ---------------------------------------------------------------------------------------------------------


def _question(ask: Ask, files: Mapping[UUID, Attachment]) -> Said:
    """Raises NotFound where one of its files is not there."""
    ids = dict.fromkeys((*ask.attachments, *ask.files.get(len(ask.request.messages) - 1, ())))
    if ids.keys() - files.keys():
        raise NotFound
    return Said("user", ask.request.messages[-1].text, tuple(files[pk] for pk in ids))


def _system(ask: Ask, conversation: Conversation | None) -> list[Said]:
    prompt = ask.system_prompt if ask.system_prompt is not None else conversation.system_prompt if conversation else ""
    return [Said("system", prompt)] if prompt else []


def _spoken(ask: Ask, files: Mapping[UUID, Attachment]) -> tuple[list[Said], list[Said]]:
    """What a temporary chat brings along: its system prompt, and the rest. A file that is gone meanwhile stays behind."""
    said = []
    for at, message in enumerate(ask.request.messages[:-1]):
        ids = ask.files.get(at, ())
        there = tuple(files[pk] for pk in ids if pk in files)
        said.append(Said(message.role, message.text, there, len(ids) - len(there)))
    start = next((at for at, one in enumerate(said) if one.role != "system"), len(said))
    return said[:start], said[start:]


def _before(parent: Turn | None) -> list[Said]:
    """Question and answer of each turn from the root to `parent`; a turn without an answer is left out."""
    if parent is None:
        return []
    path = path_to(parent.pk, parents_of(parent.conversation))
    files = Prefetch("attachments", Attachment.objects.defer("image", "text"))
    rows = Turn.objects.filter(pk__in=path).exclude(answer="").only("prompt", "answer").prefetch_related(files).in_bulk()
    said = []
    for turn in (rows[pk] for pk in path if pk in rows):
        said += [Said("user", turn.prompt, tuple(turn.attachments.all())), Said("assistant", turn.answer)]
    return said


# -- what of it goes along ------------------------------------------------------------------------------------------------


def _thinned(before: Sequence[Said], sees: bool) -> list[Said]:
    """With the newest pictures alone, and with none for who is blind."""
    number, room = MOST_EARLIER_PICTURES, MOST_EARLIER_BYTES
    thinned = []
    for said in reversed(before):
        files = []
        for file in reversed(said.files):
            if file.kind == Attachment.Kind.IMAGE:
                number, room = number - 1, room - file.size
                if not sees or number < 0 or room < 0:
                    continue
            files.append(file)
        left = len(said.files) - len(files) if sees else 0
        thinned.append(replace(said, files=tuple(files[::-1]), left_behind=said.left_behind + left))
    return thinned[::-1]


def _that_fit(before: Sequence[Said], room: int | None, *, beside: Sequence[Said]) -> Sequence[Said]:
    """The newest questions and their answers that fit into a model's context; `beside` goes along in any case."""
    if room is None:
        return before
    room -= MESSAGE_TOKENS + sum(said.tokens for said in beside)
    start = len(before)
    for at, said in reversed(list(enumerate(before))):
        room -= said.tokens
        if room < 0:
            return before[start:]
        if said.role == "user":
            start = at
    return before


def _questions(said: Sequence[Said]) -> int:
    return sum(one.role == "user" for one in said)


def _messages(said: Sequence[Said], quoted: bool) -> tuple[Message, ...]:
    rows = Attachment.objects.defer("image") if quoted else Attachment.objects.all()
    contents = rows.in_bulk({file.pk for one in said for file in one.files})
    return tuple(Message(one.role, _content(one, contents, quoted)) for one in said)


def _content(said: Said, contents: Mapping[UUID, Attachment], quoted: bool) -> str | tuple[Text | Image, ...]:
    """Files as text in front of the question, images beside it."""
    files = [contents[file.pk] for file in said.files if file.pk in contents]
    texts = [f'<file name="{file.name}">\n{file.text}\n</file>' for file in files if file.kind == Attachment.Kind.TEXT]
    text = "\n\n".join([*texts, said.text])
    shown = [file for file in files if file.kind == Attachment.Kind.IMAGE]
    images = [Image(file.media_type, "" if quoted else base64.b64encode(file.image).decode()) for file in shown]
    return (Text(text), *images) if images else text
