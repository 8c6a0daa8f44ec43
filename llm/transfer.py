"""Conversations to take along and to bring in: JSON with every branch, Markdown of what is shown; ours, and ChatGPT's own export."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from accounts.caller import Caller
from billing import clock
from billing.errors import InvalidRequest
from llm.conversations import title_of, turns_to
from llm.models import Conversation, Turn
from llm.turns import storable

FORMAT, VERSION = "triforce-conversations", 1
MOST_CONVERSATIONS = 2000
MOST_TURNS = 20_000
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
TURN_FIELDS = "prompt answer reasoning model requested_model tokens_used input_tokens output_tokens finish_reason state".split()


# -- out ------------------------------------------------------------------------------------------------------------------


def as_json(conversations: Iterable[Conversation]) -> dict[str, Any]:
    """All branches of all of them."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "exported": clock.stamp(clock.now()),
        "conversations": [_tree(one) for one in conversations],
    }


def _tree(conversation: Conversation) -> dict[str, Any]:
    turns = [
        {
            "id": str(turn.pk),
            "parent": None if turn.parent_id is None else str(turn.parent_id),
            "group": None if turn.group is None else str(turn.group),
            "created": clock.stamp(turn.created),
            "attachments": [row.name for row in turn.attachments.all()],
            **{name: getattr(turn, name) for name in TURN_FIELDS},
        }
        for turn in conversation.turns.prefetch_related("attachments")
    ]
    return {
        "id": str(conversation.pk),
        "title": conversation.title,
        "folder": conversation.folder,
        "pinned": conversation.pinned,
        "model": conversation.model,
        "system_prompt": conversation.system_prompt,
        "parameters": conversation.parameters,
        "created": clock.stamp(conversation.created),
        "leaf": None if conversation.leaf_id is None else str(conversation.leaf_id),
        "turns": turns,
    }


def as_markdown(conversation: Conversation) -> str:
    """The branch that is shown."""
    parts = [f"# {conversation.title}"]
    if conversation.system_prompt:
        parts.append("> " + conversation.system_prompt.replace("\n", "\n> "))
    for turn in turns_to(conversation, conversation.leaf_id):
        files = "".join(f"\n\n📎 {row.name}" for row in turn.attachments.all())
        parts += [f"## {turn.created:%Y-%m-%d %H:%M}", turn.prompt + files, f"### {turn.model or turn.requested_model}", turn.answer]
    return "\n\n".join(parts) + "\n"


# -- in -------------------------------------------------------------------------------------------------------------------


def bring_in(caller: Caller, data: Any) -> tuple[list[Conversation], int]:
    """Conversations from an export. Returns them, and how many could not be read. Raises InvalidRequest where it is none."""
    if isinstance(data, dict) and data.get("format") == FORMAT and isinstance(data.get("conversations"), list):
        found, read = data["conversations"], _ours
    elif isinstance(data, list) and all(isinstance(one, dict) and "mapping" in one for one in data) and data:
        found, read = data, _chatgpts
    else:
        raise InvalidRequest(_("This is neither an export of TriForce nor ChatGPT's conversations.json."), field="file")
    if len(found) > MOST_CONVERSATIONS:
        raise InvalidRequest(_("At most %(most)d conversations at once.") % {"most": MOST_CONVERSATIONS}, field="file")
    made, turns, skipped = [], [], 0
    for one in found:
        try:
            conversation, its_turns = read(one)
        except (KeyError, TypeError, ValueError, AttributeError):
            skipped += 1
            continue
        conversation.user_id, conversation.visitor = caller.user_id, caller.visitor if caller.is_guest else ""
        for turn in its_turns:
            turn.conversation = conversation
        made.append(conversation)
        turns += its_turns
    with transaction.atomic():  # all of it or nothing, so that a second try doubles nothing
        Conversation.objects.bulk_create(made, batch_size=200)
        Turn.objects.bulk_create(turns, batch_size=200)
    return made, skipped


def _text(value: Any, most: int | None = None) -> str:
    if not isinstance(value, str):
        raise TypeError
    return storable(value)[:most]


def _moment(value: Any) -> datetime:
    """Seconds since 1970, or ISO 8601 with its zone. What is no moment at which somebody chatted is now."""
    now = clock.now()
    try:
        found = datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) else parse_datetime(value)
        return found.astimezone(UTC) if found and found.tzinfo and EARLIEST <= found <= now else now
    except (TypeError, ValueError, OverflowError, OSError):
        return now


def _ours(data: Mapping[str, Any]) -> tuple[Conversation, list[Turn]]:
    """One conversation of our export, with ids of its own. Raises KeyError, TypeError or ValueError where it is not whole."""
    rows = data["turns"]
    if not isinstance(rows, list) or len(rows) > MOST_TURNS:
        raise ValueError
    ids = {_text(row["id"]): uuid.uuid4() for row in rows}
    groups = {row["group"]: uuid.uuid4() for row in rows if row.get("group")}
    states = {Turn.State.DONE, Turn.State.CANCELLED}
    turns, seen = [], set()
    for row in rows:
        parent = row["parent"]
        if parent is not None and parent not in seen:
            raise ValueError  # a parent comes first, so there are no circles
        seen.add(row["id"])
        turns.append(
            Turn(
                id=ids[row["id"]],
                parent_id=None if parent is None else ids[parent],
                group=groups.get(row.get("group")),
                prompt=_text(row["prompt"]),
                answer=_text(row["answer"]),
                reasoning=_text(row.get("reasoning", "")),
                model=_text(row.get("model", ""), 200),
                requested_model=_text(row.get("requested_model", ""), 200),
                state=row.get("state") if row.get("state") in states else Turn.State.DONE,
                created=_moment(row.get("created")),
            )
        )
    parameters = data.get("parameters", {})
    conversation = Conversation(
        title=_text(data["title"], 120) or "…",
        folder=_text(data.get("folder", ""), 60),
        pinned=data.get("pinned") is True,
        model=_text(data.get("model", ""), 200),
        system_prompt=_text(data.get("system_prompt", "")),
        parameters=_parameters(parameters),
        created=_moment(data.get("created")),
    )
    conversation.leaf_id = ids.get(data.get("leaf") or "") or (turns[-1].pk if turns else None)
    return conversation, turns


def _parameters(found: Mapping[str, Any]) -> dict[str, Any]:
    """Only what a request could have said."""
    kept: dict[str, Any] = {}
    if isinstance(temperature := found.get("temperature"), int | float) and 0 <= temperature <= 2:
        kept["temperature"] = float(temperature)
    if isinstance(most := found.get("max_tokens"), int) and 1 <= most <= 1_000_000:
        kept["max_tokens"] = int(most)
    if (substitution := found.get("substitution")) in ("strict", "family", "any"):
        kept["substitution"] = substitution
    return kept


def _chatgpts(data: Mapping[str, Any]) -> tuple[Conversation, list[Turn]]:
    """One conversation of ChatGPT's export: a tree of messages, in which we look for questions and what was answered to each."""
    nodes: Mapping[str, Any] = data["mapping"]
    if len(nodes) > 3 * MOST_TURNS:
        raise ValueError
    turns: list[Turn] = []
    shown = set(_up(nodes, data.get("current_node")))
    leaf = None
    waiting: deque[tuple[str, uuid.UUID | None]] = deque((key, None) for key, node in nodes.items() if node.get("parent") not in nodes)
    visited = set()
    while waiting:
        key, parent = waiting.popleft()
        if key in visited:
            raise ValueError
        visited.add(key)
        if not _is_question(nodes[key]):
            waiting += [(child, parent) for child in _children(nodes, key)]
            continue
        answers = _answers(nodes, key, shown)
        for number, answer in enumerate(answers):
            turn = _turn(nodes[key], answer, parent, number)
            turns.append(turn)
            waiting += [(child, turn.pk) for child in answer.below]
            if key in shown and (answer.is_shown or not any(one.is_shown for one in answers)):
                leaf = turn.pk
    title = data.get("title")
    conversation = Conversation(title=_text(title, 120) if title else title_of(turns[0].prompt) if turns else "…")
    conversation.created = _moment(data.get("create_time"))
    conversation.leaf_id = leaf or (turns[-1].pk if turns else None)
    return conversation, turns


@dataclass
class _Answer:
    """below: the questions that follow it."""

    texts: list[str] = field(default_factory=list)
    model: str = ""
    below: list[str] = field(default_factory=list)
    is_shown: bool = False


def _turn(asked: Mapping[str, Any], answer: _Answer, parent: uuid.UUID | None, number: int) -> Turn:
    """Answers made anew have their question's time, and keep their order."""
    text, created = "\n\n".join(answer.texts), _moment(asked["message"].get("create_time")) + timedelta(microseconds=number)
    return Turn(
        id=uuid.uuid4(),
        parent_id=parent,
        prompt=_said(asked) or "📎",
        answer=text,
        requested_model=answer.model,
        model=answer.model,
        state=Turn.State.DONE,
        created=created,
    )


def _up(nodes: Mapping[str, Any], key: Any) -> Iterator[str]:
    seen = set()
    while key in nodes and key not in seen:
        seen.add(key)
        yield key
        key = nodes[key].get("parent")


def _children(nodes: Mapping[str, Any], key: str) -> list[str]:
    return [child for child in nodes[key].get("children", []) if child in nodes]


def _is_visible(node: Mapping[str, Any], role: str) -> bool:
    """Is it something that they or the model said to the other? Not custom instructions, and not what was said to a tool."""
    message = node.get("message")
    if not message or message["author"]["role"] != role or (message.get("metadata") or {}).get("is_visually_hidden_from_conversation"):
        return False
    kind = (message.get("content") or {}).get("content_type", "text")
    return kind in ("text", "multimodal_text") and (message.get("recipient") or "all") == "all"


def _is_question(node: Mapping[str, Any]) -> bool:
    """Words, a picture, or both."""
    return _is_visible(node, "user") and any(part != "" for part in node["message"].get("content", {}).get("parts", []))


def _said(node: Mapping[str, Any]) -> str:
    parts = node["message"].get("content", {}).get("parts", [])
    spoken = (part.get("text") if isinstance(part, dict) else part for part in parts)  # what was said aloud stands in an object
    return storable("\n".join(part for part in spoken if isinstance(part, str)))


def _answers(nodes: Mapping[str, Any], asked: str, shown: Collection[str]) -> list[_Answer]:
    """Each answer to a question. One that was made anew branches before its first word; later on the branch that is shown is it.

    Where nothing was answered before the next question, or at all, there is one without a text.
    """
    found, silent = [], _Answer()
    waiting, seen = [asked], set()
    while waiting:
        key = waiting.pop()
        if key in seen:
            raise ValueError
        seen.add(key)
        if _words(nodes[key]):
            found.append(_followed(nodes, key, shown))
            continue
        for child in _children(nodes, key)[::-1]:
            (silent.below if _is_question(nodes[child]) else waiting).append(child)
    return found if found and not silent.below else [*found, silent]


def _words(node: Mapping[str, Any]) -> str:
    """What the model said in it."""
    return _said(node) if _is_visible(node, "assistant") else ""


def _followed(nodes: Mapping[str, Any], key: str, shown: Collection[str]) -> _Answer:
    """An answer from its first words on, with what the model said between its tools, up to the next question."""
    answer, seen = _Answer(is_shown=key in shown), set()
    while key not in seen:
        seen.add(key)
        if words := _words(nodes[key]):
            answer.texts.append(words)
            answer.model = str((nodes[key]["message"].get("metadata") or {}).get("model_slug") or answer.model)[:200]
        others: list[str] = []
        for child in _children(nodes, key):
            (answer.below if _is_question(nodes[child]) else others).append(child)
        if answer.below or not others:
            break
        key = next((child for child in others if child in shown), others[-1])
    return answer
