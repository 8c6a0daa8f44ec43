"""POST /v1/auth/login, /logout, GET /v1/auth/me, and the pages for people."""

from __future__ import annotations

import re
import time

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value, yield_hotp_counters_from_time
from django.contrib.auth import hashers

from accounts import login as login_module
from accounts.models import LoginToken, User
from billing.grants import grant
from billing.tiers import get_tier
from tests.people import PASSWORD, browser, error_of, make_user, with_key, with_session, with_token

pytestmark = pytest.mark.django_db
LOGIN = "/v1/auth/login"


def log_in(client, email="alice@example.org", password=PASSWORD, **more):
    return client.post(LOGIN, {"email": email, "password": password, **more}, format="json")


def test_it_answers_the_seeds_four_keys():
    user = make_user()
    grant(user, get_tier("pro"))
    response = log_in(browser(), " Alice@Example.org ")
    assert response.status_code == 200
    body = response.json()
    assert list(body) == ["user_id", "token", "tier", "client_id"]
    assert (body["user_id"], body["tier"]) == ("alice@example.org", "pro")
    assert re.fullmatch(r"client-alice-[0-9a-f]{16}", body["client_id"])
    me = browser(HTTP_AUTHORIZATION=f"Bearer {body['token']}").get("/v1/auth/me").json()
    assert (me["user_id"], me["tier"], me["carrier"]) == ("alice@example.org", "pro", "token")


def test_the_client_id_takes_ten_characters_of_the_local_part():
    make_user("Very.Long!Name+tag@example.org")
    assert re.fullmatch(r"client-very\.longn-[0-9a-f]{16}", log_in(browser(), "very.long!name+tag@example.org").json()["client_id"])


def test_each_login_has_a_client_id_of_its_own():
    make_user()
    client = browser()
    assert log_in(client).json()["client_id"] != log_in(client).json()["client_id"]
    assert LoginToken.objects.count() == 2


def test_a_stale_token_beside_the_password_is_no_hindrance():
    make_user()
    assert log_in(browser(HTTP_AUTHORIZATION="Bearer stale", HTTP_X_USER_ID="")).status_code == 200


def test_p25_unknown_addresses_look_like_wrong_passwords():
    make_user()
    make_user("gone@example.org", is_active=False)
    answers = [
        log_in(browser(), password="wrong"),
        log_in(browser(), "nobody@example.org"),
        log_in(browser(), "gone@example.org"),
        log_in(browser(), "no address at all"),
    ]
    assert {error_of(answer) for answer in answers} == {(401, "invalid_credentials")}
    assert {answer.content for answer in answers} == {answers[0].content}
    assert answers[0].json()["detail"] == "Invalid email or password"
    assert not User.objects.filter(email="nobody@example.org").exists()


@pytest.mark.parametrize("email", ["alice@example.org", "nobody@example.org", "passkey@example.org"])
def test_p25_every_try_hashes_once(email, monkeypatch):
    make_user()
    User.objects.create_user("passkey@example.org", None)
    hashed = []
    hasher = hashers.get_hasher("default")
    monkeypatch.setattr(type(hasher), "encode", lambda self, password, salt: hashed.append(password) or f"md5${salt}$x")
    assert log_in(browser(), email, "wrong").status_code == 401
    assert hashed == ["wrong"]


def test_p25_five_failures_block_the_account_for_that_address_only():
    make_user()
    client = browser()
    for _try in range(5):
        assert error_of(log_in(client, password="wrong")) == (401, "invalid_credentials")
    blocked = log_in(client)
    assert error_of(blocked) == (429, "rate_limited")
    assert 1 <= int(blocked["Retry-After"]) <= 300 and blocked["RateLimit-Policy"]
    assert log_in(browser()).status_code == 200


def test_p25_unknown_addresses_are_blocked_alike():
    client = browser()
    answers = [log_in(client, "nobody@example.org") for _try in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


def test_p25_ten_failures_a_minute_block_the_address():
    client = browser()
    answers = [log_in(client, f"nobody{number}@example.org").status_code for number in range(11)]
    assert answers == [401] * 10 + [429]


def test_logins_that_succeed_count_for_nothing():
    make_user()
    client = browser()
    assert {log_in(client).status_code for _try in range(15)} == {200}


def test_p25_the_page_shares_the_count():
    make_user()
    client = browser()
    for _try in range(5):
        log_in(client, password="wrong")
    page = client.post("/accounts/login/", {"login": "alice@example.org", "password": PASSWORD})
    assert page.status_code == 200 and "_auth_user_id" not in client.session
    for _try in range(5):
        assert client.post("/accounts/login/", {"login": "bob@example.org", "password": "wrong"}).status_code == 200
    assert log_in(client, "carol@example.org").status_code == 429


def test_p25_the_session_key_changes_at_login():
    make_user()
    client = browser()
    client.get("/accounts/login/")
    session = client.session
    session["before"] = True
    session.save()
    before = session.session_key
    client.cookies["sessionid"] = before
    assert client.post("/accounts/login/", {"login": "alice@example.org", "password": PASSWORD}).status_code == 302
    assert client.session["_auth_user_id"] and client.session.session_key != before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": "a@b.de"}, "password"),
        ({"email": [], "password": "x"}, "email"),
        ({"email": "a", "password": "x\x00"}, "password"),
    ],
)
def test_a_bad_body_names_its_field(body, field):
    response = browser().post(LOGIN, body, format="json")
    assert error_of(response) == (400, "invalid_request")
    assert response.json()["error"]["field"] == field


def test_unknown_fields_are_named_and_no_password_is_repeated():
    response = browser().post(LOGIN, {"email": "a@b.de", "password": "canary-7f3a", "passwort": "canary-7f3b"}, format="json")
    assert error_of(response) == (400, "invalid_request")
    assert "passwort" in response.json()["detail"] and "canary" not in response.content.decode()


# -- the second factor ------------------------------------------------------------------------------------------------


def with_totp(user: User) -> str:
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time()))))


def test_an_account_with_a_second_factor_needs_its_code():
    code = with_totp(make_user())
    client = browser()
    assert error_of(log_in(client)) == (401, "mfa_required")
    assert error_of(log_in(client, password="wrong")) == (401, "invalid_credentials")
    assert error_of(log_in(client, code="000000" if code != "000000" else "111111")) == (401, "invalid_credentials")
    assert log_in(client, code=code).status_code == 200
    assert error_of(log_in(client, code=code)) == (401, "invalid_credentials")  # each once


def test_a_recovery_code_does_too():
    user = make_user()
    with_totp(user)
    codes = RecoveryCodes.activate(user).get_unused_codes()
    assert log_in(browser(), code=codes[0]).status_code == 200
    assert log_in(browser(), code=codes[0]).status_code == 401


def test_codes_are_limited_wherever_they_come_from():
    user = make_user()
    code = with_totp(user)
    assert [log_in(browser(), code="x").status_code for _try in range(5)] == [401] * 5
    assert error_of(log_in(browser(), code=code)) == (429, "rate_limited")
    assert Authenticator.objects.filter(user=user).count() == 1


# -- out again --------------------------------------------------------------------------------------------------------


def test_logout_ends_this_login_only():
    user = make_user()
    one, other = with_token(user), with_token(user)
    assert one.post("/v1/auth/logout", {}, format="json").json() == {"success": True}
    assert error_of(one.get("/v1/auth/me")) == (401, "invalid_token")
    assert other.get("/v1/auth/me").status_code == 200


def test_logout_everywhere_ends_them_all():
    user, bob = make_user(), make_user("bob@example.org")
    one, other, session, bobs = with_token(user), with_token(user), browser(), with_token(bob)
    session.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    assert session.get("/v1/auth/me").status_code == 200
    assert one.post("/v1/auth/logout", {"everywhere": True}, format="json").status_code == 200
    assert one.get("/v1/auth/me").status_code == other.get("/v1/auth/me").status_code == 401
    assert error_of(session.get("/v1/auth/me")) == (401, "invalid_token")
    assert bobs.get("/v1/auth/me").status_code == 200


def test_a_session_writes_with_its_csrf_token_only():
    user = make_user()
    client = with_session(user)
    assert client.get("/v1/auth/me").json()["carrier"] == "session"
    assert error_of(client.post("/v1/auth/logout", {}, format="json"))[0] == 403
    assert client.get("/v1/auth/me").status_code == 200
    client.cookies["csrftoken"] = "a" * 32
    assert client.post("/v1/auth/logout", {}, format="json", HTTP_X_CSRFTOKEN="a" * 32).status_code == 200
    assert client.get("/v1/auth/me").status_code == 401


def test_guests_and_keys_cannot_log_anybody_out():
    assert error_of(browser().post("/v1/auth/logout", {}, format="json")) == (401, "authentication_required")
    assert error_of(with_key(make_user()).post("/v1/auth/logout", {}, format="json")) == (403, "insufficient_scope")


def test_me_says_what_the_credential_opens():
    me = with_key(make_user(), scopes=("usage",)).get("/v1/auth/me").json()
    assert (me["carrier"], me["scopes"], me["email_verified"]) == ("key", ["usage"], False)


def test_reading_has_a_limit(settings):
    from billing.models import Tier

    Tier.objects.get(is_default=True)
    Tier.objects.filter(is_default=True).update(reads_per_minute=2)
    client = with_token(make_user(f"reader{time.time_ns()}@example.org"))
    assert [client.get("/v1/auth/me").status_code for _try in range(3)] == [200, 200, 429]


# -- pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/accounts/inactive/", "/accounts/confirm-email/"],
)
def test_pages_for_everybody(path):
    assert browser().get(path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/accounts/logout/", "/accounts/sessions/", "/accounts/password/change/", "/accounts/email/", "/accounts/2fa/"]
)
def test_pages_for_people(path):
    make_user()
    client = browser()
    client.post("/accounts/login/", {"login": "alice@example.org", "password": PASSWORD})
    assert client.get(path).status_code == 200


def test_p23_a_password_change_on_the_page_ends_the_logins():
    user = make_user()
    token, key, client = with_token(user), with_key(user), browser()
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    changed = client.post(
        "/accounts/password/change/", {"oldpassword": PASSWORD, "password1": "Neu-und-lang-9", "password2": "Neu-und-lang-9"}
    )
    assert changed.status_code == 302
    assert token.get("/v1/auth/me").status_code == client.get("/v1/auth/me").status_code == 401
    assert key.get("/v1/auth/me").status_code == 200


def reset_password(mailoutbox, email: str) -> None:
    client = browser()
    assert client.post("/accounts/password/reset/", {"email": email}).status_code == 302
    link = re.search(r"http://\S+(/accounts/password/reset/key/\S+)", mailoutbox[-1].body).group(1)
    form = client.get(link, follow=True)
    done = client.post(form.redirect_chain[-1][0], {"password1": "Neu-und-lang-9", "password2": "Neu-und-lang-9"})
    assert done.status_code == 302


def test_p23_a_reset_ends_the_logins_and_a_squatters_keys(mailoutbox):
    user = make_user()
    token, key = with_token(user), with_key(user)
    reset_password(mailoutbox, user.email)
    assert token.get("/v1/auth/me").status_code == key.get("/v1/auth/me").status_code == 401
    user.trust_email()
    key = with_key(user)
    reset_password(mailoutbox, user.email)
    assert key.get("/v1/auth/me").status_code == 200


def test_p25_reset_tells_nothing(mailoutbox):
    make_user()
    known, unknown = (browser().post("/accounts/password/reset/", {"email": f"{name}@example.org"}) for name in ("alice", "nobody"))
    assert (known.status_code, known.url) == (unknown.status_code, unknown.url)
    assert [mail.to for mail in mailoutbox] == [["alice@example.org"], ["nobody@example.org"]]


def test_mails_name_our_address_whatever_host_was_asked(mailoutbox, settings):
    settings.ALLOWED_HOSTS = ["*"]
    make_user()
    browser(SERVER_NAME="evil.example").post("/accounts/password/reset/", {"email": "alice@example.org"})
    assert settings.PUBLIC_URL in mailoutbox[0].body and "evil.example" not in mailoutbox[0].body


def test_an_address_that_became_anothers_cannot_be_confirmed(mailoutbox):
    user = make_user()
    user.trust_email()
    client = browser()
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    client.post("/accounts/email/", {"action_add": "", "email": "new@example.org"})
    link = re.search(r"http://\S+(/accounts/confirm-email/\S+)", mailoutbox[-1].body).group(1)
    make_user("new@example.org")
    assert client.post(link).status_code == 302
    user.refresh_from_db()
    assert user.email == "alice@example.org"
    assert not EmailAddress.objects.filter(email="new@example.org", verified=True).exists()


def test_an_address_changes_by_its_confirmation(mailoutbox):
    user = make_user()
    user.trust_email()
    client = browser()
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    client.post("/accounts/email/", {"action_add": "", "email": "N.E.W+x@gmail.com"})
    link = re.search(r"http://\S+(/accounts/confirm-email/\S+)", mailoutbox[-1].body).group(1)
    client.post(link)
    user.refresh_from_db()
    assert (user.email, user.mailbox) == ("n.e.w+x@gmail.com", "new@gmail.com")


def test_the_admins_sign_in_is_the_pages():
    page = browser().get("/admin/login/")
    assert page.status_code == 302 and page.url.startswith("/accounts/login/")


def test_login_has_no_second_way(monkeypatch):
    """A wrong password never reaches the second factor."""
    make_user()
    monkeypatch.setattr(login_module, "_check_second_factor", lambda *_: pytest.fail("asked"))
    assert log_in(browser(), password="wrong").status_code == 401
