"""/v1/users/{me}/settings and /v1/user/settings/sync."""

from __future__ import annotations

import pytest

from accounts import sync
from accounts.models import User
from tests.people import browser, error_of, make_user, with_key, with_token

pytestmark = pytest.mark.django_db
SYNC = "/v1/user/settings/sync"
DATA = {"encrypted_data": "c2VjcmV0", "checksum": "0123456789abcdef", "timestamp": "2026-11-23T10:00:00"}


OWN = {"default_model": "", "brumo": True, "substitution": "any", "quota_mails": True}  # the server reads these


def change(client, settings, me="me", **more):
    return client.post(f"/v1/users/{me}/settings", {"settings": settings, **more}, format="json")


def test_they_are_one_flat_object():
    client = with_token(make_user())
    assert client.get("/v1/users/me/settings").json() == OWN
    assert change(client, {"theme": "dark", "font_size": 14}).json() == {
        "theme": "dark",
        "font_size": 14,
        **OWN,
    }
    merged = change(client, {"theme": "light", "ignored_patterns": ["*.pyc"], "nothing": None}).json()
    assert (merged["theme"], merged["font_size"], merged["ignored_patterns"], merged["nothing"]) == ("light", 14, ["*.pyc"], None)
    replaced = change(client, {"language": "de"}, merge=False)
    assert replaced.json() == client.get("/v1/users/me/settings").json() == {"language": "de", **OWN}


def test_the_server_reads_four_of_them():
    user = make_user()
    client = with_token(user)
    chosen = {"default_model": "ollama/x:1b", "brumo": False, "substitution": "strict", "quota_mails": False}
    assert change(client, chosen).json() == chosen
    user.refresh_from_db()
    assert {name: getattr(user, name) for name in chosen} == chosen
    change(client, {"theme": "dark"})
    user.refresh_from_db()
    assert user.brumo is False
    change(client, {}, merge=False)
    user.refresh_from_db()
    assert {name: getattr(user, name) for name in OWN} == OWN


@pytest.mark.parametrize(
    "settings",
    [
        [],
        "x",
        {"a": {"b": 1}},
        {"a": [[1]]},
        {"a": "\x00"},
        {"\x00": 1},
        {"brumo": "yes"},
        {"quota_mails": 1},
        {"substitution": "sometimes"},
        {"substitution": ["any"]},
        {"default_model": 1},
        {"a": "x" * 70_000},
    ],
)
def test_what_is_not_flat_or_cannot_be_stored_is_refused(settings):
    assert error_of(change(with_token(make_user()), settings)) == (400, "invalid_request")


@pytest.mark.parametrize("text", [b'{"a": 1e999}', b'{"a": "\\ud800"}', b'{"\\ud800": 1}', b'{"a": NaN}'])
def test_json_that_no_database_stores_is_refused(text):
    response = with_token(make_user()).post("/v1/users/me/settings", b'{"settings": %s}' % text, content_type="application/json")
    assert error_of(response) == (400, "invalid_request")


def test_there_is_an_end_to_them(monkeypatch):
    monkeypatch.setattr(sync, "MOST_SETTINGS", 1)
    client = with_token(make_user())
    assert change(client, {"a": 1}).status_code == 200
    assert error_of(change(client, {"b": 1})) == (400, "invalid_request")


def test_p20_anothers_settings_are_not_there():
    alice, client = make_user(), with_token(make_user("bob@example.org"))
    for me in (alice.email, str(alice.pk), "nobody@example.org"):
        assert error_of(client.get(f"/v1/users/{me}/settings")) == (404, "not_found")
        assert error_of(change(client, {"brumo": False}, me)) == (404, "not_found")
    assert User.objects.get(pk=alice.pk).brumo
    assert error_of(browser().get("/v1/users/me/settings")) == (401, "authentication_required")
    assert error_of(with_key(alice).get("/v1/users/me/settings")) == (403, "insufficient_scope")


def test_the_encrypted_copy_comes_back_as_it_was():
    client = with_token(make_user())
    assert client.get(SYNC).json() == {"encrypted_data": "", "checksum": "", "timestamp": "", "revision": 0}
    assert client.post(SYNC, DATA, format="json").json() == {"success": True, "revision": 1}
    assert client.get(SYNC).json() == {**DATA, "revision": 1}


def test_a_stale_revision_is_a_conflict():
    client = with_token(make_user())
    assert client.post(SYNC, {**DATA, "revision": 0}, format="json").json()["revision"] == 1
    stale = client.post(SYNC, {**DATA, "encrypted_data": "b2xk", "revision": 0}, format="json")
    assert error_of(stale) == (409, "conflict") and stale.json()["error"]["revision"] == 1
    assert client.get(SYNC).json() == {**DATA, "revision": 1}
    assert client.post(SYNC, {**DATA, "revision": 1}, format="json").json()["revision"] == 2
    assert client.post(SYNC, DATA, format="json").json()["revision"] == 3  # clients of the seed send none


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"encrypted_data": "no base64!"}, "encrypted_data"),
        ({"encrypted_data": "ä"}, "encrypted_data"),
        ({"checksum": "xyz"}, "checksum"),
        ({"timestamp": "t" * 41}, "timestamp"),
        ({"revision": -1}, "revision"),
        ({"other": 1}, "other"),
    ],
)
def test_a_bad_body_names_its_field(change, field):
    response = with_token(make_user()).post(SYNC, {**DATA, **change}, format="json")
    assert error_of(response) == (400, "invalid_request") and response.json()["error"]["field"] == field
    assert "no base64!" not in response.content.decode()


def test_p20_guests_have_none():
    assert error_of(browser().get(SYNC)) == error_of(browser().post(SYNC, DATA, format="json")) == (401, "authentication_required")
