"""The admin's pages about people."""

from __future__ import annotations

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client
from django.utils import translation

from accounts.browsers import browser_of
from accounts.client_logs import store_logs
from accounts.devices import add_device
from accounts.keys import create_key
from accounts.models import ApiKey, User
from accounts.tokens import issue_token
from tests.people import PASSWORD, browser, error_of, make_user, with_token
from tests.staff import enter

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator():
    return enter(browser(), User.objects.create_superuser("root@example.org", PASSWORD))


@pytest.mark.parametrize("model", ["user", "apikey", "logintoken", "device", "clientlog", "clientrelease"])
def test_lists_and_pages_open(operator, model):
    user = make_user()
    create_key(user, name="k"), issue_token(user), add_device(user, name="d", kind="desktop"), store_logs(user, [{}], {})
    page = operator.get(f"/admin/accounts/{model}/?q=alice")
    assert page.status_code == 200
    row = page.context["cl"].queryset.first()
    if row:
        assert operator.get(f"/admin/accounts/{model}/{row.pk}/change/").status_code == 200


def test_an_operator_adds_an_account(operator):
    form = {"email": "New@example.org", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert operator.post("/admin/accounts/user/add/", form).status_code == 302
    assert User.objects.get(email="new@example.org").check_password(PASSWORD)
    assert operator.post("/admin/accounts/user/add/", {**form, "email": "NEW@example.org"}).status_code == 200  # with an error


def test_an_operator_revokes_a_key(operator):
    key, plain = create_key(make_user(), name="k")
    operator.post("/admin/accounts/apikey/", {"action": "revoke", "_selected_action": [key.pk]})
    assert error_of(browser(HTTP_X_API_KEY=plain).get("/v1/auth/me")) == (401, "invalid_token")


def test_an_operator_signs_somebody_out(operator):
    user = make_user()
    client = with_token(user)
    operator.post("/admin/accounts/user/", {"action": "sign_out", "_selected_action": [user.pk]})
    assert client.get("/v1/auth/me").status_code == 401


def test_nobody_edits_a_key(operator):
    key, _plain = create_key(make_user(), name="k")
    assert operator.get("/admin/accounts/apikey/add/").status_code == 403
    assert operator.post(f"/admin/accounts/apikey/{key.pk}/change/", {"name": "x"}).status_code == 403
    assert ApiKey.objects.get().name == "k"


LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
KNOWN = {
    LINUX: "Firefox on Linux",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/139.0 Safari/537.36 Edg/139.0": "Edge on Windows",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.5 Safari/605.1.15": "Safari on macOS",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) CriOS/138.0 Mobile/15E148 Safari/604.1": "Chrome on iPhone",
    "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/138.0 Mobile Safari/537.36": "Chrome on Android",
    "curl/8.5.0": "curl",
    "<b>" + "x" * 60: "<b>" + "x" * 37,
    "": "",
}


@pytest.mark.parametrize("user_agent", KNOWN)
def test_a_browser_has_short_words(user_agent: str) -> None:
    with translation.override("en"):
        assert browser_of(user_agent) == KNOWN[user_agent]


def test_sessions_are_shown_with_their_browsers(operator: Client) -> None:
    for path in ("/accounts/sessions/", "/admin/usersessions/usersession/"):
        page = operator.get(path, headers={"User-Agent": LINUX, "Accept-Language": "en"})
        assert page.status_code == 200
    UserSession.objects.update(user_agent=LINUX)
    for path in ("/accounts/sessions/", "/admin/usersessions/usersession/"):
        page = operator.get(path, headers={"User-Agent": LINUX, "Accept-Language": "en"}).content.decode()
        assert ">Firefox on Linux<" in page and ">Mozilla" not in page
