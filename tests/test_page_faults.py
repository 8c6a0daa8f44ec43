"""The chat page in a real Chromium while its server restarts, dies, or loses Redis: it says so, comes back, and no word is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, expect

from billing.models import UsageEvent
from llm import turns
from llm.models import Turn
from tests.browser import beside_a_loop, browser, needs_chromium
from tests.fakes.proxy import TcpProxy
from tests.fakes.upstream import Answer, FakeUpstream, Gate
from tests.processes import Server, wait_until

__all__ = ["beside_a_loop", "browser"]
pytestmark = [needs_chromium, pytest.mark.usefixtures("committed")]


class Site:
    """A server behind one address, which another may take over."""

    def __init__(self, upstream: FakeUpstream, stack: ExitStack, **environment: str) -> None:
        self.upstream, self.stack, self.environment = upstream, stack, environment
        self.server = self._started()
        self.front = stack.enter_context(TcpProxy(self.server.host, self.server.port))

    def _started(self) -> Server:
        return self.stack.enter_context(Server(self.upstream, workers=1, grace=0.5, **self.environment))

    def go_down(self) -> None:
        """Nobody answers here any more, and every line is closed."""
        self.front.cut()

    def come_back(self) -> None:
        self.server = self._started()
        self.front.target = (self.server.host, self.server.port)
        self.front.pass_on()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="en", reduced_motion="reduce")
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


def ask(page: Page, words: str) -> None:
    page.locator("#composer textarea").fill(words)
    page.keyboard.press("Enter")


def answer(page: Page) -> Any:
    return page.locator(".answer-text").last


def half_an_answer(site: Site, page: Page) -> Gate:
    """A guest's question whose answer has come to "one two", and is saved; the rest waits for the gate. The next is half written."""
    gate = Gate()
    site.upstream.always(Answer(["one ", "two ", "three"], usage=(9, 3), gate=gate, gate_after=2))
    page.goto(f"{site.front.url}/chat")
    ask(page, "Count")
    expect(answer(page)).to_contain_text("one two")
    wait_until(lambda: Turn.objects.get().answer.strip() == "one two")
    page.locator("#composer textarea").fill("What I was writing")
    return gate


def is_back(page: Page, site: Site) -> None:
    """The line is mended, the draft is there, and goes out."""
    expect(page.locator("#line")).to_be_hidden(timeout=20_000)
    expect(page.locator("#composer textarea")).to_have_value("What I was writing")
    site.upstream.always(Answer("All is well.", usage=(9, 4)))
    page.locator("#composer textarea").press("Enter")
    expect(answer(page)).to_have_text("All is well.")


def test_a_restart_keeps_what_came_and_what_was_being_written(upstream: FakeUpstream, page: Page, stack: ExitStack) -> None:
    site = Site(upstream, stack)
    half_an_answer(site, page)
    assert site.server.end() == 0
    site.go_down()
    expect(page.locator("#line")).to_contain_text("reconnecting")
    site.come_back()
    is_back(page, site)
    expect(page.locator(".answer-text").first).to_have_text("one two")
    broken, whole = UsageEvent.objects.order_by("created")
    assert (broken.charged, whole.charged) == (2, 13)  # ours broke off: what reached the reader, without the question


def test_a_killed_server_loses_nothing_that_was_saved(
    upstream: FakeUpstream, page: Page, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(upstream, stack)
    half_an_answer(site, page)
    site.server.process.kill()
    site.server.wait()
    site.go_down()
    expect(page.locator("#line")).to_contain_text("reconnecting")
    site.come_back()
    expect(page.locator("#line")).to_be_hidden(timeout=20_000)
    expect(answer(page)).to_have_text("one two")
    monkeypatch.setattr(turns, "LOST_AFTER", timedelta(0))
    assert turns.sweep() == 1
    expect(page.locator(".turn").last).to_contain_text("The server was restarted while this answer was written.")
    expect(answer(page)).to_have_text("one two")
    is_back(page, site)


if settings.REDIS_URL:

    def test_an_answer_needs_no_redis(upstream: FakeUpstream, page: Page, stack: ExitStack) -> None:
        parts = urlsplit(settings.REDIS_URL)
        redis = stack.enter_context(TcpProxy(parts.hostname or "127.0.0.1", parts.port or 6379))
        site = Site(upstream, stack, REDIS_URL=f"redis://{redis.host}:{redis.port}{parts.path}")
        gate = half_an_answer(site, page)
        redis.cut()
        gate.set()
        expect(answer(page)).to_have_text("one two three")
        is_back(page, site)
        redis.pass_on()
        ask(page, "And now?")
        expect(page.locator(".turn")).to_have_count(3)
        expect(answer(page)).to_have_text("All is well.")
        wait_until(lambda: [event.state for event in UsageEvent.objects.all()] == ["settled"] * 3)
