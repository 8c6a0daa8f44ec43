"""Accounts through the real server: what a test client cannot show."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from accounts.devices import add_device
from accounts.models import LoginToken
from tests.people import PASSWORD, make_user

LOGIN = "/v1/auth/login"


@pytest.mark.parametrize("email", ["alice@example.org", "nobody@example.org"])
def test_p25_holds_under_fifty_parallel_tries(email, http: httpx.Client):
    make_user()

    def attempt(number: int) -> int:
        return http.post(LOGIN, json={"email": email, "password": f"wrong {number}"}).status_code

    with ThreadPoolExecutor(50) as threads:
        answers = sorted(threads.map(attempt, range(50)))
    assert answers == [401] * 5 + [429] * 45


def test_p25_ten_a_minute_an_address_hold_in_parallel(http: httpx.Client):
    def attempt(number: int) -> int:
        return http.post(LOGIN, json={"email": f"n{number}@example.org", "password": "wrong"}).status_code

    with ThreadPoolExecutor(50) as threads:
        answers = sorted(threads.map(attempt, range(50)))
    assert answers == [401] * 10 + [429] * 40


def test_a_device_signs_in_with_underscores_in_its_headers(http: httpx.Client):
    device, secret = add_device(make_user(), name="Laptop", kind="desktop")
    headers = {"client_id": device.client_id, "client_secret": secret}
    answer = http.post("/v1/auth/token", headers=headers)
    assert answer.status_code == 200 and answer.json()["user_id"] == "alice@example.org"
    assert http.post("/v1/auth/token", headers={**headers, "client_secret": "wrong"}).status_code == 401


def test_p21_headers_with_underscores_and_of_other_proxies_name_nobody(http: httpx.Client):
    user = make_user()
    for name in ("x_user_id", "remote-user", "remote_user", "x-remote-user", "x-forwarded-user"):
        assert http.get("/v1/auth/me", headers={name: user.email}).status_code == 401


def test_p21_two_x_user_ids_are_refused(http: httpx.Client):
    user = make_user()
    token = http.post(LOGIN, json={"email": user.email, "password": PASSWORD}).json()["token"]
    headers = [("Authorization", f"Bearer {token}"), ("X-User-ID", user.email), ("X-User-ID", user.email)]
    assert http.get("/v1/auth/me", headers=headers[:2]).status_code == 200
    assert http.get("/v1/auth/me", headers=headers).json()["error"]["code"] == "invalid_request"


def test_both_spellings_of_a_path_take_the_body(http: httpx.Client):
    user = make_user()
    for path in (LOGIN, f"{LOGIN}/"):
        assert http.post(path, json={"email": user.email, "password": PASSWORD}).status_code == 200
    assert LoginToken.objects.filter(user=user).count() == 2
