"""Keeping conversations in the browser: found, named, pinned, filed, deleted, brought back, taken in; and the ways around the chat."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import APIResponse, Locator, Route, expect

from accounts.models import User
from billing import clock
from llm.models import Attachment, Conversation
from tests.browser import beside_a_loop, browser, needs_chromium
from tests.fakes.upstream import Answer, FakeUpstream, Gate
from tests.server import LiveServer
from tests.test_chat_page import Chat, open_chat
from tests.test_chat_words import field, write_chat
from triforce.models import Announcement

__all__ = ["beside_a_loop", "browser", "open_chat"]
pytestmark = needs_chromium


def chatgpt(title: str, words: str = "Hi") -> dict[str, Any]:
    """A conversation as ChatGPT exports it."""

    def node(parent: str | None, children: list[str], role: str, text: str) -> dict[str, Any]:
        message = {"author": {"role": role}, "content": {"content_type": "text", "parts": [text]}, "create_time": 1_700_000_000.0}
        return {"parent": parent, "children": children, "message": message}

    mapping = {"q": node(None, ["a"], "user", words), "a": node("q", [], "assistant", "Hello.")}
    return {"title": title, "create_time": 1_700_000_000.0, "current_node": "a", "mapping": mapping}


def row_of(chat: Chat, conversation: Conversation) -> Locator:
    return chat.page.locator(f"#conversations a[data-id='{conversation.pk}']")


def choose(chat: Chat, conversation: Conversation, entry: str) -> None:
    """An entry of a conversation's menu."""
    row = row_of(chat, conversation)
    row.hover()
    row.locator("xpath=..").locator(".row-more").click()
    chat.page.get_by_role("menuitem", name=chat.say(entry), exact=True).click()


def answer(chat: Chat, words: str) -> None:
    """What a dialog with one field asks for."""
    chat.page.locator("dialog input").fill(words)
    chat.page.locator("dialog form .button").click()


@pytest.mark.parametrize("look", [(390, "dark", "de"), (1440, "light", "en")], ids=str)
def test_an_export_of_chatgpts_is_taken_in(
    open_chat: Callable[..., Chat], make_user: Callable[..., User], tmp_path: Path, look: Any
) -> None:
    user, file = make_user(), tmp_path / "conversations.json"
    file.write_text(json.dumps([chatgpt("Bees"), chatgpt("Honey", "x" * 3_000_000), {"mapping": None}]))
    chat = open_chat(look, user=user)
    if look[0] < 1000:
        chat.page.locator(".show-sidebar").click()
    chat.page.locator(".account-button").click()
    chat.page.locator("[data-do=import]").click()
    assert not chat.complaints()
    chat.page.locator("#import-file").set_input_files(file)
    expect(chat.page.locator("dialog [role=status]")).to_contain_text("2")
    expect(chat.page.locator("#conversations a[data-id]")).to_have_count(2)
    assert not chat.complaints()
    assert {row.title for row in Conversation.objects.filter(user=user)} >= {"Bees", "Honey"}


def test_an_export_larger_than_the_server_takes_comes_in_parts(
    open_chat: Callable[..., Chat], make_user: Callable[..., User], tmp_path: Path
) -> None:
    user, file = make_user(), tmp_path / "conversations.json"
    file.write_text(json.dumps([chatgpt(f"Chat {number}", "x" * 7_000_000) for number in range(4)]))
    chat = open_chat(user=user)
    sent: list[str] = []
    chat.page.on("request", lambda request: sent.append(request.url) if request.url.endswith("/import") else None)
    chat.page.locator(".account-button").click()
    chat.page.locator("[data-do=import]").click()
    chat.page.locator("#import-file").set_input_files(file)
    expect(chat.page.locator("dialog [role=status]")).to_contain_text("4 conversations are here now.", timeout=30_000)
    assert len(sent) == 2 and Conversation.objects.filter(user=user).count() == 4
    chat.page.locator("#import-file").set_input_files({"name": "a.json", "mimeType": "application/json", "buffer": b"{"})
    expect(chat.page.locator("dialog [role=status]")).to_have_text("That is no JSON file.")
    assert not chat.wrong


def test_conversations_are_named_pinned_and_filed(open_chat: Callable[..., Chat], make_user: Callable[..., User]) -> None:
    user = make_user()
    row = write_chat(user, "bees")
    chat = open_chat(user=user)
    choose(chat, row, "Rename")
    answer(chat, "All about bees")
    expect(row_of(chat, row)).to_contain_text("All about bees")
    choose(chat, row, "Pin")
    expect(chat.page.locator("#conversations h2")).to_have_text("Pinned")
    choose(chat, row, "Unpin")
    choose(chat, row, "Into a folder")
    answer(chat, "Nature")
    folder = chat.page.locator("#conversations summary")
    expect(folder).to_contain_text("Nature")
    folder.click()
    expect(row_of(chat, row)).to_have_count(1)
    expect(row_of(chat, row)).to_be_visible()
    assert not chat.complaints()
    row.refresh_from_db()
    assert (row.title, row.folder, row.pinned) == ("All about bees", "Nature", False)


def test_a_search_leads_to_where_it_was_said(open_chat: Callable[..., Chat], make_user: Callable[..., User]) -> None:
    user = make_user()
    row = write_chat(
        user, *(f"question {number}" for number in range(9)), "Where do hornets nest?", *(f"later {number}" for number in range(60))
    )
    write_chat(user, "bees")
    chat = open_chat(user=user)
    chat.page.locator("#search").fill("hornets")
    expect(chat.page.locator("#conversations .row-excerpt")).to_contain_text("hornets")
    expect(chat.page.locator("#conversations a[data-id]")).to_have_count(1)
    row_of(chat, row).click()
    expect(chat.page.locator(".bubble", has_text="Where do hornets nest?")).to_be_in_viewport()
    assert chat.page.evaluate("CSS.highlights.get('found').size") >= 1
    chat.page.locator("#search").fill("wasps")
    expect(chat.page.locator("#conversations")).to_contain_text("Not a trace of it.")
    assert not chat.complaints()


def test_what_is_deleted_can_be_brought_back_by_keyboard_and_from_the_bin(
    open_chat: Callable[..., Chat], make_user: Callable[..., User]
) -> None:
    user = make_user()
    last, row = write_chat(user, "honey", title="Honey"), write_chat(user, "bees")
    chat = open_chat(user=user)
    choose(chat, row, "Delete")
    expect(row_of(chat, row)).to_have_count(0)
    expect(row_of(chat, last)).to_be_focused()
    expect(chat.page.locator(".toast")).to_contain_text("“Bees” is deleted.")
    assert not chat.complaints()
    chat.page.keyboard.press("Alt+u")
    expect(row_of(chat, row)).to_be_visible()
    expect(chat.page.locator(".toast")).to_have_count(0)
    choose(chat, row, "Delete")
    expect(row_of(chat, row)).to_have_count(0)
    chat.page.reload()
    chat.page.locator(".account-button").click()
    chat.page.locator("[data-do=bin]").click()
    expect(chat.page.locator(".bin-row")).to_contain_text("Bees")
    assert not chat.complaints()
    chat.button("Bring “%(title)s” back", title="Bees").click()
    expect(chat.page.locator(".bin-row")).to_have_count(0)
    chat.page.keyboard.press("Escape")
    expect(row_of(chat, row)).to_be_visible()
    assert not chat.wrong


def test_what_is_deleted_stays_so_whatever_comes_late(
    open_chat: Callable[..., Chat], upstream: FakeUpstream, make_user: Callable[..., User]
) -> None:
    user, gate = make_user(), Gate()
    row, other = write_chat(user, "bees"), write_chat(user, "honey", title="Honey")
    upstream.always(Answer(["one ", "two"], usage=(1, 2), gate=gate, gate_after=1))
    chat = open_chat(user=user, path=f"/chat/{row.pk}")
    expect(chat.page.locator(".turn")).to_have_count(1)
    chat.ask("Go on")
    expect(chat.answer).to_contain_text("one")
    late: list[tuple[Route, APIResponse]] = []
    chat.page.route("**/v1/conversations?*", lambda route: late.append((route, route.fetch())))
    chat.page.evaluate("dispatchEvent(new Event('focus'))")
    chat.page.wait_for_timeout(0)
    expect(row_of(chat, row)).to_be_visible()
    choose(chat, row, "Delete")
    expect(row_of(chat, row)).to_have_count(0)
    while late:
        route, response = late.pop()
        route.fulfill(response=response)  # it was made before the deletion
    gate.set()
    row_of(chat, other).click()
    expect(chat.page.locator(".bubble")).to_have_text("honey")
    expect(row_of(chat, row)).to_have_count(0)


def test_the_list_goes_on_below_folders(open_chat: Callable[..., Chat], make_user: Callable[..., User]) -> None:
    user, now = make_user(), clock.now()
    Conversation.objects.bulk_create(
        Conversation(user=user, title=f"c{number}", folder="Old" if number < 150 else "", changed=now - timedelta(minutes=number))
        for number in range(170)
    )
    chat = open_chat(user=user)
    expect(chat.page.locator("#conversations a[data-id]")).to_have_count(20)
    expect(chat.page.locator("#conversations summary")).to_contain_text("150")


def test_parameters_go_along(open_chat: Callable[..., Chat], upstream: FakeUpstream, make_user: Callable[..., User]) -> None:
    upstream.always(Answer("Yes.", usage=(1, 1)))
    chat = open_chat(user=make_user())
    chat.page.locator("#parameters").click()
    chat.page.locator("#set-system").fill("Answer briefly.")
    chat.page.locator("#set-own-temperature").check()
    chat.page.locator("#set-temperature").fill("0.2")
    chat.page.locator("#set-length").fill("50")
    assert not chat.complaints()
    chat.page.locator("dialog .button").last.click()
    expect(chat.page.locator("#parameters.set")).to_be_visible()
    chat.ask("Really?")
    expect(chat.answer).to_have_text("Yes.")
    body = upstream.chats[0].body
    assert body["messages"][0] == {"role": "system", "content": "Answer briefly."}
    assert (body["options"]["temperature"], body["options"]["num_predict"]) == (0.2, 50)


def test_the_microphone_comes_after_its_notice(open_chat: Callable[..., Chat]) -> None:
    chat = open_chat(script="window.webkitSpeechRecognition = class extends EventTarget {}")
    expect(chat.page.locator("#microphone")).to_be_hidden()
    chat.page.locator(".account-button").click()
    chat.page.locator("[data-do=voice]").click()
    expect(chat.page.locator("dialog")).to_contain_text("to its maker")
    assert not chat.complaints()
    chat.page.locator("#voice-on").check()
    chat.page.keyboard.press("Escape")
    expect(chat.page.locator("#microphone")).to_be_visible()


@pytest.fixture
def announced(live: LiveServer) -> Iterator[Announcement]:
    row = Announcement.objects.create(text_de="Wartung um acht", text_en="Maintenance at eight", level="warn")
    yield row
    row.delete()


@pytest.mark.parametrize("look", [(390, "dark", "en"), (1440, "light", "de")], ids=str)
def test_an_announcement_reaches_who_chats(announced: Announcement, open_chat: Callable[..., Chat], look: Any) -> None:
    chat = open_chat(look)
    notice = chat.page.locator(".announced .notice")
    expect(notice).to_be_visible()
    assert not chat.complaints()
    notice.locator("button").click()
    expect(notice).to_have_count(0)
    assert chat.page.url.endswith("/chat")


def test_ways_out_lead_back_to_the_chat_that_is_shown(open_chat: Callable[..., Chat], upstream: FakeUpstream) -> None:
    upstream.always(Answer("Hello.", usage=(1, 1)))
    chat = open_chat()
    chat.ask("Hi")
    chat.whole()
    here = chat.page.url
    chat.page.locator(".account-button").click()
    chat.page.locator("#account [name=theme][value=dark]").click()
    expect(chat.page.locator("html")).to_have_attribute("data-theme", "dark")
    assert chat.page.url == here
    chat.page.locator(".sidebar [data-new]").click()
    chat.page.locator("#conversations a[data-id]").click()
    expect(chat.page.locator(".turn")).to_have_count(1)
    chat.page.locator(".account-button").click()
    chat.page.locator("#account [name=language][value=de]").click()
    expect(chat.page.locator("html")).to_have_attribute("lang", "de")
    assert chat.page.url == here
    chat.page.locator(".account-button").click()
    chat.page.locator("#account .strong").click()
    expect(chat.page.locator("main .card input[name=next]")).to_have_value("/chat/" + here.rsplit("/", 1)[1])


def test_what_the_chat_keeps_in_a_browser_goes_with_its_user(open_chat: Callable[..., Chat], make_user: Callable[..., User]) -> None:
    user = make_user()
    chat = open_chat(user=user)
    field(chat).fill("A secret draft")
    chat.page.goto("/accounts/logout/")
    assert "A secret draft" in chat.page.evaluate("JSON.stringify(localStorage)")
    chat.page.locator("main form button").first.click()
    expect(chat.page).not_to_have_url(re.compile("logout"))
    assert user.email not in chat.page.evaluate("JSON.stringify(localStorage)")
    assert not chat.wrong


def test_what_lies_under_the_open_drawer_is_out_of_reach(open_chat: Callable[..., Chat]) -> None:
    chat = open_chat((390, "light", "en"))
    chat.page.locator(".show-sidebar").click()
    expect(chat.page.locator("#room")).to_have_attribute("inert", "")
    assert not chat.complaints()
    chat.page.keyboard.press("Escape")
    expect(chat.page.locator(".show-sidebar")).to_be_focused()


def test_the_files_of_a_temporary_chat_stay_in_it_and_go_with_it(
    open_chat: Callable[..., Chat], upstream: FakeUpstream, make_user: Callable[..., User], live: LiveServer
) -> None:
    upstream.always(Answer("Read.", usage=(1, 1)))
    chat = open_chat(user=make_user())
    chat.page.locator("#temporary").click()
    chat.page.locator("#file-field").set_input_files({"name": "bees.txt", "mimeType": "text/plain", "buffer": b"They dance."})
    expect(chat.page.locator("#files .chip")).to_contain_text("token")
    for number, words in enumerate(("What does it say?", "And what else?")):
        chat.ask(words)
        expect(chat.page.locator(".turn")).to_have_count(number + 1)
        chat.whole()
    assert "They dance." in upstream.chats[1].body["messages"][1]["content"]
    assert Attachment.objects.count() == 1
    with chat.page.expect_response("**/v1/attachments/*"):
        chat.page.locator(".sidebar [data-new]").click()
    assert not Attachment.objects.exists()
    expect(field(chat)).to_have_value("")
