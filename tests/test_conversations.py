"""/v1/conversations and what belongs to it: lists, branches, the bin, links, exports and imports, for accounts and for guests' browsers."""

from __future__ import annotations

import io
import uuid
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import OperationalError
from django.test import Client
from docx import Document
from openpyxl import Workbook
from pptx import Presentation

from accounts.models import User
from accounts.visitors import COOKIE, signed
from billing import clock
from llm import attachments, listing, turns
from llm.models import Attachment, Conversation, Turn
from llm.serializers_conversations import ConversationBody
from tests.fakes.upstream import Answer, FakeUpstream
from tests.server import LiveServer
from tests.sockets import as_browser, opened

VISITOR = "ab" * 16
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40


@pytest.fixture
def alice(make_user: Callable[..., User]) -> User:
    return make_user("pro")


@pytest.fixture
def hers(http: httpx.Client, alice: User, bearer: Callable[[User], dict[str, str]]) -> httpx.Client:
    http.headers.update(bearer(alice))
    return http


def talk(user: User | None, *said: tuple[str, str], **fields: Any) -> Conversation:
    """A conversation of one branch."""
    row = Conversation.objects.create(user=user, title=said[0][0], **fields)
    for number, (prompt, answer) in enumerate(said):
        created = clock.now() + timedelta(seconds=number)
        row.leaf = Turn.objects.create(
            id=uuid.uuid4(), conversation=row, parent=row.leaf, prompt=prompt, answer=answer, state="done", created=created
        )
    row.save()
    return row


def titles(response: httpx.Response) -> list[str]:
    return [one["title"] for one in response.json()["results"]]


def test_the_list_has_pinned_ones_first_and_finds_words(hers: httpx.Client, alice: User, make_user: Callable[..., User]) -> None:
    old, new = talk(alice, ("Bären", "Winterschlaf in der Höhle")), talk(alice, ("Docker", "Ein Container"), folder="Arbeit")
    talk(make_user(email="bob@example.org"), ("Bärin", "x"))
    Conversation.objects.filter(pk=old.pk).update(changed=clock.now() - timedelta(days=1))
    assert titles(hers.get("/v1/conversations")) == ["Docker", "Bären"]
    hers.patch(f"/v1/conversations/{old.pk}", json={"pinned": True})
    Conversation.objects.filter(pk=old.pk).update(changed=clock.now() - timedelta(days=1))
    assert titles(hers.get("/v1/conversations")) == ["Bären", "Docker"]
    found = hers.get("/v1/conversations", params={"q": "HÖHLE bären"})
    assert titles(found) == ["Bären"] and "Höhle" in found.json()["results"][0]["excerpt"]
    assert titles(hers.get("/v1/conversations", params={"q": "100%_"})) == []
    assert titles(hers.get("/v1/conversations", params={"folder": "Arbeit"})) == ["Docker"]
    assert hers.get("/v1/conversations/folders").json() == {"folders": [{"name": "Arbeit", "count": 1}]}
    page = hers.get("/v1/conversations", params={"limit": 1}).json()
    assert page["next"] == "1"
    assert titles(hers.get("/v1/conversations", params={"limit": 1, "cursor": "1"})) == [new.title]


def test_a_long_conversation_comes_in_pieces(hers: httpx.Client, alice: User) -> None:
    row = talk(alice, *((f"q{number}", f"a{number}") for number in range(100)))
    end = hers.get(f"/v1/conversations/{row.pk}").json()
    assert [turn["prompt"] for turn in end["turns"]] == [f"q{number}" for number in range(60, 100)]
    before = hers.get(f"/v1/conversations/{row.pk}/turns", params={"before": end["before"], "limit": 100}).json()
    assert [turn["prompt"] for turn in before["turns"]] == [f"q{number}" for number in range(60)] and before["before"] is None


def test_another_branch_is_shown_to_its_newest_end(hers: httpx.Client, alice: User) -> None:
    row = talk(alice, ("1", "a"), ("2", "b"), ("3", "c"))
    first, second, _third = row.turns.order_by("created")
    other = Turn.objects.create(id=uuid.uuid4(), conversation=row, parent=first, prompt="2, otherwise", answer="x", state="done")
    shown = hers.patch(f"/v1/conversations/{row.pk}", json={"leaf": str(other.pk)}).json()
    assert [turn["prompt"] for turn in shown["turns"]] == ["1", "2, otherwise"]
    assert set(shown["turns"][1]["siblings"]) == {str(other.pk), str(second.pk)}
    shown = hers.patch(f"/v1/conversations/{row.pk}", json={"leaf": str(second.pk)}).json()
    assert [turn["prompt"] for turn in shown["turns"]] == ["1", "2", "3"]
    assert hers.patch(f"/v1/conversations/{row.pk}", json={"leaf": str(uuid.uuid4())}).status_code == 404


def test_a_change_leaves_alone_what_changed_meanwhile(hers: httpx.Client, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    row = talk(alice, ("1", "a"), share_token="t", share_leaf=None)
    read = ConversationBody.read
    asked = Turn.objects.create(id=uuid.uuid4(), conversation=row, parent=row.leaf, prompt="2", state="done")

    def slowly(data: Any) -> dict[str, Any]:
        """The link is revoked, a question asked and the chat binned while the body is read."""
        Conversation.objects.filter(pk=row.pk).update(share_token=None, leaf=asked, deleted=clock.now())
        return read(data)

    monkeypatch.setattr(ConversationBody, "read", slowly)
    hers.patch(f"/v1/conversations/{row.pk}", json={"title": "other", "parameters": {"temperature": 1}})
    row.refresh_from_db()
    assert (row.title, row.parameters, row.share_token, row.leaf) == ("other", {"temperature": 1}, None, asked)
    assert row.deleted is not None


def test_what_stands_side_by_side_comes_along(hers: httpx.Client, alice: User) -> None:
    row, group = talk(alice, ("1", "a")), uuid.uuid4()
    for model in ("m1", "m2"):
        turn = Turn.objects.create(
            id=uuid.uuid4(), conversation=row, parent=row.leaf, group=group, prompt="2", answer=model, requested_model=model, state="done"
        )
    shown = hers.patch(f"/v1/conversations/{row.pk}", json={"leaf": str(turn.pk)}).json()["turns"]
    assert shown[0]["alternatives"] == []
    assert [one["answer"] for one in shown[1]["alternatives"]] == ["m1", "m2"]
    alone = hers.patch(f"/v1/conversations/{row.pk}", json={"settled": str(turn.pk)}).json()["turns"][1]
    assert (alone["answer"], alone["alternatives"], len(alone["siblings"])) == ("m2", [], 2)


def test_the_bin_gives_back_for_a_week(hers: httpx.Client, alice: User) -> None:
    row = talk(alice, ("1", "a"))
    gone = hers.delete(f"/v1/conversations/{row.pk}").json()
    assert gone["deleted"] and gone["restorable_until"] > clock.stamp(clock.now() + timedelta(days=6))
    assert titles(hers.get("/v1/conversations")) == [] and hers.get(f"/v1/conversations/{row.pk}").status_code == 404
    talk(alice, ("2", "b")), talk(alice, ("3", "c"), deleted=clock.now() - timedelta(days=8))  # one never deleted, one gone for good
    binned = hers.get("/v1/conversations", params={"deleted": "1"}).json()["results"]
    assert [(one["title"], one["restorable_until"]) for one in binned] == [("1", gone["restorable_until"])]
    assert hers.get("/v1/conversations", params={"deleted": "1", "q": "2"}).json()["results"] == []
    restored = hers.post(f"/v1/conversations/{row.pk}/restore").json()
    assert (restored["title"], restored["restorable_until"]) == ("1", None)
    assert hers.get("/v1/conversations", params={"deleted": "1"}).json()["results"] == []
    assert hers.post(f"/v1/conversations/{row.pk}/restore").status_code == 404
    Conversation.objects.filter(pk=row.pk).update(deleted=clock.now() - timedelta(days=8))
    forgotten = Conversation.objects.create(visitor=VISITOR, title="old", changed=clock.now() - timedelta(days=31))
    kept = talk(alice, ("kept", "a"))
    assert hers.post(f"/v1/conversations/{row.pk}/restore").status_code == 404
    assert listing.purge() == 3
    assert set(Conversation.objects.values_list("title", flat=True)) == {kept.title, "2"} and forgotten.pk != kept.pk


def test_a_link_shows_what_there_was_until_it_is_revoked(hers: httpx.Client, alice: User) -> None:
    row = talk(alice, ("Frage", "Antwort"))
    link = hers.post(f"/v1/conversations/{row.pk}/share", json={"days": 7}).json()
    assert link["expires"] > clock.stamp(clock.now() + timedelta(days=6))
    again = hers.post(f"/v1/conversations/{row.pk}/share", json={}).json()
    assert again["url"] != link["url"] and again["expires"] is None
    assert hers.get("/v1/conversations").json()["results"][0]["shared"]
    assert hers.delete(f"/v1/conversations/{row.pk}/share").status_code == 200
    assert hers.get(f"/v1/conversations/{row.pk}").json()["share"] is None


@pytest.mark.django_db
def test_what_is_shared_shows_compared_answers_and_is_kept_by_nobody(alice: User) -> None:
    row, group = talk(alice, ("Frage", "Antwort"), share_token="link"), uuid.uuid4()
    for model in ("m1", "m2"):
        turn = Turn.objects.create(id=uuid.uuid4(), conversation=row, parent=row.leaf, group=group, prompt="2", answer=f"**{model}**")
    Conversation.objects.filter(pk=row.pk).update(share_leaf=turn)
    page = Client().get("/shared/link")
    assert [[one.answer for one, _text in answers] for _turn, answers in page.context["turns"]] == [["Antwort"], ["**m1**", "**m2**"]]
    assert page.content.decode().count("<strong>m") == 2  # also where no script runs
    assert "no-store" in page.headers["Cache-Control"]


@pytest.mark.django_db
def test_models_side_by_side_are_as_many_as_may_run_at_once(alice: User) -> None:
    signed_in = Client()
    signed_in.force_login(alice)
    pages = [client.get("/chat").context["boot"]["limits"]["compare"] for client in (Client(), signed_in)]
    assert pages == [2, 4]


def test_what_is_exported_can_be_brought_in_again(hers: httpx.Client, alice: User) -> None:
    row = talk(alice, ("1", "a"), ("2", "b"), folder="F", system_prompt="Kurz.", parameters={"temperature": 0.1})
    Turn.objects.create(id=uuid.uuid4(), conversation=row, parent=row.turns.get(prompt="1"), prompt="2b", answer="c", state="done")
    markdown = hers.get(f"/v1/conversations/{row.pk}/export", params={"as": "markdown"})
    assert markdown.headers["Content-Disposition"] == 'attachment; filename="1.md"'
    assert "> Kurz." in markdown.text and "2b" not in markdown.text and markdown.text.index("a") < markdown.text.index("b")
    exported = hers.get("/v1/conversations/export")
    for body in ({"json": exported.json()}, {"files": {"file": ("c.json", exported.content)}}):
        assert hers.post("/v1/conversations/import", **body).json()["imported"] == 1
    copy = Conversation.objects.exclude(pk=row.pk).first()
    assert copy is not None and copy.leaf is not None
    assert (copy.user, copy.folder, copy.system_prompt, copy.parameters) == (alice, "F", "Kurz.", {"temperature": 0.1})
    assert [turn.prompt for turn in listing.branch(copy).turns] == ["1", "2"] and copy.turns.count() == 3
    assert hers.get(f"/v1/conversations/{row.pk}/export", params={"as": "pdf"}).json()["error"]["field"] == "as"


def node(role: str, text: str, parent: str | None, *children: str) -> dict[str, Any]:
    message = {"author": {"role": role}, "content": {"content_type": "text", "parts": [text]}, "create_time": 1_700_000_000.0}
    return {"message": message if role else None, "parent": parent, "children": list(children)}


CHATGPT = {
    "title": "Bären",
    "create_time": 1_700_000_000.0,
    "current_node": "a2",
    "mapping": {
        "root": node("", "", None, "s"),
        "s": node("system", "", "root", "u1"),
        "u1": node("user", "Was fressen Bären?", "s", "a1", "a1b"),
        "a1": node("assistant", "Lachs", "u1", "u2"),
        "a1b": node("assistant", "Honig", "u1"),
        "u2": node("user", "Und im Winter?", "a1", "t"),
        "t": node("tool", "searched", "u2", "a2"),
        "a2": node("assistant", "Nichts", "t"),
    },
}


def test_chatgpts_own_export_comes_in_with_its_branches(hers: httpx.Client) -> None:
    broken = {"title": "x", "mapping": {"a": {"message": 7, "parent": None}}}
    circle = {"title": "x", "mapping": {"a": node("user", "x", "b", "b"), "b": node("assistant", "y", "a", "a")}}
    answer = hers.post("/v1/conversations/import", json=[CHATGPT, broken, circle]).json()
    assert (answer["imported"] + answer["skipped"], answer["skipped"] >= 1) == (3, True)
    row = Conversation.objects.get(pk=answer["conversations"][0])
    assert row.title == "Bären" and row.created.year == 2023
    assert [(turn.prompt, turn.answer) for turn in listing.branch(row).turns] == [
        ("Was fressen Bären?", "Lachs"),
        ("Und im Winter?", "Nichts"),
    ]
    assert set(row.turns.filter(parent=None).values_list("answer", flat=True)) == {"Lachs", "Honig"}


def tree(*rows: tuple[str, str, str], current: str) -> dict[str, Any]:
    """A conversation of ChatGPT's of (role, text, parent) rows; each one's id is its text. `context`: custom instructions."""
    mapping: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None, "children": []}}
    for number, (role, text, parent) in enumerate(rows):
        content: dict[str, Any] = {"content_type": "text", "parts": [text]}
        metadata: dict[str, Any] = {"model_slug": "gpt-4o"} if role == "assistant" else {}
        if role == "context":
            role, content = "user", {"content_type": "user_editable_context", "user_profile": "Bear", "user_instructions": "Be brief."}
            metadata = {"is_visually_hidden_from_conversation": True, "is_user_system_message": True}
        if role == "hidden":
            role, metadata = "system", {"is_visually_hidden_from_conversation": True}
        if role == "picture":
            role, content = "user", {"content_type": "multimodal_text", "parts": [{"content_type": "image_asset_pointer"}, ""]}
        recipient = "python" if role == "to a tool" else "all"
        role = "assistant" if role == "to a tool" else role
        message: dict[str, Any] = {
            "id": text,
            "author": {"role": role, "name": None, "metadata": {}},
            "create_time": 1_700_000_000.0 + number if role != "system" else None,
            "content": content,
            "metadata": metadata,
            "recipient": recipient,
        }
        mapping[text] = {"id": text, "message": message, "parent": parent, "children": []}
        mapping[parent]["children"].append(text)
    return {"title": "Bären", "create_time": 1_700_000_000.0, "current_node": current, "mapping": mapping}


START = (("hidden", "s", "root"), ("context", "c", "s"))
EXPORTS: dict[str, tuple[dict[str, Any], list[tuple[str, str]], set[str]]] = {
    "custom instructions": (
        tree(*START, ("user", "q1", "c"), ("assistant", "a1", "q1"), ("user", "q2", "a1"), ("assistant", "a2", "q2"), current="a2"),
        [("q1", "a1"), ("q2", "a2")],
        set(),
    ),
    "an answer that was stopped": (
        tree(*START, ("user", "q1", "c"), ("user", "q2", "q1"), ("assistant", "a2", "q2"), ("user", "q3", "a2"), current="q3"),
        [("q1", ""), ("q2", "a2"), ("q3", "")],
        set(),
    ),
    "stopped, and answered on another branch": (
        tree(("user", "q1", "root"), ("assistant", "a1", "q1"), ("user", "q2", "q1"), ("assistant", "a2", "q2"), current="a2"),
        [("q1", ""), ("q2", "a2")],
        {"a1"},
    ),
    "the first of two last answers": (
        tree(*START, ("user", "q1", "c"), ("assistant", "a1", "q1"), ("assistant", "a1 anew", "q1"), current="a1"),
        [("q1", "a1")],
        {"a1 anew"},
    ),
    "the second of two, behind a message of the system's": (
        tree(("user", "q1", "root"), ("hidden", "h", "q1"), ("assistant", "a1", "h"), ("assistant", "a1 anew", "h"), current="a1 anew"),
        [("q1", "a1 anew")],
        {"a1"},
    ),
    "tools, and a picture": (
        tree(
            ("picture", "p", "root"), ("assistant", "Let me see.", "p"), ("to a tool", "print(1)", "Let me see."),
            ("tool", "1", "print(1)"), ("assistant", "A bear.", "1"), current="A bear.",
        ),
        [("📎", "Let me see.\n\nA bear.")],
        set(),
    ),
    "no word of what is shown": (
        {**tree(("user", "q1", "root"), ("assistant", "a1", "q1"), current="a1"), "current_node": None}, [("q1", "a1")], set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPORTS)
def test_no_question_of_chatgpts_export_is_lost(hers: httpx.Client, name: str) -> None:
    export, shown, other_answers = EXPORTS[name]
    answer = hers.post("/v1/conversations/import", json=[export]).json()
    assert (answer["imported"], answer["skipped"]) == (1, 0)
    row = Conversation.objects.get()
    assert [(turn.prompt, turn.answer) for turn in listing.branch(row).turns] == shown
    assert set(row.turns.values_list("answer", flat=True)) == {said for _, said in shown} | other_answers
    assert row.turns.count() == len(shown) + len(other_answers)


ODD = [
    1e300, -1e300, 253402300800, True, [], {}, "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-99-99T00:00:00Z",
    "2026-01-01",
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_date_is_none(hers: httpx.Client, odd: Any) -> None:
    turn = {"id": "1", "parent": None, "prompt": "q", "answer": "a", "created": odd}
    ours = {"format": "triforce-conversations", "conversations": [{"title": "x", "created": odd, "turns": [turn]}]}
    theirs = tree(("user", "q1", "root"), ("assistant", "a1", "q1"), current="a1")
    theirs["create_time"] = theirs["mapping"]["q1"]["message"]["create_time"] = odd
    for body in (ours, [theirs]):
        assert hers.post("/v1/conversations/import", json=body).json()["imported"] == 1
    for moment in (*Conversation.objects.values_list("created", flat=True), *Turn.objects.values_list("created", flat=True)):
        assert abs(clock.now() - moment) < timedelta(minutes=1)


def test_an_import_is_whole_or_not_there(hers: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"title": "x", "mapping": {"a": {"message": 7, "parent": None}}}
    last, write = tree(("user", "last", "root"), current="last"), Turn.objects.bulk_create

    def away(turns: list[Turn], **how: Any) -> Any:
        if any(turn.prompt == "last" for turn in turns):
            raise OperationalError
        return write(turns, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Turn.objects, "bulk_create", away)
        assert hers.post("/v1/conversations/import", json=[CHATGPT, last]).status_code == 503
    assert not Conversation.objects.exists()
    assert hers.post("/v1/conversations/import", json=[CHATGPT, broken]).json()["skipped"] == 1
    assert Conversation.objects.count() == 1


@pytest.mark.parametrize("body", [{}, [], {"format": "x"}, {"format": "triforce-conversations", "conversations": 7}, [7]])
def test_what_is_no_export_is_refused(hers: httpx.Client, body: Any) -> None:
    refusal = hers.post("/v1/conversations/import", json=body)
    assert (refusal.status_code, refusal.json()["error"]["field"]) == (400, "file")


def office(save: Any) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def word() -> bytes:
    document = Document()
    document.add_paragraph("Honig und Lachs")
    return office(document.save)


def excel() -> bytes:
    book = Workbook()
    book.active.append(["Honig und", "Lachs"])
    return office(book.save)


def powerpoint() -> bytes:
    show = Presentation()
    slide = show.slides.add_slide(show.slide_layouts[5])
    slide.shapes.title.text = "Honig und Lachs"
    return office(show.save)


PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>endobj\n"
    b"4 0 obj<</Length 46>>stream\nBT /F 12 Tf 9 9 Td (Honig und Lachs) Tj ET    \nendstream endobj\n"
    b"5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\ntrailer<</Root 1 0 R>>\nstartxref\n0\n%%EOF\n"
)
FILES: dict[str, Callable[[], bytes]] = {
    "a.txt": lambda: "Honig und Lachs ".encode("utf-16"),
    "ä.md": lambda: b"Honig und Lachs",
    "a.docx": word,
    "a.xlsx": excel,
    "a.pptx": powerpoint,
    "a.pdf": lambda: PDF,
}


@pytest.mark.parametrize("name", FILES)
def test_a_model_gets_the_text_of_a_file(hers: httpx.Client, alice: User, live: LiveServer, upstream: FakeUpstream, name: str) -> None:
    uploaded = hers.post("/v1/attachments", files={"file": (f"../x/{name}", FILES[name]())})
    assert uploaded.status_code == 201, uploaded.text
    file = uploaded.json()
    assert (file["name"], file["kind"], file["url"]) == (name, "text", None) and file["tokens"] > 2
    upstream.always(Answer("x", usage=(1, 1)))
    with opened(live, as_browser(live, alice)) as socket:
        socket.ask("Was steht da?", attachments=[file["id"]])
        conversation = socket.until("done")[-1]["conversation"]
    content = upstream.chats[0].body["messages"][-1]["content"].replace("\t", " ")
    assert "Honig und Lachs" in content and content.endswith("Was steht da?") and f'<file name="{name}">' in content
    assert hers.get(f"/v1/conversations/{conversation}").json()["turns"][0]["attachments"][0]["name"] == name


def test_an_image_goes_to_who_can_see(hers: httpx.Client, alice: User, live: LiveServer, upstream: FakeUpstream) -> None:
    file = hers.post("/v1/attachments", files={"file": ("bear.png", PNG)}).json()
    assert (file["kind"], file["media_type"]) == ("image", "image/png")
    shown = hers.get(file["url"])
    assert (shown.content, shown.headers["Content-Type"], shown.headers["Content-Security-Policy"]) == (PNG, "image/png", "sandbox")
    upstream.always(Answer("a bear", usage=(1, 1)))
    with opened(live, as_browser(live, alice)) as socket:
        socket.ask("?", attachments=[file["id"]], model="ollama/gpt-oss:120b-cloud")
        assert socket.take()["field"] == "model"
        socket.ask("?", attachments=[file["id"]], model="ollama/qwen3-vl:235b-cloud")
        conversation = socket.until("done")[-1]["conversation"]
        socket.ask("And?", conversation=conversation, model="ollama/gpt-oss:120b-cloud")  # who is blind goes on without it
        socket.until("done")
    seen = [[len(message.get("images", ())) for message in chat.body["messages"] if message["role"] == "user"] for chat in upstream.chats]
    assert seen == [[1], [0, 0]]


def bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"word/{number}.xml", b"\x00" * 50_000_000)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.txt", b""),
        ("blank.txt", b"  \n"),
        ("program.exe", b"MZ\x00\x01\x02"),
        ("broken.pdf", b"%PDF-1.7 nothing"),
        ("broken.docx", b"PK\x03\x04nothing"),
        ("bomb.docx", None),
        ("long.txt", b"x" * 1_000_001),
        ("large.bin", b"x" * (10 * 1024 * 1024 + 1)),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(hers: httpx.Client, name: str, content: bytes | None) -> None:
    refusal = hers.post("/v1/attachments", files={"file": (name, bomb() if content is None else content)})
    assert (refusal.status_code, refusal.json()["error"]["field"]) == (400, "file")
    assert not Attachment.objects.exists()


def test_an_upload_above_the_limit_is_turned_away(hers: httpx.Client) -> None:
    assert hers.post("/v1/attachments", files={"file": ("a", b"x" * (26 * 1024 * 1024))}).status_code == 413
    assert (
        hers.post("/v1/conversations/import", content=b"[" + b" " * 3_000_000, headers={"Content-Type": "application/json"}).status_code
        == 413
    )


def test_a_guests_browser_has_chats_of_its_own(live: LiveServer, http: httpx.Client) -> None:
    assert http.get("/v1/conversations").status_code == 401
    mine, other = {COOKIE: signed(VISITOR)}, {COOKIE: signed("cd" * 16)}
    row = talk(None, ("Hi", "Hallo"), visitor=VISITOR)
    assert titles(http.get("/v1/conversations", headers={"Cookie": f"{COOKIE}={mine[COOKIE]}"})) == ["Hi"]
    stranger = {"Cookie": f"{COOKIE}={other[COOKIE]}"}
    assert titles(http.get("/v1/conversations", headers=stranger)) == []
    assert http.get(f"/v1/conversations/{row.pk}", headers=stranger).status_code == 404
    owner = {"Cookie": f"{COOKIE}={mine[COOKIE]}; csrftoken={'a' * 32}"}
    assert http.delete(f"/v1/conversations/{row.pk}", headers=owner).status_code == 403  # without the token that only a page of ours has
    assert http.delete(f"/v1/conversations/{row.pk}", headers={**owner, "X-CSRFToken": "a" * 32}).status_code == 200


@pytest.mark.django_db
def test_what_was_never_sent_is_forgotten(alice: User) -> None:
    old, sent = (Attachment.objects.create(user=alice, name="a", kind="text", size=1, tokens=1, text="x") for _ in range(2))
    talk(alice, ("1", "a")).turns.get().attachments.add(sent)
    Attachment.objects.update(created=clock.now() - timedelta(days=3))
    assert attachments.purge_unused() >= 1
    assert list(Attachment.objects.values_list("pk", flat=True)) == [sent.pk] and old.pk != sent.pk


def test_a_file_of_a_temporary_chat_is_gone_soon(hers: httpx.Client, alice: User, live: LiveServer, upstream: FakeUpstream) -> None:
    def upload(**fields: str) -> str:
        return str(hers.post("/v1/attachments", data=fields, files={"file": ("n.txt", b"Honig")}).json()["id"])

    kept, left, used, moved = upload(), upload(temporary="true"), upload(temporary="true"), upload(temporary="true")
    assert hers.post("/v1/attachments", data={"temporary": "perhaps"}, files={"file": ("n", b"x")}).json()["error"]["field"] == "temporary"
    Attachment.objects.exclude(expires=None).update(expires=clock.now() + timedelta(minutes=1))
    upstream.always(Answer("x", usage=(1, 1)))
    with opened(live, as_browser(live, alice)) as socket:
        socket.ask("And?", temporary=True, messages=[{"role": "user", "content": "Was?", "attachments": [used]}])
        socket.until("done")
        socket.ask("Was?", attachments=[moved])
        socket.until("done")
        socket.ask("?", temporary=True, messages=[{"role": "assistant", "content": "x", "attachments": [used]}])
        assert socket.take()["code"] == "invalid_request"
    assert ["Honig" in message["content"] for message in upstream.chats[0].body["messages"][-2:]] == [True, False]
    expires: dict[str, Any] = {str(file.pk): file.expires for file in Attachment.objects.all()}
    assert expires[kept] is expires[moved] is None
    soon = clock.now() + timedelta(minutes=5)
    assert expires[left] < soon < expires[used] < clock.now() + timedelta(hours=1) - timedelta(minutes=5)
    Attachment.objects.filter(pk=left).update(expires=clock.now() - timedelta(seconds=1))
    assert attachments.purge_expired() == 1 and not Attachment.objects.filter(pk=left).exists()
    assert hers.delete(f"/v1/attachments/{used}").status_code == 200  # its chat is left
    assert Attachment.objects.count() == 2


@pytest.mark.django_db
def test_a_turn_whose_process_died_is_ended(alice: User) -> None:
    row = talk(alice, ("1", "a half"))
    row.turns.update(state="running", saved=clock.now() - timedelta(seconds=31))
    Turn.objects.create(id=uuid.uuid4(), conversation=row, prompt="lives")
    assert turns.sweep() == 1
    turn = row.turns.get(prompt="1")
    assert (turn.state, turn.answer, turn.error_code) == ("failed", "a half", "process_lost") and turn.error_sentence
