"""/v1/users/{me}/devices and POST /v1/auth/token."""

from __future__ import annotations

import uuid

import pytest

from accounts import devices
from accounts.models import Device
from tests.people import browser, error_of, make_user, with_key, with_token

pytestmark = pytest.mark.django_db
TOKEN = "/v1/auth/token"


def add(client, me="me", **body):
    return client.post(f"/v1/users/{me}/devices", {"device_name": "Laptop", "device_type": "desktop", **body}, format="json")


def ask(client_id, client_secret, client=None):
    return (client or browser()).post(TOKEN, {"client_id": client_id, "client_secret": client_secret}, format="json")


def test_a_device_signs_in_with_its_credentials():
    user = make_user()
    made = add(with_token(user), user.email, user_id=user.email)
    assert made.status_code == 201 and list(made.json()) == ["device_id", "client_id", "client_secret"]
    credentials = made.json()
    answer = ask(credentials["client_id"], credentials["client_secret"])
    assert answer.status_code == 200
    assert {name: answer.json()[name] for name in ("user_id", "tier", "expires_in")} == {
        "user_id": user.email,
        "tier": "registered",
        "expires_in": 30 * 86_400,
    }
    assert browser(HTTP_AUTHORIZATION=f"Bearer {answer.json()['token']}").get("/v1/auth/me").json()["user_id"] == user.email
    assert Device.objects.get().last_seen is not None
    assert credentials["client_secret"] not in str(Device.objects.values().get())


@pytest.mark.parametrize("spelling", ["client-{}", "X-Client-{}"])
def test_credentials_in_headers(spelling):
    made = add(with_token(make_user())).json()
    headers = {spelling.format("Id"): made["client_id"], spelling.format("Secret"): made["client_secret"]}
    assert browser().post(TOKEN, headers=headers).status_code == 200


@pytest.mark.parametrize("which", ["client_id", "client_secret", "both"])
def test_wrong_credentials_are_all_alike(which):
    made = add(with_token(make_user())).json()
    wrong = {name: "wrong" if which in (name, "both") else made[name] for name in ("client_id", "client_secret")}
    answer = ask(**wrong)
    assert error_of(answer) == (401, "invalid_credentials")
    assert answer.content == ask("", "").content


def test_p25_tries_are_limited():
    made = add(with_token(make_user())).json()
    client = browser()
    answers = [ask(made["client_id"], "wrong", client).status_code for _try in range(6)]
    assert answers == [401] * 5 + [429]


def test_a_disabled_owners_device_stays_out():
    user = make_user()
    made = add(with_token(user)).json()
    user.is_active = False
    user.save(update_fields=["is_active"])
    assert ask(made["client_id"], made["client_secret"]).status_code == 401


def test_they_are_listed_without_secrets():
    client = with_token(make_user())
    made = add(client).json()
    listed = client.get("/v1/users/me/devices")
    assert listed.json()["count"] == 1 and made["client_secret"] not in listed.content.decode()
    device = listed.json()["devices"][0]
    assert (device["device_id"], device["device_name"], device["is_active"]) == (made["device_id"], "Laptop", True)


def test_p23_a_removed_device_is_out_at_once():
    client = with_token(make_user())
    made = add(client).json()
    token = ask(made["client_id"], made["client_secret"]).json()["token"]
    gone = client.delete(f"/v1/users/me/devices/{made['device_id']}")
    assert gone.json() == {"success": True, "device_id": made["device_id"]}
    assert browser(HTTP_AUTHORIZATION=f"Bearer {token}").get("/v1/auth/me").status_code == 401
    assert ask(made["client_id"], made["client_secret"]).status_code == 401
    assert client.get("/v1/auth/me").status_code == 200


def test_p23_a_changed_password_ends_the_devices():
    user = make_user()
    made = add(with_token(user)).json()
    user.set_password("another passphrase")
    user.save()
    assert ask(made["client_id"], made["client_secret"]).status_code == 401


def test_p20_anothers_devices_are_not_there():
    alice, bob = make_user(), make_user("bob@example.org")
    made = add(with_token(alice)).json()
    client = with_token(bob)
    for me in ("alice@example.org", str(alice.pk), "nobody@example.org"):
        assert error_of(client.get(f"/v1/users/{me}/devices")) == (404, "not_found")
        assert error_of(add(client, me)) == (404, "not_found")
        assert error_of(client.delete(f"/v1/users/{me}/devices/{made['device_id']}")) == (404, "not_found")
    for device_id in (made["device_id"], uuid.uuid4()):
        assert error_of(client.delete(f"/v1/users/me/devices/{device_id}")) == (404, "not_found")
    assert error_of(client.delete("/v1/users/me/devices/nonsense"))[0] == 404
    assert Device.objects.count() == 1


@pytest.mark.parametrize("me", ["alice@example.org", "ALICE@example.org", "me"])
def test_p20_guests_and_keys_have_none(me):
    user = make_user()
    assert error_of(browser().get(f"/v1/users/{me}/devices")) == (401, "authentication_required")
    assert error_of(with_key(user).get(f"/v1/users/{me}/devices")) == (403, "insufficient_scope")
    assert with_token(user).get(f"/v1/users/{me}/devices").status_code == 200


def test_there_is_an_end_to_them(monkeypatch):
    monkeypatch.setattr(devices, "MOST_DEVICES", 1)
    client = with_token(make_user())
    assert add(client).status_code == 201
    assert error_of(add(client)) == (409, "conflict")


@pytest.mark.parametrize(
    ("body", "field"), [({"device_name": ""}, "device_name"), ({"device_type": "A B"}, "device_type"), ({"x": 1}, "x")]
)
def test_a_bad_body_names_its_field(body, field):
    response = add(with_token(make_user()), **body)
    assert error_of(response) == (400, "invalid_request") and response.json()["error"]["field"] == field
