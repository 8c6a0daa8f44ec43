"""Conversations to take along and to bring in: JSON with every branch, Markdown of what is shown; ours, and ChatGPT's own export."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
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
    made, skipped = [], 0
    for one in found:
        try:
            conversation, turns, leaf = read(one)
        except (KeyError, TypeError, ValueError, AttributeError):
            skipped += 1
            continue
        made.append(_written(caller, conversation, turns, leaf))
    return made, skipped


@transaction.atomic
def _written(caller: Caller, conversation: Conversation, turns: list[Turn], leaf: uuid.UUID | None) -> Conversation:
    conversation.user_id, conversation.visitor = caller.user_id, caller.visitor if caller.is_guest else ""
    conversation.save()
    for turn in turns:
        turn.conversation = conversation
    Turn.objects.bulk_create(turns, batch_size=200)
    conversation.leaf_id = leaf
    conversation.save(update_fields=["leaf"])
    return conversation


def _text(value: Any, most: int | None = None) -> str:
    if not isinstance(value, str):
        raise TypeError
    return storable(value)[:most]


def _moment(value: Any) -> datetime:
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    found = parse_datetime(value) if isinstance(value, str) else None
    return found if found is not None and found.tzinfo else clock.now()


def _ours(data: Mapping[str, Any]) -> tuple[Conversation, list[Turn], uuid.UUID | None]:
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
    leaf = ids.get(data.get("leaf") or "") or (turns[-1].pk if turns else None)
    return conversation, turns, leaf


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


def _chatgpts(data: Mapping[str, Any]) -> tuple[Conversation, list[Turn], uuid.UUID | None]:
    """One conversation of ChatGPT's export: a tree of messages, in which we look for questions and what was answered to each."""
    nodes: Mapping[str, Any] = data["mapping"]
    if len(nodes) > 3 * MOST_TURNS:
        raise ValueError
    turns: list[Turn] = []
    shown = set(_up(nodes, data.get("current_node")))
    leaf = None
    waiting: list[tuple[str, uuid.UUID | None]] = [(key, None) for key, node in nodes.items() if node.get("parent") not in nodes]
    visited = set()
    while waiting:
        key, parent = waiting.pop(0)
        if key in visited:
            raise ValueError
        visited.add(key)
        node = nodes[key]
        if _role(node) != "user":
            waiting += [(child, parent) for child in node.get("children", [])]
            continue
        for answer, model, below in _answers(nodes, node) or [("", "", [])]:
            turn = Turn(id=uuid.uuid4(), parent_id=parent, prompt=_said(node), answer=answer, requested_model=model, model=model)
            turn.state, turn.created = Turn.State.DONE, _moment(node["message"].get("create_time"))
            turns.append(turn)
            waiting += [(child, turn.pk) for child in below]
            if key in shown:
                leaf = turn.pk
    title = data.get("title")
    conversation = Conversation(title=_text(title, 120) if title else title_of(turns[0].prompt) if turns else "…")
    conversation.created = _moment(data.get("create_time"))
    return conversation, turns, leaf


def _up(nodes: Mapping[str, Any], key: Any) -> Iterator[str]:
    seen = set()
    while key in nodes and key not in seen:
        seen.add(key)
        yield key
        key = nodes[key].get("parent")


def _role(node: Mapping[str, Any]) -> str:
    message = node.get("message")
    return message["author"]["role"] if message else ""


def _said(node: Mapping[str, Any]) -> str:
    content = node["message"].get("content", {})
    return storable("\n".join(part for part in content.get("parts", []) if isinstance(part, str)))


def _answers(nodes: Mapping[str, Any], asked: Mapping[str, Any]) -> list[tuple[str, str, list[str]]]:
    """(text, model, the questions that follow) for each answer to a question."""
    found = []
    for child in asked.get("children", []):
        texts, model, key, seen = [], "", child, set()
        below: list[str] = []
        while key in nodes and key not in seen:
            seen.add(key)
            node = nodes[key]
            if _role(node) == "assistant" and node["message"].get("content", {}).get("content_type", "text") == "text":
                texts.append(_said(node))
                model = str(node["message"].get("metadata", {}).get("model_slug") or model)
            children = node.get("children", [])
            below = [one for one in children if one in nodes and _role(nodes[one]) == "user"]
            others = [one for one in children if one not in below]
            if below or not others:
                break
            key = others[-1]
        found.append(("\n\n".join(filter(None, texts)), model[:200], below))
    return found
