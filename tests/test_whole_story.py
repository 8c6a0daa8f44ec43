"""One life in the browser: a guest tries, signs up, proves the address, chats, makes a key and uses it with curl, reads the receipt, takes
everything along and leaves. At every look; nothing wrong on any page."""

from __future__ import annotations

import io
import json
import re
import subprocess
import zipfile
from collections.abc import Callable
from typing import Any

from allauth.account.models import EmailAddress
from playwright.sync_api import expect

from accounts.models import User
from billing.models import UsageDay, UsageEvent
from llm.models import Conversation
from tests.browser import beside_a_loop, browser, needs_chromium
from tests.fakes.upstream import Answer, FakeUpstream
from tests.server import LiveServer
from tests.test_chat_page import Chat, chat, open_chat
from tests.wired import at_rest

__all__ = ["beside_a_loop", "browser", "chat", "open_chat"]
pytestmark = needs_chromium
EMAIL, SECRET = "ursula@example.org", "Honig-und-Lachs-8"


def test_from_the_first_question_to_the_last_farewell(chat: Chat, live: LiveServer, upstream: FakeUpstream, mailoutbox: list[Any]) -> None:
    upstream.always(Answer(["Guten ", "Tag."], usage=(30, 2)))
    page = chat.page
    chat.ask("Wer bist du?")
    chat.whole()

    page.goto("/accounts/signup/")
    page.locator("#id_email").fill(EMAIL)
    page.locator("#id_password1").fill(SECRET)
    assert not chat.complaints()
    page.locator("form button[type=submit]").first.click()
    link = _link_in(mailoutbox, live)
    page.goto(link)
    assert not chat.complaints()
    page.locator("main form button").first.click()
    sign_in(chat, live)
    assert EmailAddress.objects.get(email=EMAIL).verified
    user = User.objects.get(email=EMAIL)
    at_rest(live)
    assert UsageDay.objects.get(subject=user.subject).used == 32  # the guest's share came along
    assert Conversation.objects.get().user == user

    page.goto("/account/keys")
    page.locator("#id_name").fill("laptop")
    page.locator("form.card button").last.click()
    key = page.locator(".secret").inner_text()
    assert not chat.complaints()
    answered = curl(live, key, "/v1/client/chat", {"message": "Hallo"})
    assert (answered["response"], answered["tier"]) == ("Guten Tag.", "registered")

    page.goto("/dashboard")
    expect(page.locator("time[data-countdown]")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    assert not chat.complaints()
    page.goto("/receipts")
    page.locator(f"a[href='/receipts/{answered['request_id']}']").click()
    expect(page.locator("h1")).to_contain_text("32")
    assert not chat.complaints()
    page.goto("/receipts")
    with page.expect_download() as table:
        page.locator("a[href*='format=csv']").click()
    assert answered["request_id"] in table.value.path().read_text()

    page.goto("/account/privacy")
    page.locator("a[href^='/accounts/reauthenticate']").click()
    page.locator("#id_password").fill(SECRET)
    page.locator("main form button").first.click()
    expect(page).to_have_url(f"{live.url}/account/privacy")
    assert not chat.complaints()
    with page.expect_download() as everything:
        page.locator("form[action='/account/privacy/export'] button").click()
    archive = zipfile.ZipFile(io.BytesIO(everything.value.path().read_bytes()))
    assert json.loads(archive.read("turns.json"))[0]["prompt"] == "Wer bist du?"
    page.locator("#delete_email").fill(EMAIL)
    page.locator("form[action='/account/privacy/delete'] button").click()
    expect(page.locator(".empty h1")).to_be_visible()
    assert not chat.complaints()
    assert not User.objects.filter(email=EMAIL).exists() and not Conversation.objects.exists()
    assert not UsageEvent.objects.exclude(account=None).exists()


def _link_in(mails: list[Any], live: LiveServer) -> str:
    """The confirmation's link, at the server of the test."""
    found = re.search(r"https?://[^/\s]+(/accounts/confirm-email/\S+)", mails[-1].body)
    assert found is not None
    return live.url + found[1]


def sign_in(chat: Chat, live: LiveServer) -> None:
    """By the page, unless the confirmation did it already."""
    chat.page.goto("/accounts/login/")
    if chat.page.url.startswith(f"{live.url}/accounts/login"):
        chat.page.locator("#id_login").fill(EMAIL)
        chat.page.locator("#id_password").fill(SECRET)
        chat.page.locator("form button[type=submit]").first.click()
    expect(chat.page).to_have_url(f"{live.url}/dashboard")


def curl(live: LiveServer, key: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """As the page tells them to."""
    headers = [f"Authorization: Bearer {key}", "Content-Type: application/json"]
    words = ["curl", "-s", live.url + path, *(part for header in headers for part in ("-H", header)), "-d", json.dumps(body)]
    answer: dict[str, Any] = json.loads(subprocess.run(words, check=True, capture_output=True, timeout=30).stdout)
    return answer


def test_a_key_that_is_revoked_is_dead_at_once(open_chat: Callable[..., Chat], live: LiveServer, make_user: Callable[..., User]) -> None:
    user = make_user()
    chat = open_chat(user=user, path="/account/keys")
    chat.page.locator("#id_name").fill("laptop")
    chat.page.locator("form.card button").last.click()
    key = chat.page.locator(".secret").inner_text()
    chat.page.locator("button[value=revoke]").click()
    assert curl(live, key, "/v1/client/chat", {"message": "x"})["error"]["code"] == "invalid_token"
