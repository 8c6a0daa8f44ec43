"""P30: what somebody does leaves no password, key or prompt in any column but where it belongs."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from django.apps import apps
from django.db.models import CharField, JSONField, TextField

from accounts.models import User
from llm.models import Turn
from tests.canaries import PASSWORD, PROMPT
from tests.fakes.upstream import Answer, FakeUpstream
from tests.server import LiveServer
from tests.sockets import as_browser, opened
from tests.wired import at_rest

MODEL = "ollama/gpt-oss:120b-cloud"


def holding(secret: str) -> set[str]:
    """The columns with that text in them."""
    found = set()
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.concrete_fields:
            if isinstance(field, CharField | TextField | JSONField):
                values = model._base_manager.values_list(field.attname, flat=True)
                if any(secret in str(value) for value in values.iterator()):
                    found.add(f"{model._meta.label}.{field.name}")
    return found


def test_p30_no_column_holds_what_is_secret(
    live: LiveServer, http: httpx.Client, upstream: FakeUpstream, make_user: Callable[..., User]
) -> None:
    user = make_user()
    logged_in = http.post("/v1/auth/login", json={"email": user.email, "password": PASSWORD}).json()
    token = {"Authorization": f"Bearer {logged_in['token']}"}
    assert http.post("/v1/auth/login", json={"email": user.email, "password": f"{PASSWORD}!"}).status_code == 401
    key = http.post("/v1/keys", json={"name": "k"}, headers=token).json()["key"]
    device = http.post(f"/v1/users/{user.email}/devices", json={"device_name": "d", "device_type": "desktop"}, headers=token).json()
    for fault in ("", "500", "error_event"):
        upstream.enqueue(Answer(["Hi"], fault=fault, error=f"{PROMPT}: {key}"))
        headers = {"x-api-key": key, "Idempotency-Key": f"k{fault}"}
        http.post("/v1/client/chat", json={"message": PROMPT, "model": MODEL, "substitution": "strict"}, headers=headers)
    with opened(live, as_browser(live, user)) as socket:
        socket.ask(PROMPT, model=MODEL)
        socket.until("done")
    at_rest(live)
    assert {secret: holding(secret) for secret in (PASSWORD, logged_in["token"], key, device["client_secret"])} == {
        PASSWORD: set(), logged_in["token"]: set(), key: set(), device["client_secret"]: set(),
    }  # fmt: skip
    assert holding(PROMPT) == {"llm.Turn.prompt", "llm.Conversation.title"}
    assert Turn.objects.get().prompt == PROMPT
