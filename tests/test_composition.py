"""What a model is sent of a conversation: which turns fit, which files go along, and that no more of them is read than that."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from accounts.caller import Caller, caller_for
from accounts.models import User
from billing import clock
from llm import asking, composition
from llm.composition import Composed, compose
from llm.models import Attachment, Conversation, LanguageModel, Turn
from llm.types import Ask, ChatRequest, Message

pytestmark = pytest.mark.django_db
SEES, BLIND = "ollama/qwen3-vl:235b-cloud", "ollama/gpt-oss:120b-cloud"


@pytest.fixture
def alice(make_user: Callable[..., User]) -> Caller:
    return caller_for({}, "127.0.0.1", session_user=make_user("pro"))


def picture(caller: Caller, number: int) -> Attachment:
    content = b"\x89PNG\r\n\x1a\n%d" % number
    return Attachment.objects.create(
        user_id=caller.user_id, name=f"{number}.png", kind="image", media_type="image/png", size=len(content), tokens=1600, image=content
    )


def album(caller: Caller, count: int) -> Conversation:
    """A conversation of so many turns, each about a picture."""
    row = Conversation.objects.create(user_id=caller.user_id, title="Bären", model=SEES)
    for number in range(count):
        row.leaf = Turn.objects.create(
            id=uuid.uuid4(),
            conversation=row,
            parent=row.leaf,
            prompt=f"q{number}",
            answer=f"a{number}",
            state="done",
            created=clock.now() + timedelta(seconds=number),
        )
        row.leaf.attachments.add(picture(caller, number))
    row.save()
    return row


def asked(row: Conversation, model: str = SEES) -> Ask:
    return Ask(uuid.uuid4(), ChatRequest((Message("user", "?"),), model=model), "?", conversation=row.pk)


def shown(composed: Composed) -> list[list[str]]:
    """The pictures of each question."""
    questions = [message for message in composed.request.messages if message.role == "user"]
    return [[base64.b64decode(image.data).decode("latin-1")[8:] for image in message.images] for message in questions]


def test_the_newest_pictures_go_along(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    row = album(alice, 4)
    everything = compose(alice, asked(row))
    assert (shown(everything), everything.left_behind, asking._warnings(everything)) == ([["0"], ["1"], ["2"], ["3"], []], 0, [])
    monkeypatch.setattr(composition, "MOST_EARLIER_PICTURES", 2)
    fewer = compose(alice, asked(row))
    assert (shown(fewer), fewer.left_behind) == ([[], [], ["2"], ["3"], []], 2)
    with translation.override("en"):
        assert asking._warnings(fewer) == ["2 files of earlier questions were not sent again."]
    monkeypatch.setattr(composition, "MOST_EARLIER_BYTES", 9)
    assert shown(compose(alice, asked(row))) == [[], [], [], ["3"], []]
    own = compose(alice, replace(asked(row), attachments=(picture(alice, 7).pk,)))
    assert shown(own)[-1] == ["7"]  # what is asked about is always shown


def test_no_picture_is_read_that_is_not_sent(alice: Caller) -> None:
    row = album(alice, 3)
    for ask, quoted in ((asked(row), True), (asked(row, BLIND), False), (asked(row, BLIND), True)):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            composed = compose(alice, ask, quoted=quoted)
        assert not [query for query in queries if '"image"' in query["sql"]]
        assert (composed.left_behind, len(composed.request.messages)) == (0, 7)
        assert [len(message.images) for message in composed.request.messages if message.role == "user"].count(1) == (
            ask.request.model == SEES
        ) * 3
    LanguageModel.objects.filter(model_id=SEES).update(context_window=4096 + 1700)  # room for the answer and one picture
    with CaptureQueriesContext(connection) as queries:
        composed = compose(alice, asked(row))
    assert (shown(composed), composed.dropped) == ([["2"], []], 2)
    (read,) = [query["sql"] for query in queries if '"image"' in query["sql"]]
    kept = row.leaf.attachments.get()
    assert [file.pk for file in Attachment.objects.all() if file.pk.hex in read.replace("-", "")] == [kept.pk]


def test_files_of_a_temporary_chat_come_along(alice: Caller) -> None:
    mine, text = (
        picture(alice, 1),
        Attachment.objects.create(user_id=alice.user_id, name="n.txt", kind="text", size=5, tokens=1, text="Honig"),
    )
    said = (Message("system", "Kurz."), Message("user", "1"), Message("assistant", "a"), Message("user", "2"))
    ask = Ask(uuid.uuid4(), ChatRequest(said, model=SEES), "2", temporary=True, files={1: (mine.pk, text.pk, uuid.uuid4())})
    composed = compose(alice, ask)
    assert [message.role for message in composed.request.messages] == ["system", "user", "assistant", "user"]
    assert shown(composed) == [["1"], []] and "Honig" in composed.request.messages[1].text
    assert composed.left_behind == 1  # what is gone meanwhile
    blind = compose(alice, replace(ask, request=replace(ask.request, model=BLIND)))
    assert shown(blind) == [[], []] and "Honig" in blind.request.messages[1].text
