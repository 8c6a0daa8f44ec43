"""POST /v1/auth/register and the sign-up page: one flow, which tells nothing about an address."""

from __future__ import annotations

import re
from smtplib import SMTPServerDisconnected

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import hashers
from django.core.mail.backends.locmem import EmailBackend

from accounts.models import User, mailbox_of
from tests.people import PASSWORD, browser, error_of, make_user, with_token

pytestmark = pytest.mark.django_db
REGISTER = "/v1/auth/register"


def register(client=None, email="new@example.org", password=PASSWORD, **more):
    return (client or browser()).post(REGISTER, {"email": email, "password": password, **more}, format="json")


def test_it_makes_an_account_that_can_sign_in(mailoutbox):
    response = register(email=" New@Example.org ", name="Neu")
    assert response.status_code == 201
    body = response.json()
    assert (body["success"], body["tier"], body["email"]) == (True, "registered", "new@example.org") and body["message"]
    user = User.objects.get()
    assert (user.email, user.name) == ("new@example.org", "Neu")
    assert EmailAddress.objects.get(user=user, primary=True, verified=False).email == user.email
    login = browser().post("/v1/auth/login", {"email": "new@example.org", "password": PASSWORD}, format="json")
    assert login.json()["tier"] == "registered"


def test_the_mail_verifies_the_address(mailoutbox, settings):
    settings.EMAIL_IS_REAL = True
    register()
    user = User.objects.get()
    client = with_token(user)
    assert client.get("/v1/auth/me").json()["tier"] == "guest"
    link = re.search(rf"{settings.PUBLIC_URL}(/accounts/confirm-email/\S+)", mailoutbox[0].body).group(1)
    assert browser().post(link).status_code == 302
    me = client.get("/v1/auth/me").json()
    assert (me["tier"], me["email_verified"]) == ("registered", True)


def test_p25_a_taken_address_gets_the_same_answer_and_its_owner_a_mail(mailoutbox):
    owner = make_user("new@example.org")
    taken, fresh = register(), register(email="fresh@example.org")
    assert taken.status_code == fresh.status_code == 201
    assert taken.content == fresh.content.replace(b"fresh@", b"new@")
    assert [mail.to for mail in mailoutbox] == [[owner.email], ["fresh@example.org"]]
    assert User.objects.count() == 2 and owner.check_password(PASSWORD)


def test_p25_both_hash_once(monkeypatch):
    make_user("taken@example.org")
    hashed = []
    hasher = hashers.get_hasher("default")
    monkeypatch.setattr(type(hasher), "encode", lambda self, password, salt: hashed.append(password) or f"md5${salt}$x")
    register(email="taken@example.org")
    register(email="fresh@example.org")
    assert hashed == [PASSWORD, PASSWORD]


def test_its_owner_is_not_pestered(mailoutbox):
    make_user("new@example.org")
    client = browser()
    for _try in range(3):
        register(client)
    assert len(mailoutbox) == 1


@pytest.mark.parametrize(
    ("existing", "another", "same"),
    [
        ("new@example.org", "NEW@example.org", True),
        ("new@example.org", "new+2@example.org", True),
        ("n.e.w@gmail.com", "new+x@googlemail.com", True),
        ("n.e.w@example.org", "new@example.org", False),
    ],
)
def test_spellings_of_one_mailbox_are_one_person(existing, another, same, mailoutbox):
    register(email=existing)
    assert register(email=another).status_code == 201
    assert User.objects.count() == (1 if same else 2)
    assert (mailbox_of(existing) == mailbox_of(another)) is same


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "no address"}, "email"),
        ({"email": None}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "12345678901"}, "password"),
        ({"password": "new@example.org"}, "password"),
        ({"name": "n" * 101}, "name"),
        ({"tier": "enterprise"}, "tier"),
    ],
)
def test_a_bad_body_names_its_field(change, field):
    response = browser().post(REGISTER, {"email": "new@example.org", "password": PASSWORD, **change}, format="json")
    assert error_of(response) == (400, "invalid_request")
    assert response.json()["error"]["field"] == field
    assert not User.objects.exists()


def test_older_apps_send_a_beta_code_that_gives_nothing():
    assert register(beta_code="enterprise").json()["tier"] == "registered"


def test_sign_ups_are_limited_by_network():
    answers = [register(browser(REMOTE_ADDR=f"2001:db8::{number}"), f"n{number}@example.org").status_code for number in range(6)]
    assert answers == [201] * 5 + [429]
    assert register(browser(REMOTE_ADDR="2001:db8:0:1::1"), "other@example.org").status_code == 201


def test_a_mail_server_that_is_away_costs_no_account(monkeypatch, caplog):
    def away(self, messages):
        raise SMTPServerDisconnected

    monkeypatch.setattr(EmailBackend, "send_messages", away)
    make_user("taken@example.org")
    assert register().status_code == register(email="taken@example.org").status_code == 201
    assert User.objects.filter(email="new@example.org").exists()
    assert "could not be sent" in caplog.text and "@example.org" not in caplog.text


def test_two_at_once_make_one_account(monkeypatch, mailoutbox):
    found = User.objects.with_mailbox
    make_user("new@example.org")
    answers = [None]  # the first look comes before the other's insert
    monkeypatch.setattr(type(User.objects), "with_mailbox", lambda self, email: answers.pop() if answers else found(email))
    assert register().status_code == 201
    assert User.objects.count() == 1 and mailoutbox[0].to == ["new@example.org"]


def test_p25_the_page_ends_alike_for_both(mailoutbox):
    make_user("taken@example.org")
    client, other = browser(), browser()
    taken = client.post("/accounts/signup/", {"email": "taken@example.org", "password1": PASSWORD})
    fresh = other.post("/accounts/signup/", {"email": "Fresh@example.org", "password1": PASSWORD})
    assert (taken.status_code, taken.url) == (fresh.status_code, fresh.url) == (302, "/accounts/login/")
    assert User.objects.filter(email="fresh@example.org").exists()
    assert "_auth_user_id" not in other.session and [mail.to for mail in mailoutbox] == [["taken@example.org"], ["fresh@example.org"]]
    assert (
        client.get("/accounts/login/").content.count(b"@example.org") == other.get("/accounts/login/").content.count(b"@example.org") == 0
    )


def test_the_page_shares_the_limit():
    client = browser()
    for number in range(5):
        register(client, f"n{number}@example.org")
    page = client.post("/accounts/signup/", {"email": "x@example.org", "password1": PASSWORD})
    assert page.status_code == 429 and not User.objects.filter(email="x@example.org").exists()


@pytest.mark.parametrize(("back", "query"), [("/chat/1", "?next=%2Fchat%2F1"), ("https://evil.example/", "")])
def test_the_page_leads_back_to_where_somebody_came_from(back, query):
    page = browser().post("/accounts/signup/", {"email": "x@example.org", "password1": PASSWORD, "next": back})
    assert page.url == "/accounts/login/" + query
