"""Signing in with an account elsewhere: over a real OpenID Connect server, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialToken
from playwright.sync_api import Browser, Page, expect

from accounts.keys import create_key
from accounts.models import User
from tests.browser import beside_a_loop, browser, needs_chromium
from tests.conftest import PASSWORD
from tests.fakes.oidc import CLIENT, SECRET, FakeOidc
from tests.fakes.upstream import FakeUpstream
from tests.processes import Server

__all__ = ["beside_a_loop", "browser"]
pytestmark = needs_chromium
URSULA = {"sub": "7", "email": "Ursula@example.org", "email_verified": True, "name": "Ursula Braun"}


@pytest.fixture(scope="module")
def oidc() -> Iterator[FakeOidc]:
    with FakeOidc() as fake:
        yield fake


@pytest.fixture
def server(oidc: FakeOidc, upstream: FakeUpstream, committed: None) -> Iterator[str]:
    environment = {"OIDC_ISSUER": oidc.issuer, "OIDC_NAME": "Bärenhaus", "OIDC_CLIENT_ID": CLIENT, "OIDC_CLIENT_SECRET": SECRET}
    with Server(upstream, workers=1, **environment) as running:
        yield f"http://{running.host}:{running.port}"


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    context = browser.new_context(base_url=server, locale="en-GB")
    yield context.new_page()
    context.close()


def go_on(page: Page, start: str = "/accounts/login/") -> None:
    page.goto(start)
    page.get_by_role("button", name="Go on with Bärenhaus").click()


def arrived(page: Page) -> None:
    expect(page.locator("nav a[href='/accounts/sessions/']")).to_be_visible()


def test_a_new_person_is_signed_up_verified_and_comes_back(oidc: FakeOidc, page: Page, server: str) -> None:
    oidc.person = URSULA
    for _ in range(2):
        page.context.clear_cookies()
        go_on(page)
        expect(page).to_have_url(f"{server}/dashboard")
    user = User.objects.get()
    assert (user.email, user.name, user.has_usable_password()) == ("ursula@example.org", "Ursula Braun", False)
    assert EmailAddress.objects.get().verified
    assert SocialAccount.objects.get().user == user
    assert not SocialToken.objects.exists()  # we have no use for it


def test_the_owner_of_an_unverified_address_takes_the_account_over(oidc: FakeOidc, page: Page, server: str, make_user: Any) -> None:
    squatter = make_user(email="ursula@example.org")
    EmailAddress.objects.create(user=squatter, email=squatter.email, primary=True, verified=False)
    key, _ = create_key(squatter, name="squat")
    oidc.person = URSULA
    go_on(page)
    expect(page).to_have_url(f"{server}/dashboard")
    squatter.refresh_from_db()
    key.refresh_from_db()
    assert (squatter.has_usable_password(), key.revoked, EmailAddress.objects.get().verified) == (False, True, True)


def test_the_owner_of_a_verified_address_keeps_the_password(oidc: FakeOidc, page: Page, server: str, make_user: Any) -> None:
    user = make_user(email="ursula@example.org")
    user.trust_email()
    oidc.person = URSULA
    go_on(page)
    expect(page).to_have_url(f"{server}/dashboard")
    user.refresh_from_db()
    assert user.check_password(PASSWORD) and SocialAccount.objects.get().user == user


@pytest.mark.parametrize("taken", [False, True])
def test_an_address_nobody_vouched_for_ends_the_same_way_whoever_has_it(
    taken: bool, oidc: FakeOidc, page: Page, server: str, make_user: Any
) -> None:
    if taken:
        make_user(email="ursula@example.org")
    oidc.person = {**URSULA, "email_verified": False}
    go_on(page)
    expect(page).to_have_url(f"{server}/accounts/3rdparty/signup/")
    page.locator("main form button").click()
    expect(page).to_have_url(f"{server}/accounts/login/")
    expect(page.locator("body")).to_contain_text("We have sent you an e-mail. You can sign in now.")
    assert User.objects.count() == 1
    assert SocialAccount.objects.exists() != taken
    assert not EmailAddress.objects.filter(verified=True).exists()


def test_another_spelling_of_a_mailbox_gets_no_second_account(oidc: FakeOidc, page: Page, server: str, make_user: Any) -> None:
    make_user(email="ursula@example.org")
    oidc.person = {**URSULA, "email": "ursula+more@example.org"}
    go_on(page)
    expect(page).to_have_url(f"{server}/accounts/login/")
    assert User.objects.count() == 1 and not SocialAccount.objects.exists()


def test_who_declines_is_told_so(oidc: FakeOidc, page: Page) -> None:
    oidc.person = None
    go_on(page)
    expect(page.locator("h1")).to_have_text("Login Cancelled")


def test_an_account_elsewhere_is_connected_and_taken_off_again(oidc: FakeOidc, page: Page, server: str, make_user: Any) -> None:
    user = make_user()
    user.trust_email()
    page.goto("/accounts/login/")
    page.locator("#id_login").fill(user.email)
    page.locator("#id_password").fill(PASSWORD)
    page.locator("main form button").first.click()
    arrived(page)
    oidc.person = {**URSULA, "email": "other@example.org"}
    go_on(page, "/accounts/3rdparty/")
    expect(page.locator("main")).to_contain_text("Bärenhaus")
    assert SocialAccount.objects.get().user == user
    page.locator("input[name=account]").check()
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("main")).to_contain_text("no third-party accounts")
    assert not SocialAccount.objects.exists()


def test_without_a_client_nothing_is_offered(client: Any, db: None) -> None:
    assert b"Go on with" not in client.get("/accounts/login/").content
    assert client.get("/accounts/oidc/oidc/login/").status_code == 404
