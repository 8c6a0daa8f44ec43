"""The pages in a real Chromium, narrow and wide, light and dark, German and English: nothing wrong, nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from tests.browser import PAIRS, Watched, beside_a_loop, browser, look_at, needs_chromium
from tests.conftest import PASSWORD
from tests.server import LiveServer

__all__ = ["beside_a_loop", "browser"]
pytestmark = needs_chromium

PUBLIC = ("/", "/models", "/models/ollama/ministral-3:14b", "/prices", "/status", "/pages/privacy", "/nosuch", "/docs",
          "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/contracts/cancel", "/contracts/withdraw")  # fmt: skip
OWN = (
    "/dashboard",
    "/receipts",
    "/account/billing",
    "/account/billing/welcome",
    "/account/keys",
    "/account/devices",
    "/account/settings",
    "/account/privacy",
)
ACCOUNT = ("/accounts/email/", "/accounts/password/change/", "/accounts/2fa/", "/accounts/sessions/", "/accounts/logout/")


@pytest.fixture(params=PAIRS, ids=lambda look: "-".join(map(str, look)))
def watched(request: pytest.FixtureRequest, live: LiveServer, browser: Browser) -> Iterator[Watched]:
    context = look_at(browser, live.url, request.param)
    context.set_default_timeout(10_000)
    yield Watched(context.new_page(), live.url)
    context.close()


def test_a_clock_that_is_wrong_does_not_reload_the_dashboard(watched: Watched, make_user: Callable[..., User]) -> None:
    sign_in(watched, make_user())
    watched.page.add_init_script("const now = Date.now; Date.now = () => now() + 48 * 3600 * 1000")
    loads: list[str] = []
    watched.page.on("load", lambda page: loads.append(page.url))
    watched.page.goto("/dashboard")
    expect(watched.page.locator("time[data-countdown]")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    watched.page.wait_for_timeout(1500)
    assert len(loads) == 1 and not watched.wrong


def test_the_public_pages(watched: Watched) -> None:
    for path in PUBLIC:
        watched.page.goto(path)
        excused = {"/nosuch": "404", "/docs": "axe: "}.get(path, "-")  # the page of /docs is Swagger's
        wrong = [one for one in watched.complaints() if excused not in one]
        assert not wrong, path
        watched.wrong.clear()


def test_somebody_signs_in_and_looks_round(watched: Watched, live: LiveServer, make_user: Callable[..., User]) -> None:
    user = make_user()
    page = watched.page
    page.goto("/accounts/login/")
    page.locator("#id_login").fill(user.email)
    page.locator("#id_password").fill("wrong")
    page.locator("form button[type=submit]").first.click()
    expect(page.locator(".notice.bad")).to_be_visible()
    assert not watched.complaints()
    page.locator("#id_login").fill(user.email)
    page.locator("#id_password").fill(PASSWORD)
    page.locator("form button[type=submit]").first.click()
    expect(page).to_have_url(f"{live.url}/dashboard")
    for path in (*OWN, *ACCOUNT):
        page.goto(path)
        assert not watched.complaints(), path
    page.goto("/account/keys")
    page.locator("#id_name").fill("laptop")
    page.locator("form.card button").click()
    expect(page.locator(".secret")).to_contain_text("tf_live_")
    assert not watched.complaints()


def sign_in(watched: Watched, user: User) -> Page:
    """The page, after its owner signed in."""
    page = watched.page
    page.goto("/accounts/login/")
    page.locator("#id_login").fill(user.email)
    page.locator("#id_password").fill(PASSWORD)
    page.locator("form button[type=submit]").first.click()
    page.wait_for_url("**/dashboard")
    return page


def test_the_menu_opens_without_a_mouse(watched: Watched) -> None:
    page = watched.page
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    if page.viewport_size and page.viewport_size["width"] < 800:
        page.locator(".menu summary").focus()
        page.keyboard.press("Enter")
        expect(page.locator(".menu .nav a").first).to_be_visible()
        assert not watched.complaints()


def test_the_look_and_the_language_stay(watched: Watched) -> None:
    page = watched.page
    page.goto("/prices")
    page.locator("button[name=theme][value=dark]").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.locator("button[name=language][value=en]").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.goto("/models")
    expect(page.locator("html[lang=en][data-theme=dark]")).to_be_attached()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(23, 19, 16)"


def test_the_components_in_every_look(watched: Watched, live: LiveServer, make_user: Callable[..., User]) -> None:
    page = sign_in(watched, make_user(is_staff=True))
    page.goto("/internal/components")
    assert not watched.complaints()
    page.locator("[data-opens=dialog_dark]").click()
    expect(page.locator("#dialog_dark")).to_be_visible()
    assert not watched.complaints()
    page.keyboard.press("Escape")
    expect(page.locator("#dialog_dark")).to_be_hidden()
    page.locator("[data-toast]").first.click()
    expect(page.locator(".toasts .notice")).to_be_visible()
    assert not watched.complaints()


def test_without_a_line_there_is_a_page_with_a_bear(live: LiveServer, browser: Browser) -> None:
    context = browser.new_context(base_url=live.url, locale="en")
    page = context.new_page()
    page.goto("/")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.wait_for_function("navigator.serviceWorker.controller !== null")
    context.set_offline(True)
    page.goto("/prices")
    expect(page.locator("h1")).to_have_text("No connection")
    assert page.locator("img").evaluate("image => image.naturalWidth") > 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(250, 247, 242)"
    context.set_offline(False)
    page.get_by_role("link", name="Try again").click()
    expect(page.locator("h1")).to_have_text("Prices")
    kept = page.evaluate("async () => (await (await caches.open((await caches.keys())[0])).keys()).map(one => new URL(one.url).pathname)")
    assert {"/offline", "/static/"} == {path if path == "/offline" else path[:8] for path in kept}
    context.close()


def test_every_colour_and_size_is_a_token() -> None:
    base = (Path(__file__).parent.parent / "triforce/static/triforce/base.css").read_text()
    assert "#" not in base.replace("#ffffff", "", 1)  # the ground of a QR code is white in the dark, too
