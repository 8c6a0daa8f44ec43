"""/v1/keys, and the keys themselves."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts import keys
from accounts.caller import caller_for
from accounts.errors import InvalidToken
from accounts.models import ApiKey
from tests.people import browser, error_of, make_user, with_key, with_session, with_token

pytestmark = pytest.mark.django_db


def make(client, **body):
    return client.post("/v1/keys", {"name": "laptop", **body}, format="json")


def test_p24_a_key_is_shown_once_and_stored_as_its_digest():
    client = with_token(make_user())
    made = make(client)
    assert made.status_code == 201
    plain = made.json()["key"]
    assert re.fullmatch(r"tf_live_[0-9A-Za-z]{36}", plain)
    listed = client.get("/v1/keys")
    assert plain not in listed.content.decode() and listed.json()["count"] == 1
    assert "key" not in listed.json()["keys"][0]
    stored = ApiKey.objects.get()
    assert stored.digest == keys.digest_of(plain) and plain not in str(stored.__dict__.values())
    assert browser(HTTP_X_API_KEY=plain).get("/v1/auth/me").json()["user_id"] == "alice@example.org"


def test_its_fields():
    ends = (timezone.now() + timedelta(days=1)).replace(microsecond=0)
    body = {"scopes": ["usage", "chat", "chat"], "models": ["ollama/x:1b"], "daily_token_limit": 5, "expires_at": ends.isoformat()}
    made = make(with_token(make_user()), **body).json()
    assert (made["name"], made["scopes"], made["models"], made["daily_token_limit"]) == ("laptop", ["chat", "usage"], ["ollama/x:1b"], 5)
    assert made["expires_at"] == ends.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert made["last_used_at"] is None and made["revoked"] is False


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["admin"]}, "scopes.0"),
        ({"models": "x"}, "models"),
        ({"daily_token_limit": -1}, "daily_token_limit"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"owner": "bob"}, "owner"),
    ],
)
def test_a_bad_body_names_its_field(body, field):
    response = make(with_token(make_user()), **body)
    assert error_of(response) == (400, "invalid_request") and response.json()["error"]["field"] == field


def test_p24_a_revoked_key_is_dead_at_the_next_request():
    owner = with_token(make_user())
    made = make(owner).json()
    client = browser(HTTP_AUTHORIZATION=f"Bearer {made['key']}")
    assert client.get("/v1/auth/me").status_code == 200
    assert owner.delete(f"/v1/keys/{made['id']}").json() == {"success": True}
    assert error_of(client.get("/v1/auth/me")) == (401, "invalid_token")
    assert owner.get("/v1/keys").json()["count"] == 0
    assert error_of(owner.delete(f"/v1/keys/{made['id']}")) == (404, "not_found")


def test_an_expired_key_is_dead():
    user = make_user()
    _key, plain = keys.create_key(user, name="k", expires=timezone.now() - timedelta(seconds=5))
    assert error_of(browser(HTTP_X_API_KEY=plain).get("/v1/auth/me")) == (401, "invalid_token")


def test_rotation_takes_the_rights_over_and_the_old_key_ends():
    owner = with_token(make_user())
    old = make(owner, scopes=["chat"], daily_token_limit=9).json()
    new = owner.post(f"/v1/keys/{old['id']}/rotate", {}, format="json")
    assert new.status_code == 201
    assert (new.json()["scopes"], new.json()["daily_token_limit"]) == (["chat"], 9) and new.json()["key"] != old["key"]
    assert browser(HTTP_X_API_KEY=old["key"]).get("/v1/auth/me").status_code == 401
    assert browser(HTTP_X_API_KEY=new.json()["key"]).get("/v1/auth/me").status_code == 200


def test_rotation_leaves_the_old_key_its_grace():
    owner = with_token(make_user())
    old = make(owner).json()
    owner.post(f"/v1/keys/{old['id']}/rotate", {"grace_seconds": 60}, format="json")
    client = browser(HTTP_X_API_KEY=old["key"])
    assert client.get("/v1/auth/me").status_code == 200
    stored = ApiKey.objects.get(pk=old["id"])
    assert timedelta(seconds=50) < stored.expires - timezone.now() <= timedelta(seconds=60)
    ApiKey.objects.filter(pk=old["id"]).update(expires=timezone.now() - timedelta(seconds=5))
    assert client.get("/v1/auth/me").status_code == 401


def test_rotation_never_makes_a_key_live_longer():
    user = make_user()
    soon = timezone.now() + timedelta(seconds=10)
    key, _plain = keys.create_key(user, name="k", expires=soon)
    successor, _plain = keys.rotate(key, grace=timedelta(days=1))
    key.refresh_from_db()
    assert key.expires == soon == successor.expires


def test_p20_anothers_keys_are_not_there():
    alice, bob = make_user(), with_token(make_user("bob@example.org"))
    key, plain = keys.create_key(alice, name="k")
    assert error_of(bob.delete(f"/v1/keys/{key.pk}")) == (404, "not_found")
    assert error_of(bob.post(f"/v1/keys/{key.pk}/rotate", {}, format="json")) == (404, "not_found")
    assert error_of(bob.delete(f"/v1/keys/{10**30}")) == (404, "not_found")
    assert bob.get("/v1/keys").json()["keys"] == []
    assert browser(HTTP_X_API_KEY=plain).get("/v1/auth/me").status_code == 200


@pytest.mark.parametrize("method", ["get", "post"])
def test_p20_guests_have_none(method):
    assert error_of(getattr(browser(), method)("/v1/keys")) == (401, "authentication_required")


def test_p27_a_key_makes_no_keys():
    client = with_key(make_user())
    assert error_of(make(client)) == (403, "insufficient_scope")
    assert error_of(client.get("/v1/keys")) == (403, "insufficient_scope")


def test_a_session_needs_its_csrf_token():
    client = with_session(make_user())
    assert make(client).status_code == 403
    client.cookies["csrftoken"] = "a" * 32
    assert client.post("/v1/keys", {"name": "k"}, format="json", HTTP_X_CSRFTOKEN="a" * 32).status_code == 201


def test_there_is_an_end_to_them(monkeypatch):
    monkeypatch.setattr(keys, "MOST_KEYS", 1)
    client = with_token(make_user())
    assert make(client).status_code == 201
    assert error_of(make(client)) == (409, "conflict")
    key_id = client.get("/v1/keys").json()["keys"][0]["id"]
    assert error_of(client.post(f"/v1/keys/{key_id}/rotate", {"grace_seconds": 9}, format="json")) == (409, "conflict")
    assert client.post(f"/v1/keys/{key_id}/rotate", {}, format="json").status_code == 201


def test_both_spellings_of_the_path():
    client = with_token(make_user())
    assert client.post("/v1/keys/", {"name": "k"}, format="json").status_code == 201
    assert client.get("/v1/keys/").json()["count"] == 1


@given(st.text(max_size=60) | st.from_regex(r"\Atf_live_[0-9A-Za-z]{36}\Z"))
def test_p24_other_text_is_no_key(text):
    assert not keys.is_well_formed(text) or keys._checksum(text[8:38]) == text[38:]


def test_p24_every_new_key_is_well_formed_and_no_neighbour_of_it():
    for key in [keys.new_key() for _key in range(50)]:
        assert keys.is_well_formed(key)
        for place in range(8, len(key)):
            wrong = key[:place] + ("a" if key[place] != "a" else "b") + key[place + 1 :]
            assert not keys.is_well_formed(wrong)


def test_p24_a_bad_checksum_asks_no_database(django_assert_num_queries):
    make_user()
    with django_assert_num_queries(0), pytest.raises(InvalidToken):
        caller_for({"x-api-key": "tf_live_" + "a" * 36}, "192.0.2.1")
