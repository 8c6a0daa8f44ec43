"""Whatever fails, a client reads the same shape, and never a secret or a trace."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.fakes.failing_urls import ERRORS, SECRET
from triforce.errors import render

pytestmark = pytest.mark.urls("tests.fakes.failing_urls")
SHAPES = {
    "quota": (429, "quota_exceeded"),
    "parse": (400, "invalid_request"),
    "fields": (400, "invalid_request"),
    "whole": (400, "invalid_request"),
    "sentence": (400, "invalid_request"),
    "anonymous": (401, "authentication_required"),
    "credential": (401, "invalid_token"),
    "forbidden": (403, "permission_denied"),
    "denied": (403, "permission_denied"),
    "missing": (404, "not_found"),
    "absent": (404, "not_found"),
    "method": (405, "method_not_allowed"),
    "accept": (406, "not_acceptable"),
    "media": (415, "unsupported_media_type"),
    "throttled": (429, "rate_limited"),
    "large": (413, "payload_too_large"),
    "suspicious": (400, "invalid_request"),
    "database": (503, "service_unavailable"),
    "interface": (503, "service_unavailable"),
    "bug": (500, "internal_error"),
}


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def ask(client: Client, path: str, **headers: str) -> Any:
    answer = client.get(path, headers=headers)
    return answer, answer.json()


def test_the_table_is_whole() -> None:
    assert SHAPES.keys() == ERRORS.keys()


@pytest.mark.parametrize("door", ["rest", "plain"])
@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_it_answers_in_one_shape(client: Client, settings: Any, name: str, door: str, debug: bool) -> None:
    settings.DEBUG = debug
    answer, body = ask(client, f"/v1/{door}/{name}")
    assert (answer.status_code, body["error"]["code"]) == SHAPES[name]
    assert body["detail"] == body["error"]["message"] != ""
    assert SECRET not in answer.text and "Traceback" not in answer.text


def test_it_adds_what_helps(client: Client) -> None:
    answer, body = ask(client, "/v1/rest/quota")
    assert (answer["Retry-After"], body["error"]["limit"]) == ("60", 100)
    assert ask(client, "/v1/rest/throttled")[0]["Retry-After"] == "13"
    assert ask(client, "/v1/rest/anonymous")[0]["WWW-Authenticate"] == "Bearer"
    assert ask(client, "/v1/rest/credential")[0]["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("name", ["database", "interface"])
def test_p15_a_database_that_is_away_is_worth_another_try(client: Client, name: str) -> None:
    assert int(ask(client, f"/v1/rest/{name}")[0]["Retry-After"]) > 0


def test_it_names_the_fields(client: Client) -> None:
    _, body = ask(client, "/v1/rest/fields")
    assert body["detail"] == "temperature: Ensure this value is at most 2. messages.1.role: Unknown role."
    assert body["error"]["field"] == "temperature"
    assert body["error"]["fields"] == {"temperature": ["Ensure this value is at most 2."], "messages.1.role": ["Unknown role."]}
    assert ask(client, "/v1/rest/whole")[1]["detail"] == "Either message or messages."
    assert ask(client, "/v1/rest/sentence")[1]["detail"] == "Not so."


@pytest.mark.parametrize("debug", [False, True])
def test_it_answers_an_unknown_api_path_in_json(client: Client, settings: Any, debug: bool) -> None:
    settings.DEBUG = debug
    answer, body = ask(client, "/v1/nothing")
    assert (answer.status_code, body["error"]["code"]) == (404, "not_found")


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "status"), [("missing", 404), ("denied", 403), ("suspicious", 400), ("bug", 500)])
def test_a_page_stays_a_page(client: Client, name: str, status: int) -> None:
    answer = client.get(f"/page/{name}/")
    assert (answer.status_code, answer["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert SECRET not in answer.text


def test_a_mistake_of_ours_is_logged_and_raised_in_tests(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ZeroDivisionError):
        Client().get("/v1/plain/bug")
    assert "GET /v1/plain/bug" in caplog.text


def test_it_renders_without_a_framework() -> None:
    status, headers, body = render(ERRORS["quota"])
    assert (status, headers["Retry-After"], body["error"]["code"]) == (429, "60", "quota_exceeded")
    assert render(ZeroDivisionError(SECRET))[0] == 500 and SECRET not in str(render(ZeroDivisionError(SECRET)))
