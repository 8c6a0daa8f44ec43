"""POST /v1/client/logs, GET /v1/client/update/version, and what is thrown away."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from django.utils import timezone

from accounts import purge
from accounts.keys import create_key
from accounts.models import ApiKey, ClientLog, ClientRelease, LoginToken
from accounts.tokens import issue_token
from tests.people import browser, error_of, make_user, with_key, with_token

pytestmark = pytest.mark.django_db
LOGS, VERSION = "/v1/client/logs", "/v1/client/update/version"


def test_objects_and_json_texts_are_stored():
    client = with_token(make_user())
    entries = [{"level": "error", "message": "Ü", "metadata": {"lineno": 1}}, json.dumps({"level": "WARNING", "message": "two"}), {}]
    response = client.post(LOGS, {"logs": entries, "client_info": {"version": "3"}}, format="json")
    assert (response.status_code, response.json()) == (202, {"status": "accepted", "received": 3})
    stored = list(ClientLog.objects.order_by("pk").values_list("level", "message", "client_info"))
    assert stored == [("ERROR", "Ü", {"version": "3"}), ("WARNING", "two", {"version": "3"}), ("", "", {"version": "3"})]


def test_keys_may_send_and_guests_not():
    assert with_key(make_user()).post(LOGS, {"logs": []}, format="json").json()["received"] == 0
    assert error_of(browser().post(LOGS, {"logs": []}, format="json")) == (401, "authentication_required")


@pytest.mark.parametrize(
    "logs",
    [
        None,
        {},
        "x",
        [1],
        ["no json"],
        ["[]"],
        [{"m": "\x00"}],
        [json.dumps({"m": "\x00"})],
        ["[" * 5000],
        [{}] * 101,
        [{"m": "x" * 1_600_000}],
    ],
)
def test_what_is_no_list_of_entries_is_refused(logs):
    response = with_token(make_user()).post(LOGS, {"logs": logs}, format="json")
    assert error_of(response) == (400, "invalid_request") and response.json()["error"]["field"] == "logs"
    assert not ClientLog.objects.exists()


def test_long_and_odd_entries_are_cut_for_the_list():
    entry = {"level": "x" * 50, "message": {"not": "text"}, "traceback": "t" * 20_000}
    with_token(make_user()).post(LOGS, {"logs": [entry]}, format="json")
    log = ClientLog.objects.get()
    assert (log.level, log.message, log.entry) == ("X" * 10, "{'not': 'text'}", entry)


def release(version: str, **fields) -> ClientRelease:
    row = {"build_date": date(2026, 11, 1), "checksum": "c" * 64, "download_url": "https://example.org/c.deb", "filename": "c.deb"}
    return ClientRelease.objects.create(version=version, **{**row, **fields})


def test_the_newest_release_of_the_platform():
    assert error_of(browser().get(VERSION)) == (404, "not_found")
    release("1.0.0", created=timezone.now() - timedelta(days=1))
    release("1.1.0", changelog="Neu")
    release("9.0.0", platform="windows")
    assert browser().get(VERSION).json() == {
        "version": "1.1.0",
        "build_date": "2026-11-01",
        "checksum": "c" * 64,
        "download_url": "https://example.org/c.deb",
        "changelog": "Neu",
        "filename": "c.deb",
        "platform": "linux",
    }
    assert browser().get(VERSION, {"platform": "windows"}).json()["version"] == "9.0.0"
    assert error_of(browser().get(VERSION, {"platform": "am\x00iga"})) == (404, "not_found")


def test_purging_takes_what_is_old_and_nothing_else():
    user, old = make_user(), timezone.now() - timedelta(days=31)
    for _token in range(3):
        issue_token(user)
    LoginToken.objects.filter(pk=LoginToken.objects.earliest("pk").pk).update(revoked=True)
    LoginToken.objects.filter(pk=LoginToken.objects.latest("pk").pk).update(expires=old)
    assert purge.purge_login_tokens() == 2 and LoginToken.objects.count() == 1
    for received in (old, timezone.now()):
        ClientLog.objects.create(user=user, entry={}, received=received)
    assert purge.purge_client_logs() == 1 and ClientLog.objects.count() == 1
    names = [
        ("live", {}),
        ("revoked lately", {"revoked": True, "last_used": timezone.now()}),
        ("revoked", {"revoked": True, "last_used": old}),
    ]
    for name, fields in [*names, ("expired", {"expires": old}), ("unused", {"revoked": True, "created": old})]:
        key, _plain = create_key(user, name=name)
        ApiKey.objects.filter(pk=key.pk).update(**fields)
    assert purge.purge_dead_keys() == 3
    assert set(ApiKey.objects.values_list("name", flat=True)) == {"live", "revoked lately"}
