"""The chat in a real Chromium, against the real server: what people do there, narrow and wide, light and dark, German and English."""

from __future__ import annotations

import gettext
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import APIResponse, Browser, BrowserContext, Locator, Page, Route, WebSocketRoute, expect

from accounts.models import User
from billing import clock
from billing.models import UsageDay, UsageEvent
from llm.models import Conversation, Turn
from tests.browser import LOOKS, Watched, beside_a_loop, browser, look_at, needs_chromium
from tests.conftest import PASSWORD
from tests.fakes.upstream import Answer, FakeUpstream, Gate
from tests.payloads import PAYLOADS
from tests.server import LiveServer
from tests.wired import at_rest

__all__ = ["beside_a_loop", "browser"]
pytestmark = needs_chromium

DANGEROUS = ("script", "iframe", "img[src^=http]", "object", "embed", "form", "style", "svg[onload]", "[onerror]", "[style]", "base")
MOST_SHOWN = 60  # turns in the page at once, of however many


class Chat(Watched):
    """The chat page, as somebody uses it who reads its labels."""

    def __init__(self, context: BrowserContext, live: LiveServer, language: str) -> None:
        super().__init__(context.new_page(), live.url)
        self.context = context
        folder = Path(settings.BASE_DIR) / "locale"
        self.words = gettext.translation("djangojs", folder, [language], fallback=language == "en")

    def say(self, sentence: str, **values: object) -> str:
        return self.words.gettext(sentence) % values

    def ask(self, words: str) -> None:
        self.page.locator("#composer textarea").fill(words)
        self.page.keyboard.press("Enter")

    @property
    def answer(self) -> Locator:
        """The last one."""
        return self.page.locator(".turn").last.locator(".answer-text").last

    def button(self, label: str, **values: object) -> Locator:
        return self.page.get_by_role("button", name=self.say(label, **values), exact=True)

    def whole(self) -> None:
        """Return when nothing is being sent or written any more."""
        expect(self.page.locator("#composer[aria-busy=true]")).to_have_count(0)
        expect(self.page.locator(".answer.running")).to_have_count(0)
        expect(self.page.locator(".send.stops")).to_have_count(0)


@pytest.fixture
def open_chat(live: LiveServer, upstream: FakeUpstream, browser: Browser) -> Iterator[Callable[..., Chat]]:
    contexts: list[BrowserContext] = []

    def opened(
        look: tuple[int, str, str] = (1440, "light", "en"), user: User | None = None, path: str = "/chat", script: str = "", **device: Any
    ) -> Chat:
        context = look_at(browser, live.url, look, **device)
        contexts.append(context)
        context.set_default_timeout(15_000)
        context.add_init_script(script)
        if user is not None:
            client = Client()
            client.force_login(user)
            cookie = client.cookies[settings.SESSION_COOKIE_NAME]
            context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live.url}])
        chat = Chat(context, live, language=look[2])
        chat.page.goto(path)
        return chat

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(params=LOOKS, ids=lambda look: "-".join(map(str, look)))
def chat(request: pytest.FixtureRequest, open_chat: Callable[..., Chat]) -> Chat:
    """A guest's, who has just come."""
    return open_chat(request.param)


def test_a_guest_asks_stops_edits_and_branches(chat: Chat, upstream: FakeUpstream, live: LiveServer) -> None:
    gate = Gate()
    upstream.enqueue(Answer(["Docker ", "is ", "**a box**."], usage=(9, 3), gate=gate, gate_after=2, delay=0.01))
    upstream.enqueue(Answer(["never "] * 50, usage=(9, 50), gate=Gate(), gate_after=3), Answer("A *podman* is another.", usage=(9, 5)))
    expect(chat.page.locator("#welcome h2")).to_be_visible()
    assert not chat.complaints()
    chat.ask("What is Docker?")
    expect(chat.answer).to_contain_text("Docker is")  # it streams: the rest is not written yet
    gate.set()
    expect(chat.answer.locator("strong")).to_have_text("a box")
    chat.whole()
    assert not chat.complaints()
    chat.ask("And what not?")
    expect(chat.answer).to_contain_text("never never")
    chat.page.locator(".send.stops").click()
    expect(chat.page.get_by_text(chat.say("Stopped."))).to_be_visible()
    assert upstream.chats[1].closed.wait(1)
    chat.page.locator(".turn").last.hover()
    chat.button("Edit question").last.click()
    chat.page.locator(".prompt-edit textarea").fill("And podman?")
    chat.page.keyboard.press("Enter")
    expect(chat.answer.locator("em")).to_have_text("podman")
    chat.whole()
    expect(chat.page.locator(".branches .number")).to_have_text("2/2")
    chat.button("Version before").click()
    expect(chat.answer).to_contain_text("never")
    chat.button("Next version").click()
    expect(chat.answer).to_contain_text("another")
    assert not chat.complaints()
    assert Conversation.objects.get().turns.count() == 3
    at_rest(live)


MARKDOWN = """# Title

| a | b |
|---|--:|
| 1 | 2 |

```python
def bear() -> str:
    return "honey"
```

Inline $a^2 + b^2$ and

$$\\frac{1}{2}$$

![a picture](https://example.org/p.png) and [a link](https://example.org), <br>a line, <b onclick=x>no tag</b>.
"""


def test_markdown_is_drawn(chat: Chat, upstream: FakeUpstream) -> None:
    upstream.always(Answer([MARKDOWN[place : place + 7] for place in range(0, len(MARKDOWN), 7)], usage=(1, 1)))
    chat.ask("Show me everything")
    chat.whole()
    answer = chat.answer
    expect(answer.locator("h1")).to_have_text("Title")
    expect(answer.locator("table td[align=right]")).to_have_text("2")
    expect(answer.locator("figure.code figcaption")).to_contain_text("python")
    expect(answer.locator("figure.code .hljs-keyword").first).to_have_text("def")
    expect(answer.locator("math")).to_have_count(2)
    expect(answer.locator("math mfrac")).to_have_count(1)
    expect(answer.locator("img")).to_have_count(0)
    expect(answer.get_by_role("link", name="a picture")).to_have_attribute("href", "https://example.org/p.png")
    expect(answer.get_by_role("link", name="a link")).to_have_attribute("rel", re.compile("noopener"))
    expect(answer).to_contain_text("<b onclick=x>")
    assert not chat.complaints()


def test_a_reload_loses_no_word_and_bills_none_twice(chat: Chat, upstream: FakeUpstream, live: LiveServer) -> None:
    gate = Gate()
    words = [f"word{number} " for number in range(30)]
    upstream.always(Answer(words, usage=(9, 30), gate=gate, gate_after=10))
    chat.ask("Count")
    expect(chat.answer).to_contain_text("word9")
    chat.page.reload()
    expect(chat.answer).to_contain_text("word9")
    gate.set()
    expect(chat.answer).to_have_text("".join(words).strip())
    chat.whole()
    at_rest(live)
    assert len(upstream.chats) == 1 and UsageEvent.objects.get().charged == 39
    assert not chat.complaints()


def test_a_lost_line_is_told_and_mended(open_chat: Callable[..., Chat], upstream: FakeUpstream) -> None:
    lines: list[WebSocketRoute] = []
    cut: list[bool] = []

    def pass_on(line: WebSocketRoute) -> None:
        if cut:
            return line.close(code=1012)
        lines.append(line)
        line.connect_to_server()

    gate = Gate()
    upstream.always(Answer(["a ", "b ", "c ", "d "], usage=(1, 4), gate=gate, gate_after=2, delay=0.01))
    chat = open_chat(path="/prices")
    chat.page.route_web_socket("**/ws/chat/", pass_on)
    chat.page.goto("/chat")
    chat.ask("Go")
    expect(chat.answer).to_contain_text("a b")
    cut.append(True)
    lines[0].close(code=1012)
    expect(chat.page.locator("#line")).to_be_visible()
    gate.set()
    cut.clear()
    expect(chat.answer).to_have_text("a b c d")
    expect(chat.page.locator("#line")).to_be_hidden()
    assert len(upstream.chats) == 1


def test_two_models_side_by_side(chat: Chat, upstream: FakeUpstream) -> None:
    upstream.always(Answer("From the large one", usage=(1, 4)), model="gpt-oss:120b-cloud")
    upstream.always(Answer("From the small one", usage=(1, 4)), model="gpt-oss:20b-cloud")
    chat.page.locator(".model-button").click()
    for size in ("120b", "20b"):
        chat.page.locator(f"dialog input[value='ollama/gpt-oss:{size}-cloud']").check()
    assert not chat.complaints()
    chat.page.locator("dialog .picker-foot button").click()
    chat.ask("Who are you?")
    expect(chat.page.locator(".answers.compared .answer-text")).to_have_text(["From the large one", "From the small one"])
    chat.whole()
    assert not chat.complaints()
    chat.button("Go on with this one").last.click()
    expect(chat.page.locator(".answers.compared")).to_have_count(0)
    chat.ask("And now?")
    chat.whole()
    said = upstream.chats[-1].body["messages"]
    assert "From the small one" in [message["content"] for message in said]


def test_a_picture_goes_along(chat: Chat, upstream: FakeUpstream, tmp_path: Path) -> None:
    picture = tmp_path / "bear.png"
    picture.write_bytes(bytes.fromhex(PNG))
    upstream.always(Answer("A dot.", usage=(1, 2)))
    chat.page.locator("#file-field").set_input_files(picture)
    expect(chat.page.locator("#files .chip")).to_contain_text("bear.png")
    chat.page.locator(".model-button").click()
    chat.page.locator("dialog input[type=search]").fill("vision")
    chat.page.locator("dialog .picker-choose").first.click()
    chat.ask("What is this?")
    expect(chat.answer).to_have_text("A dot.")
    chat.whole()
    assert upstream.chats[0].body["messages"][-1]["images"]
    expect(chat.page.locator(".prompt .chip img")).to_be_visible()
    assert not chat.complaints()


PNG = (
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c626001000000ffff03000006000557bfabd40000000049454e44ae426082"
)


def test_a_link_is_made_read_and_taken_back(chat: Chat, upstream: FakeUpstream, open_chat: Callable[..., Chat]) -> None:
    upstream.always(Answer("It is **this**: $x^2$\n\n```python\ndef bear(): ...\n```\n", usage=(1, 2)))
    chat.ask("What is it?")
    chat.whole()
    chat.page.locator("#share").click()
    chat.page.locator("dialog .button").last.click()
    url = chat.page.locator("dialog input[readonly]").input_value()
    path = "/" + url.split("/", 3)[3]
    reader = open_chat((390, "dark", "de"), path=path)
    expect(reader.page.locator(".shared strong")).to_have_text("this")
    expect(reader.page.locator(".shared math")).to_be_visible()
    expect(reader.page.locator(".shared .code .hljs-keyword")).to_have_text("def")
    assert not reader.complaints()
    chat.button("Take the link back").click()
    expect(chat.page.locator("dialog select")).to_be_visible()
    assert reader.page.goto(path).status == 404  # type: ignore[union-attr]


def test_a_list_that_comes_late_does_not_unmake_what_began_meanwhile(open_chat: Callable[..., Chat], upstream: FakeUpstream) -> None:
    upstream.always(Answer("It is **this**.", usage=(1, 2)))
    late: list[tuple[Route, APIResponse]] = []
    chat = open_chat(path="/prices")
    chat.page.route("**/v1/conversations?*", lambda route: late.append((route, route.fetch())))
    chat.page.goto("/chat")
    gate = Gate()
    upstream.always(Answer("It is **this**.", usage=(1, 2), gate=gate))
    chat.ask("What is it?")
    expect(chat.page.locator(".answer.running")).to_have_count(1)
    while late:
        route, response = late.pop()
        route.fulfill(response=response)  # it was made before the question
    expect(chat.page.locator("#sidebar a[data-id] .dot.running")).to_have_count(1)
    gate.set()
    chat.whole()
    expect(chat.page.locator("#sidebar a[data-id]")).to_have_count(1)
    assert not chat.wrong


def test_what_is_wrong_is_said_and_the_words_come_back(chat: Chat, upstream: FakeUpstream) -> None:
    UsageDay.objects.create(subject=_guest(chat), usage_class="cloud", day=clock.now().date(), used=49_990)
    chat.ask("One more, please")
    expect(chat.page.locator(".error-card .saying")).to_be_visible()
    expect(chat.page.locator("#composer textarea")).to_have_value("One more, please")
    assert not chat.complaints() and not upstream.chats


def _guest(chat: Chat) -> str:
    from accounts.address import guest_subject

    return guest_subject("127.0.0.1")


def test_a_guests_chats_go_along(
    open_chat: Callable[..., Chat], upstream: FakeUpstream, live: LiveServer, make_user: Callable[..., User]
) -> None:
    user = make_user()
    upstream.always(Answer("Hello.", usage=(30, 2)))
    chat = open_chat()
    chat.ask("Do you know me?")
    chat.whole()
    at_rest(live)
    chat.page.goto("/accounts/login/")
    chat.page.locator("#id_login").fill(user.email)
    chat.page.locator("#id_password").fill(PASSWORD)
    chat.page.locator("form button[type=submit]").first.click()
    expect(chat.page).to_have_url(f"{live.url}/dashboard")
    chat.page.goto("/chat")
    expect(chat.page.locator("#conversations")).to_contain_text("Do you know me?")
    assert Conversation.objects.get().user == user
    assert UsageDay.objects.get(subject=user.subject).used == 32
    assert not chat.wrong


def test_drafts_stay_and_messages_wait(open_chat: Callable[..., Chat], upstream: FakeUpstream) -> None:
    gate = Gate()
    upstream.enqueue(Answer(["one ", "two"], gate=gate, gate_after=1), Answer("three"))
    chat = open_chat()
    chat.ask("First")
    expect(chat.answer).to_contain_text("one")
    chat.ask("Second")
    expect(chat.page.locator("#queue .chip")).to_contain_text("Second")
    gate.set()
    expect(chat.page.locator(".turn")).to_have_count(2)
    expect(chat.answer).to_have_text("three")
    chat.page.locator("#composer textarea").fill("Not yet sent")
    chat.page.reload()
    expect(chat.page.locator("#composer textarea")).to_have_value("Not yet sent")


def test_a_temporary_chat_leaves_no_trace(open_chat: Callable[..., Chat], upstream: FakeUpstream) -> None:
    upstream.always(Answer("psst", usage=(1, 1)))
    chat = open_chat()
    chat.page.locator("#temporary").click()
    chat.ask("A secret")
    expect(chat.answer).to_have_text("psst")
    chat.whole()
    chat.ask("Another")
    expect(chat.page.locator(".turn")).to_have_count(2)
    chat.whole()
    assert [message["content"] for message in upstream.chats[1].body["messages"][1:]] == ["A secret", "psst", "Another"]
    assert not Conversation.objects.exists() and not chat.complaints()


def test_two_thousand_turns_leave_the_page_small(open_chat: Callable[..., Chat], make_user: Callable[..., User]) -> None:
    user = make_user()
    row = Conversation.objects.create(user=user, title="Long")
    turns, parent = [], None
    for number in range(2000):
        created = clock.now() + timedelta(seconds=number)
        turns.append(
            Turn(
                id=uuid.uuid4(),
                conversation=row,
                parent_id=parent,
                prompt=f"q{number}",
                answer=f"a{number} " * 40,
                state="done",
                created=created,
            )
        )
        parent = turns[-1].pk
    Turn.objects.bulk_create(turns, batch_size=200)
    Conversation.objects.filter(pk=row.pk).update(leaf_id=parent)
    chat = open_chat(user=user, path=f"/chat/{row.pk}")
    expect(chat.page.get_by_text("q1999", exact=True)).to_be_visible()
    seen = set()
    for _ in range(12):  # up through several pages of older turns
        before = _first(chat.page)
        chat.page.locator("#content").evaluate("e => { e.scrollTop = 0 }")
        chat.page.wait_for_function("before => document.querySelector('.turn .bubble').textContent !== before", arg=before)
        seen.add(_first(chat.page))
        assert chat.page.locator(".turn").count() <= 3 * MOST_SHOWN
    assert len(seen) >= 10
    assert not chat.wrong


def _first(page: Page) -> Any:
    return page.locator(".turn .bubble").first.text_content()


@pytest.mark.parametrize("start", range(0, len(PAYLOADS), 100))
def test_p31_nothing_that_a_model_says_runs(
    open_chat: Callable[..., Chat], upstream: FakeUpstream, make_user: Callable[..., User], start: int
) -> None:
    """Through an answer, a question, a title, a file's name and the shared page: no script, no request out, nothing against the policy."""
    user = make_user()
    payloads = PAYLOADS[start : start + 100]
    row = Conversation.objects.create(user=user, title=payloads[0][:120], share_token=f"token{start}")
    answer = "\n\n".join(payloads)
    turn = Turn.objects.create(id=uuid.uuid4(), conversation=row, prompt=answer[:5000], answer=answer, reasoning=answer, state="done")
    Conversation.objects.filter(pk=row.pk).update(leaf=turn, share_leaf=turn)
    trap = "window.ran = []; window.alert = window.prompt = window.confirm = (...words) => { window.ran.push(words) }"
    chat = open_chat(user=user, path=f"/chat/{row.pk}", script=trap)
    expect(chat.page.locator(".turn")).to_have_count(1)
    chat.page.locator(".reasoning summary").click()
    upstream.always(Answer([answer[place : place + 40] for place in range(0, len(answer), 40)], usage=(1, 1)))
    chat.ask("Say it all again")  # and as it streams
    chat.whole()
    for link in chat.page.locator(".answer-text a[href]").all()[:200]:
        assert (link.get_attribute("href") or "").startswith(("http://", "https://", "mailto:"))
    assert chat.page.evaluate("window.ran") == []
    assert not chat.page.locator(", ".join(f".turn {one}" for one in DANGEROUS)).count()
    chat.page.goto(f"/shared/token{start}")
    expect(chat.page.locator(".shared h1")).to_be_visible()
    assert chat.page.evaluate("window.ran") == []
    assert not chat.wrong
