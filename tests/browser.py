"""A real Chromium for the tests of the pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.db import connections
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or ""
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs Debian's chromium")
LOOKS = [(width, scheme, language) for width in (390, 1440) for scheme in ("light", "dark") for language in ("de", "en")]
PAIRS = [(390, "light", "de"), (1440, "light", "en"), (390, "dark", "en"), (1440, "dark", "de")]  # each two of these meet once
# without these Chromium looks for its maker's servers by itself
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def beside_a_loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Playwright keeps an event loop in this thread: Django's ORM would refuse to work beside it, and has connections of its own there."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    yield
    connections.close_all()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def look_at(browser: Browser, origin: str, look: tuple[int, str, str], **device: Any) -> BrowserContext:
    """A device of its own, for pages of `origin`. `look`: width in pixels, colour scheme, language."""
    width, scheme, language = look
    return browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        locale=language,
        base_url=origin,
        reduced_motion="reduce",
        **device,
    )


class Watched:
    """A page, and everything that went wrong on it."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.on("console", lambda message: self._complains(message.type, message.text))
        page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        page.on("requestfailed", lambda request: self._failed(request.url, request.failure or ""))
        page.on("request", lambda request: self._stays(request.url, origin))

    def _complains(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.wrong.append(f"console: {text}")

    def _failed(self, url: str, why: str) -> None:
        if why != "net::ERR_ABORTED":  # the page was left while it loaded
            self.wrong.append(f"failed: {url} {why}")

    def _stays(self, url: str, origin: str) -> None:
        if not url.startswith((origin, "data:", "blob:")):
            self.wrong.append(f"left the origin: {url}")

    def complaints(self) -> list[str]:
        """What is wrong with the page as it stands: errors so far, what is wider than the screen, and what axe finds."""
        wide = self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        found: list[dict[str, Any]] = Axe().run(self.page).response["violations"]
        axe = [f"axe: {one['id']} ({one['impact']}) at {[node['target'] for node in one['nodes']][:3]}" for one in found]
        return [*self.wrong, *(["wider than the screen"] if wide else []), *axe]
