"""A passkey in a real Chromium, whose authenticator is one that the browser plays: added to the account, and signed in with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from allauth.mfa.models import Authenticator
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from tests.browser import Watched, beside_a_loop, browser, needs_chromium
from tests.conftest import PASSWORD
from tests.server import LiveServer

__all__ = ["beside_a_loop", "browser"]
pytestmark = needs_chromium


@pytest.fixture
def watched(live: LiveServer, browser: Browser) -> Iterator[Watched]:
    """On localhost, for an address of numbers has no passkeys."""
    origin = f"http://localhost:{live.port}"
    page = browser.new_page(locale="en", base_url=origin, reduced_motion="reduce")
    page.set_default_timeout(10_000)
    _with_authenticator(page)
    yield Watched(page, origin)
    page.close()


def _with_authenticator(page: Page) -> None:
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_a_passkey_is_added_and_signs_in(watched: Watched, make_user: Callable[..., User]) -> None:
    user, page = make_user(), watched.page
    page.goto("/accounts/login/")
    page.locator("#id_login").fill(user.email)
    page.locator("#id_password").fill(PASSWORD)
    page.locator("form button[type=submit]").first.click()
    page.wait_for_url("**/dashboard")
    page.goto("/accounts/2fa/webauthn/add/")
    page.locator("#id_password").fill(PASSWORD)  # what guards an account asks again
    page.locator("main form button[type=submit]").click()
    page.locator("#id_name").fill("Tatze")
    page.locator("#id_passwordless").check()
    assert not watched.complaints()
    page.locator("#mfa_webauthn_add").click()
    page.wait_for_url(lambda url: not url.endswith("/add/"))
    passkey = Authenticator.objects.get(user=user, type=Authenticator.Type.WEBAUTHN)
    assert passkey.wrap().name == "Tatze" and passkey.wrap().is_passwordless
    page.goto("/accounts/2fa/webauthn/")
    expect(page.locator("main")).to_contain_text("Tatze")
    expect(page.locator("th[scope=col]")).to_have_count(2)  # the column of buttons has no words for one
    assert not watched.complaints()
    page.context.clear_cookies()
    page.goto("/accounts/login/")
    page.locator("#passkey_login").click()
    page.wait_for_url("**/dashboard")
    assert not watched.complaints()
