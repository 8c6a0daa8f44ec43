"""POST /v1/client/chat through the real server, against a provider that speaks its true wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.test import Client

from accounts.keys import create_key
from accounts.models import User
from billing.models import UsageDay, UsageEvent
from tests.fakes.upstream import Answer, FakeUpstream

MODEL = "ollama/deepseek-v3.1:671b-cloud"
KEYS = {
    "response", "model", "tier", "backend", "tokens_used", "latency_ms", "fallback_used", "request_id", "finish_reason",
    "tokens_remaining", "warnings",
}  # fmt: skip


def ask(http: httpx.Client, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    return http.post("/v1/client/chat", json={"message": "Hi", **fields}, headers=headers)


def events(response: httpx.Response) -> list[tuple[str, Any]]:
    """The (event, data) pairs of an event stream."""
    found = []
    for block in response.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def test_a_guest_gets_an_answer_in_the_documented_shape(http: httpx.Client, upstream: FakeUpstream) -> None:
    upstream.always(Answer(["Docker", " ist", " …"], usage=(40, 3)))
    response = ask(http, model=MODEL)
    body = response.json()
    assert response.status_code == 200, body
    assert set(body) == KEYS
    assert body["response"] == "Docker ist …"
    assert (body["model"], body["backend"], body["tier"], body["fallback_used"]) == (MODEL, "ollama", "guest", False)
    assert (body["tokens_used"], body["tokens_remaining"], body["finish_reason"]) == (43, 50_000 - 43, "stop")
    assert response.headers["X-Request-ID"] == body["request_id"]


def test_it_streams_deltas_and_ends_with_the_same_object(http: httpx.Client, upstream: FakeUpstream) -> None:
    upstream.always(Answer(["Do", "cker"], usage=(40, 2)))
    response = ask(http, stream=True)
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["x-accel-buffering"] == "no"
    found = events(response)
    assert "".join(data["text"] for event, data in found if event == "delta") == "Docker"
    assert found[-1][0] == "done"
    assert set(found[-1][1]) == KEYS
    assert found[-1][1]["tokens_used"] == 42


def test_it_writes_a_receipt_that_its_owner_can_read(
    http: httpx.Client, upstream: FakeUpstream, make_user: Callable[..., User], bearer: Callable[[User], dict[str, str]]
) -> None:
    headers = bearer(make_user("pro"))
    body = ask(http, headers, model=MODEL).json()
    receipt = http.get(f"/v1/usage/{body['request_id']}", headers=headers).json()
    assert (receipt["state"], receipt["rule"], receipt["charged"], receipt["usage_class"]) == ("settled", "answered", 9, "unlimited")
    assert (receipt["requested_model"], receipt["served_model"]) == (MODEL, MODEL)
    assert receipt["attempts"][0]["outcome"] == "ok"
    assert not receipt["estimated"]
    listed = http.get("/v1/usage", headers=headers).json()
    assert [row["request_id"] for row in listed["results"]] == [body["request_id"]]
    tokens = http.get("/v1/client/tokens/usage", headers=headers).json()
    assert (tokens["used_today"], tokens["used_unlimited_today"], tokens["reserved"]) == (0, 9, 0)


def test_brumo_speaks_unless_a_system_prompt_or_the_user_says_otherwise(
    http: httpx.Client, upstream: FakeUpstream, make_user: Callable[..., User], bearer: Callable[[User], dict[str, str]]
) -> None:
    ask(http)
    ask(http, system_prompt="Be brief.")
    ask(http, bearer(make_user(brumo=False)))
    roles = [[message["role"] for message in record.body["messages"]] for record in upstream.chats]
    assert roles == [["system", "user"], ["system", "user"], ["user"]]
    assert "Brumo" in upstream.chats[0].body["messages"][0]["content"]
    assert upstream.chats[1].body["messages"][0]["content"] == "Be brief."


def test_the_askers_rule_of_substitution_holds_where_a_request_names_none(
    http: httpx.Client, upstream: FakeUpstream, make_user: Callable[..., User], bearer: Callable[[User], dict[str, str]], no_pauses: None
) -> None:
    upstream.always(Answer(fault="500"), model="deepseek-v3.1:671b-cloud")
    headers = bearer(make_user(substitution="strict"))
    assert ask(http, headers).status_code in (502, 503)
    assert {chat.model for chat in upstream.chats} == {"deepseek-v3.1:671b-cloud"}
    assert ask(http, headers, substitution="any").json()["fallback_used"]


def test_the_budget_goes_upstream_as_the_maximum(http: httpx.Client, upstream: FakeUpstream) -> None:
    ask(http, max_tokens=123, temperature=0.2)
    options = upstream.chats[0].body["options"]
    assert (options["num_predict"], options["temperature"]) == (123, 0.2)


def test_a_bare_unique_id_resolves_and_nothing_else_does(http: httpx.Client, upstream: FakeUpstream) -> None:
    assert ask(http, model="deepseek-v3.1:671b-cloud").json()["model"] == MODEL
    for model in ("gpt", "1", "cloud", "ollama/"):
        response = ask(http, model=model)
        assert response.status_code == 404, model
        assert response.json()["error"]["code"] == "model_not_found"
    assert len(upstream.chats) == 1


def test_a_model_above_the_tier_is_refused_by_name(http: httpx.Client, upstream: FakeUpstream, keyed_openai: str) -> None:
    response = ask(http, model=keyed_openai)
    assert response.status_code == 403
    error = response.json()["error"]
    assert (error["code"], error["tier"]) == ("model_not_in_tier", "pro")
    assert not upstream.chats


def test_a_pro_chats_with_a_cloud_model_and_pays_for_it(
    http: httpx.Client, upstream: FakeUpstream, keyed_openai: str, make_user: Callable[..., User], bearer: Callable[[User], dict[str, str]]
) -> None:
    upstream.always(Answer(["Hi"], usage=(11, 1)))
    headers = bearer(make_user("pro"))
    body = ask(http, headers, model=keyed_openai).json()
    assert (body["backend"], body["tokens_used"], body["tokens_remaining"]) == ("openai", 12, 250_000 - 12)
    assert upstream.chats[0].headers["authorization"] == "Bearer sk-test-openai"


BAD = [
    ({}, "message"),
    ({"message": ""}, "message"),
    ({"message": "   "}, "message"),
    ({"message": 5}, "message"),
    ({"message": None}, "message"),
    ({"message": "a\x00b"}, "message"),
    ({"message": "x" * (1024 * 1024 + 1)}, "message"),
    ({"message": "Hi", "messages": [{"role": "user", "content": "Hi"}]}, "message"),
    ({"messages": []}, "message"),
    ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages.0.role"),
    ({"messages": [{"role": "user"}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}, "messages"),
    ({"message": "Hi", "temperature": 2.1}, "temperature"),
    ({"message": "Hi", "temperature": "hot"}, "temperature"),
    ({"message": "Hi", "temperature": True}, "temperature"),
    ({"message": "Hi", "max_tokens": 0}, "max_tokens"),
    ({"message": "Hi", "max_tokens": 1.5}, "max_tokens"),
    ({"message": "Hi", "max_tokens": 10**9}, "max_tokens"),
    ({"message": "Hi", "stream": "yes"}, "stream"),
    ({"message": "Hi", "substitution": "maybe"}, "substitution"),
    ({"message": "Hi", "colour": "blue"}, "colour"),
    ({"message": "Hi", "model": "x" * 201}, "model"),
]


@pytest.mark.parametrize(("body", "field"), BAD, ids=[f"{field}-{number}" for number, (_, field) in enumerate(BAD)])
def test_bad_input_names_its_field_and_reserves_nothing(http: httpx.Client, upstream: FakeUpstream, body: Any, field: str) -> None:
    response = http.post("/v1/client/chat", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_request"
    assert response.json()["error"]["field"] == field
    assert not upstream.chats
    assert not UsageEvent.objects.exists()


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b'"Hi"', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 5000, "application/json", 400),
        (b'{"message": "Hi"}', "text/plain", 415),
        (b"message=Hi", "application/x-www-form-urlencoded", 415),
    ],
)
def test_what_is_no_json_object_is_refused(
    http: httpx.Client, upstream: FakeUpstream, content: bytes, content_type: str, status: int
) -> None:
    response = http.post("/v1/client/chat", content=content, headers={"Content-Type": content_type})
    assert response.status_code == status
    assert response.json()["detail"]
    assert not UsageEvent.objects.exists()


def test_a_body_over_the_limit_is_413_chunked_too(http: httpx.Client, upstream: FakeUpstream) -> None:
    large = b'{"message": "' + b"x" * (2 * 1024 * 1024) + b'"}'
    headers = {"Content-Type": "application/json"}
    assert http.post("/v1/client/chat", content=large, headers=headers).status_code == 413
    chunked = http.post("/v1/client/chat", content=iter([large[:1_000_000], large[1_000_000:]]), headers=headers)
    assert chunked.status_code == 413
    assert chunked.json()["error"]["code"] == "payload_too_large"


def test_other_methods_are_405_and_a_trailing_slash_is_fine(http: httpx.Client, upstream: FakeUpstream) -> None:
    assert http.get("/v1/client/chat").status_code == 405
    assert http.post("/v1/client/chat/", json={"message": "Hi"}).status_code == 200


def test_errors_are_german_where_that_is_preferred(http: httpx.Client, upstream: FakeUpstream) -> None:
    english, german = ask(http, model="gpt"), ask(http, {"Accept-Language": "de-DE,de;q=0.9,en;q=0.5"}, model="gpt")
    assert english.json()["detail"].startswith("There is no model gpt.")
    assert german.json()["detail"].startswith("Es gibt kein Modell gpt.")


def test_a_bad_credential_never_becomes_a_guest(http: httpx.Client, upstream: FakeUpstream) -> None:
    response = ask(http, {"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert not upstream.chats


def test_x_user_id_alone_leaves_a_guest(http: httpx.Client, upstream: FakeUpstream) -> None:
    assert ask(http, {"X-User-ID": "user@example.com"}).json()["tier"] == "guest"
    assert UsageDay.objects.get().subject.startswith("guest:")


def test_a_session_needs_its_csrf_token(http: httpx.Client, upstream: FakeUpstream, make_user: Callable[..., User]) -> None:
    browser = Client()
    browser.force_login(make_user(), backend="allauth.account.auth_backends.AuthenticationBackend")
    headers = {"Cookie": f"sessionid={browser.cookies['sessionid'].value}; csrftoken={'a' * 32}"}
    refused = ask(http, headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
    assert not upstream.chats
    answered = ask(http, {**headers, "X-CSRFToken": "a" * 32})
    assert answered.json()["tier"] == "registered"


def test_a_key_opens_chat_only_with_its_scope_and_for_its_models(
    http: httpx.Client, upstream: FakeUpstream, make_user: Callable[..., User]
) -> None:
    user = make_user("pro")
    _, usage_only = create_key(user, name="usage", scopes=["usage"])
    _, narrow = create_key(user, name="narrow", scopes=["chat"], models=[MODEL])
    assert ask(http, {"x-api-key": usage_only}).json()["error"]["code"] == "insufficient_scope"
    assert ask(http, {"x-api-key": narrow}, model=MODEL).status_code == 200
    assert ask(http, {"Authorization": f"Bearer {narrow}"}, model="ollama/gpt-oss:20b-cloud").status_code == 403
    upstream.always(Answer(status=500))
    assert ask(http, {"x-api-key": narrow}, model=MODEL).status_code == 502
    assert {record.body["model"] for record in upstream.chats} == {MODEL.removeprefix("ollama/")}


def test_a_quote_tells_the_price_and_holds_nothing(http: httpx.Client, upstream: FakeUpstream) -> None:
    quote = http.post("/v1/quote", json={"message": "Hi", "model": MODEL, "max_tokens": 1000}).json()
    assert quote["would_be_admitted"] is True
    assert quote["reason"] is None
    assert quote["max_output_tokens"] == 1000
    assert quote["max_charge"] > 1000 > quote["input_tokens"] > 0
    assert quote["share_of_remaining"] == pytest.approx(quote["max_charge"] / 50_000, abs=1e-4)
    assert not UsageEvent.objects.exists()
    assert not upstream.chats
