"""What somebody writes in the chat is lost by no bad line, no reload, no other chat and no refusal, and is paid once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.contrib.sessions.models import Session
from playwright.sync_api import Page, WebSocketRoute, expect

from accounts.address import guest_subject
from accounts.models import User
from billing import clock
from billing.models import UsageDay, UsageEvent
from llm.models import Conversation, Turn
from tests.browser import beside_a_loop, browser, needs_chromium
from tests.fakes.upstream import Answer, FakeUpstream, Gate
from tests.server import LiveServer
from tests.test_chat_page import PNG, Chat, open_chat
from tests.wired import at_rest

__all__ = ["beside_a_loop", "browser", "open_chat"]
pytestmark = needs_chromium
LARGE, SMALL = "ollama/gpt-oss:120b-cloud", "ollama/gpt-oss:20b-cloud"


class Line:
    """The page's line to the server, with a hand on it: `dead` refuses it, and frames of the kinds in `held` wait for release()."""

    def __init__(self, page: Page) -> None:
        self.dead = False
        self.held: set[str] = set()
        self.sent: list[dict[str, Any]] = []
        self.answers: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda frame: None  # in the server's place
        self._waiting: list[str] = []
        page.route_web_socket("**/ws/chat/", self._pass_on)

    def _pass_on(self, line: WebSocketRoute) -> None:
        if self.dead:
            return line.close(code=1012)
        self.page = line
        self.server = line.connect_to_server()
        line.on_message(self._from_page)
        self.server.on_message(self._from_server)

    def _from_page(self, message: str | bytes) -> None:
        frame = json.loads(message)
        self.sent.append(frame)
        answer = self.answers(frame)
        if answer is None:
            self.server.send(message)
        else:
            self.page.send(json.dumps({"id": frame["id"], **answer}))

    def _from_server(self, message: str | bytes) -> None:
        if json.loads(message)["type"] in self.held:
            self._waiting.append(str(message))
        else:
            self.page.send(message)

    def release(self) -> None:
        self.held.clear()
        for message in self._waiting:
            self.page.send(message)

    def kinds(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.sent if frame["type"] == kind]


def on_a_line(open_chat: Callable[..., Chat], path: str = "/chat", **how: Any) -> tuple[Chat, Line]:
    chat = open_chat(path="/prices", **how)
    line = Line(chat.page)
    chat.page.goto(path)
    return chat, line


def field(chat: Chat) -> Any:
    return chat.page.locator("#composer textarea")


def paste(chat: Chat, words: str) -> None:
    field(chat).evaluate("(field, words) => { field.value = words; field.dispatchEvent(new Event('input', { bubbles: true })) }", words)


def write_chat(user: User, *prompts: str, title: str = "Bees") -> Conversation:
    """A conversation that is there already."""
    row = Conversation.objects.create(user=user, title=title)
    parent = None
    for prompt in prompts:
        parent = Turn.objects.create(
            id=uuid.uuid4(), conversation=row, parent=parent, prompt=prompt, answer=f"About {prompt}.", state="done", model=LARGE
        )
    Conversation.objects.filter(pk=row.pk).update(leaf=parent, model=LARGE)
    return row


def test_what_was_sent_without_a_line_is_sent_after_a_reload(
    open_chat: Callable[..., Chat], upstream: FakeUpstream, live: LiveServer
) -> None:
    upstream.always(Answer("Here.", usage=(1, 1)))
    chat, line = on_a_line(open_chat)
    expect(field(chat)).to_be_visible()
    line.dead = True
    line.page.close(code=1012)
    expect(chat.page.locator("#line")).to_be_visible()
    chat.ask("Are you there?")
    expect(chat.page.locator(".bubble")).to_have_text("Are you there?")
    chat.page.reload()
    expect(chat.page.locator(".bubble")).to_have_text("Are you there?")  # still on its way
    line.dead = False
    expect(chat.answer).to_have_text("Here.")
    chat.whole()
    chat.page.reload()
    expect(chat.page.locator(".turn")).to_have_count(1)
    at_rest(live)
    assert len(upstream.chats) == UsageEvent.objects.count() == Conversation.objects.count() == 1


def test_messages_that_wait_and_drafts_stay_with_their_chat(
    open_chat: Callable[..., Chat], upstream: FakeUpstream, make_user: Callable[..., User], tmp_path: Path
) -> None:
    user, picture, gate = make_user(), tmp_path / "bear.png", Gate()
    picture.write_bytes(bytes.fromhex(PNG))
    row = write_chat(user, "bees")
    upstream.enqueue(Answer(["one ", "two"], gate=gate, gate_after=1), Answer("three"))
    chat = open_chat(user=user, path=f"/chat/{row.pk}")
    expect(chat.page.locator(".turn")).to_have_count(1)
    chat.ask("First")
    expect(chat.answer).to_contain_text("one")
    chat.ask("Second")
    expect(chat.page.locator("#queue .chip")).to_contain_text("Second")
    chat.page.locator("#file-field").set_input_files(picture)
    expect(chat.page.locator("#files .chip img")).to_be_visible()
    field(chat).fill("Third")
    chat.page.locator(".sidebar [data-new]").click()
    expect(chat.page.locator("#welcome h2")).to_be_visible()
    expect(chat.page.locator("#queue .chip, #files .chip")).to_have_count(0)
    expect(field(chat)).to_have_value("")
    chat.page.reload()
    chat.page.locator("#conversations a[data-id]").click()
    expect(chat.page.locator("#queue .chip")).to_contain_text("Second")
    expect(chat.page.locator("#files .chip img")).to_be_visible()
    expect(field(chat)).to_have_value("Third")
    expect(chat.page.locator(".answer.running")).to_have_count(1)
    gate.set()
    expect(chat.answer).to_have_text("three")
    chat.whole()
    assert not chat.complaints()


def test_after_a_failure_somebody_says_how_to_go_on(open_chat: Callable[..., Chat], upstream: FakeUpstream) -> None:
    gate = Gate()
    upstream.enqueue(Answer(["one ", "two"], gate=gate, gate_after=1, fault="error_event", after=2), Answer("three"))
    chat = open_chat()
    chat.ask("First")
    expect(chat.answer).to_contain_text("one")
    for words in ("Second", "Third"):
        chat.ask(words)
    gate.set()
    expect(chat.page.locator(".error-card")).to_be_visible()
    assert not chat.complaints()
    chat.button("Put “%(message)s” back to write on", message="Third").click()
    expect(field(chat)).to_have_value("Third")
    chat.button("Send “%(message)s” now", message="Second").click()
    expect(chat.answer).to_have_text("three")
    expect(chat.page.locator("#queue")).to_be_hidden()


def test_a_refusal_finds_its_way_back_to_the_chat_it_was_for(open_chat: Callable[..., Chat], make_user: Callable[..., User]) -> None:
    user = make_user()
    here, elsewhere = write_chat(user, "bees"), write_chat(user, "honey", title="Honey")
    UsageDay.objects.create(subject=user.subject, usage_class="cloud", day=clock.now().date(), used=10**9)
    chat, line = on_a_line(open_chat, path=f"/chat/{here.pk}", user=user)
    expect(chat.page.locator(".turn")).to_have_count(1)
    line.held.add("error")
    chat.ask("What do they eat?")
    expect(chat.page.locator(".turn")).to_have_count(2)
    chat.page.locator(f"#conversations a[data-id='{elsewhere.pk}']").click()
    expect(chat.page.locator(".bubble")).to_have_text("honey")
    line.release()
    expect(chat.page.locator(".toast")).to_be_visible()
    expect(field(chat)).to_have_value("")
    chat.page.locator(f"#conversations a[data-id='{here.pk}']").click()
    expect(field(chat)).to_have_value("What do they eat?")
    expect(chat.page.locator(".turn")).to_have_count(1)


def test_what_is_too_long_for_a_message_is_said_at_once(open_chat: Callable[..., Chat], upstream: FakeUpstream) -> None:
    chat, line = on_a_line(open_chat)
    paste(chat, ("ä" * 99 + "\n") * 7000)
    expect(chat.page.locator("#quote.refused")).to_be_visible()
    chat.page.locator(".send").click()
    expect(chat.page.locator(".error-card")).to_be_visible()
    assert len(field(chat).input_value()) > 690_000 and not line.kinds("chat") and not line.kinds("quote")
    upstream.always(Answer("Yes.", usage=(1, 1)))
    field(chat).fill("")
    chat.ask("Are you still there?")
    expect(chat.answer).to_have_text("Yes.")
    assert not chat.complaints()


def test_a_long_temporary_chat_goes_on_without_its_beginning(
    open_chat: Callable[..., Chat], upstream: FakeUpstream, make_user: Callable[..., User]
) -> None:
    upstream.always(Answer("ok", usage=(1, 1)))
    chat, line = on_a_line(open_chat, user=make_user("enterprise"))
    chat.page.locator("#temporary").click()
    for start in "ABC":
        paste(chat, (start * 99 + "\n") * 4500)
        chat.page.locator(".send").click()
        chat.whole()
    expect(chat.page.locator(".toast")).to_have_count(1)
    said = ["".join(message["content"][0] for message in frame["messages"]) for frame in line.kinds("chat")]
    assert said == ["", "Ao", "Bo"]


def test_another_device_that_went_on_is_noticed_before_it_becomes_a_branch(
    open_chat: Callable[..., Chat], upstream: FakeUpstream, make_user: Callable[..., User]
) -> None:
    user = make_user()
    row = write_chat(user, "bees")
    upstream.always(Answer("Well.", usage=(1, 1)))
    here, there = (open_chat(user=user, path=f"/chat/{row.pk}") for _ in range(2))
    for chat in (here, there):
        expect(chat.page.locator(".turn")).to_have_count(1)
    there.ask("From there")
    expect(there.answer).to_have_text("Well.")
    there.whole()
    here.ask("From here")
    expect(here.page.locator(".toast")).to_be_visible()
    expect(here.page.locator(".bubble").last).to_have_text("From there")
    expect(field(here)).to_have_value("From here")
    here.page.keyboard.press("Enter")
    expect(here.page.locator(".turn")).to_have_count(3)
    here.whole()
    assert [turn.parent_id for turn in row.turns.order_by("created")][1:] == [turn.pk for turn in row.turns.order_by("created")][:2]
    assert not here.wrong


def test_whose_session_ended_does_not_go_on_as_a_guest(
    open_chat: Callable[..., Chat], upstream: FakeUpstream, make_user: Callable[..., User]
) -> None:
    user = make_user()
    row = write_chat(user, "bees")
    chat, line = on_a_line(open_chat, path=f"/chat/{row.pk}", user=user)
    expect(chat.page.locator(".turn")).to_have_count(1)
    line.dead = True
    line.page.close(code=1012)
    expect(chat.page.locator("#line")).to_be_visible()
    chat.ask("Am I still here?")
    Session.objects.all().delete()
    line.dead = False
    link = chat.page.locator("#line a")
    expect(link).to_have_attribute("href", f"/accounts/login/?next=%2Fchat%2F{row.pk}")
    assert not line.kinds("chat") and not upstream.chats
    assert "Am I still here?" in chat.page.evaluate("JSON.stringify(localStorage)")


def test_a_doubt_about_a_running_answer_is_no_failure(open_chat: Callable[..., Chat], upstream: FakeUpstream) -> None:
    gate = Gate()
    upstream.always(Answer(["one ", "two"], usage=(1, 2), gate=gate, gate_after=1))
    chat, line = on_a_line(open_chat)
    chat.ask("Go")
    expect(chat.answer).to_contain_text("one")
    line.page.send(json.dumps({"type": "error", "id": line.kinds("chat")[0]["id"], "code": "service_unavailable", "detail": "Away."}))
    expect(chat.page.locator(".error-card")).to_contain_text("Away.")
    expect(chat.button("Try again")).to_have_count(0)  # who asked again now would pay twice
    gate.set()
    expect(chat.answer).to_have_text("one two")
    chat.whole()
    expect(chat.page.locator(".error-card")).to_have_count(0)
    assert len(upstream.chats) == 1


def test_one_refusal_does_not_end_a_temporary_comparison(open_chat: Callable[..., Chat], upstream: FakeUpstream) -> None:
    upstream.always(Answer("From the large one", usage=(1, 4)))
    chat, line = on_a_line(open_chat, script=f"localStorage.setItem('triforce:guest:models', '{json.dumps([LARGE, SMALL])}')")
    no = {"type": "error", "code": "rate_limited", "detail": "Too fast."}
    line.answers = lambda frame: no if (frame["type"], frame.get("model")) == ("chat", SMALL) else None
    chat.page.locator("#temporary").click()
    chat.ask("Who are you?")
    expect(chat.page.locator(".toast")).to_contain_text("Too fast.")
    expect(chat.answer).to_have_text("From the large one")
    expect(field(chat)).to_have_value("")


def test_the_price_before_sending_is_that_of_all_who_are_asked(open_chat: Callable[..., Chat]) -> None:
    chat, line = on_a_line(open_chat, script=f"localStorage.setItem('triforce:guest:models', '{json.dumps([LARGE, SMALL])}')")
    quote = {"type": "quote", "input_tokens": 9, "would_be_admitted": True, "reason": None, "price_usd": None}
    line.answers = lambda frame: {**quote, "max_charge": 1200, "share_of_remaining": 0.1} if frame["type"] == "quote" else None
    field(chat).fill("How much?")
    expect(chat.page.locator("#quote")).to_contain_text("at most 2,400 of today's 50,000 left")
    line.answers = lambda frame: {**quote, "max_charge": 1200, "share_of_remaining": None} if frame["type"] == "quote" else None
    field(chat).fill("And now?")
    expect(chat.page.locator("#quote")).to_contain_text("free of tokens")
    no = {"would_be_admitted": False, "reason": "quota_exceeded", "max_charge": 1200, "share_of_remaining": 1.0}
    line.answers = lambda frame: {**quote, **no} if frame["type"] == "quote" else None
    field(chat).fill("And at the end?")
    expect(chat.page.locator("#quote.refused")).to_contain_text("more than is left of today's tokens")


def test_the_rest_of_the_day_is_not_that_of_models_which_do_not_count(
    open_chat: Callable[..., Chat], upstream: FakeUpstream, make_user: Callable[..., User]
) -> None:
    upstream.always(Answer("Free.", usage=(1, 1)))
    chat = open_chat(user=make_user("pro"))
    expect(chat.page.locator("#quota")).to_contain_text("tokens left today")
    chat.ask("What do you cost?")
    expect(chat.answer).to_have_text("Free.")
    chat.whole()
    expect(chat.page.locator("#quota")).to_contain_text("tokens left today")


def test_on_a_phone_enter_makes_a_new_line(open_chat: Callable[..., Chat], upstream: FakeUpstream) -> None:
    upstream.always(Answer("Two lines.", usage=(1, 1)))
    chat = open_chat((390, "light", "en"), has_touch=True, is_mobile=True)
    chat.ask("One")
    chat.page.keyboard.type("two")
    expect(field(chat)).to_have_value("One\ntwo")
    chat.page.locator(".send").tap()
    expect(chat.page.locator(".bubble")).to_have_text("One\ntwo")
    chat.whole()


def test_the_key_that_ends_a_composition_sends_nothing(open_chat: Callable[..., Chat]) -> None:
    chat = open_chat()
    field(chat).fill("にほん")
    field(chat).evaluate(
        "field => field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', keyCode: 229, bubbles: true, cancelable: true }))"
    )
    expect(field(chat)).to_have_value("にほん")
    expect(chat.page.locator(".turn")).to_have_count(0)


def test_versions_of_a_temporary_chat_can_be_leafed_through(open_chat: Callable[..., Chat], upstream: FakeUpstream) -> None:
    upstream.enqueue(*(Answer(words, usage=(1, 1)) for words in ("first", "after", "second", "third")))
    chat = open_chat()
    chat.page.locator("#temporary").click()
    for words, answer in (("A", "first"), ("B", "after")):
        chat.ask(words)
        expect(chat.answer).to_have_text(answer)
        chat.whole()
    for words, answer in (("A2", "second"), ("A3", "third")):
        chat.page.locator(".turn").first.hover()
        chat.button("Edit question").first.click()
        chat.page.locator(".prompt-edit textarea").fill(words)
        chat.page.keyboard.press("Enter")
        expect(chat.answer).to_have_text(answer)
        chat.whole()
    for number, answer in ((2, "second"), (1, "after")):
        chat.button("Version before").click()
        expect(chat.page.locator(".branches .number")).to_have_text(f"{number}/3")
        expect(chat.answer).to_have_text(answer)
    expect(chat.page.locator(".turn")).to_have_count(2)
    for _ in range(2):
        chat.button("Next version").click()
    expect(chat.answer).to_have_text("third")
    assert not chat.complaints()


def test_a_model_that_is_there_no_longer_is_not_asked(open_chat: Callable[..., Chat], upstream: FakeUpstream) -> None:
    upstream.always(Answer("Me.", usage=(1, 1)))
    chat = open_chat(script="localStorage.setItem('triforce:guest:models', '[\"ollama/gone-for-good\"]')")
    expect(chat.page.locator(".model-name")).not_to_contain_text("gone")
    chat.ask("Who is there?")
    expect(chat.answer).to_have_text("Me.")


def test_a_guest_has_no_money_left_and_sees_ways_on(open_chat: Callable[..., Chat]) -> None:
    UsageDay.objects.create(subject=guest_subject("127.0.0.1"), usage_class="cloud", day=clock.now().date(), used=49_990)
    chat = open_chat()
    chat.ask("One more, please")
    expect(chat.page.locator(".error-card")).to_be_visible()
    expect(chat.page.locator(".error-card .saying")).to_contain_text("“")
    chat.button("Choose another model").click()
    expect(chat.page.locator("dialog.picker")).to_be_visible()
    expect(chat.page.locator(".error-card a")).to_have_attribute("href", "/accounts/signup/?next=%2Fchat")
