"""P28: whatever is sent to any operation of the schema, the answer is one that the schema knows, and never an error of ours.

About 2,000 cases; P28_CASES=20000 for more, chosen anew each time.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi import checks

from accounts.keys import create_key
from accounts.models import ClientRelease, Device, User
from accounts.tokens import issue_token
from billing import rates
from billing.models import UsageEvent
from llm.models import Attachment, Conversation, Turn
from tests.fakes.upstream import FakeUpstream
from tests.server import LiveServer
from triforce.examples import EXAMPLES

CASES = int(os.environ.get("P28_CASES", "2000"))
SCHEMA = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(public=True))
SCHEMA.config.generation.update(with_security_parameters=False)
OPERATIONS: dict[str, APIOperation] = {result.ok().label: result.ok() for result in SCHEMA.get_all_operations()}
EACH = CASES // 50  # of an operation that takes input, in the hands of somebody who may; about that many pairs there are
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
TRIES = settings(
    deadline=None,
    database=None,
    derandomize="P28_CASES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
UPSTREAM_ERRORS = (502, 503, 504)


@pytest.fixture(autouse=True)
def no_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thousand requests in a minute are what is tested here."""
    monkeypatch.setattr(rates, "_look", lambda *args, **kwargs: rates.Verdict(True, 1, 0))


@pytest.fixture
def client(live: LiveServer) -> Iterator[Callable[[Case, dict[str, str]], requests.Response]]:
    with requests.Session() as session:
        yield lambda case, headers: case.call(base_url=live.url, session=session, headers=headers, timeout=30)


def tries(operation: APIOperation) -> int:
    return EACH if operation.body or list(operation.iter_parameters()) else 4


class Guest:
    """Somebody without a credential."""

    def tries(self, operation: APIOperation) -> int:
        """A door that stays shut is knocked at less often."""
        open_to_guests = {} in operation.definition.raw.get("security", [{}])
        return tries(operation) if open_to_guests else tries(operation) // 4

    def headers(self, operation: APIOperation) -> dict[str, str]:
        return {}

    def path(self, name: str) -> Any:
        return None


class Unlimited:
    """Somebody with an account of the highest tier, and with keys, devices and receipts."""

    def __init__(self, make_user: Callable[..., User]) -> None:
        self.user = make_user("enterprise")
        self.leaver = make_user("enterprise", email="bob@example.org")
        self.token = issue_token(self.user)[0]

    def tries(self, operation: APIOperation) -> int:
        return tries(operation)

    def headers(self, operation: APIOperation) -> dict[str, str]:
        """Who signs out is somebody else, and anew each time."""
        token = issue_token(self.leaver)[0] if operation.path == "/v1/auth/logout" else self.token
        return {"Authorization": f"Bearer {token}"}

    def path(self, name: str) -> Any:
        """What stands under this name in a path that leads to something of theirs."""
        match name:
            case "me":
                return "me"
            case "key_id":
                return create_key(self.user, name="fuzzed", scopes=["chat"])[0].pk
            case "device_id":
                return str(Device.objects.create(user=self.user, name="fuzzed", client_id=os.urandom(8).hex()).device_id)
            case "request_id":
                return UsageEvent.objects.filter(account=self.user).values_list("request_id", flat=True).first()
            case "conversation_id":
                row = Conversation.objects.create(user=self.user, title="fuzzed")
                row.leaf = Turn.objects.create(id=uuid.uuid4(), conversation=row, prompt="?", answer="!", state=Turn.State.DONE)
                row.save()
                return str(row.pk)
            case "attachment_id":
                return str(Attachment.objects.create(user=self.user, name="fuzzed", kind="text", size=1, tokens=1, text="!").pk)
        return None


@pytest.fixture(params=["guest", "unlimited"])
def caller(request: pytest.FixtureRequest, make_user: Callable[..., User], http: httpx.Client, upstream: FakeUpstream) -> Any:
    if request.param == "guest":
        return Guest()
    found = Unlimited(make_user)
    assert http.post("/v1/client/chat", json={"message": "Hi"}, headers={"Authorization": f"Bearer {found.token}"}).status_code == 200
    return found


def nearly_right(case: Case, number: int) -> Any:
    """The operation's example with one of the fields that were made up: what is wrong in many places is refused at the first."""
    example = EXAMPLES.get(case.operation.definition.raw["operationId"], (None, None))[0]
    if not (isinstance(example, dict) and isinstance(case.body, dict)):
        return case.body
    name = next(iter(sorted(case.body)[number % (len(case.body) or 1) :]), None)
    return example if name is None else {**example, name: case.body[name]}


@pytest.fixture
def release(live: LiveServer) -> Iterator[None]:
    """Something to update to."""
    row = ClientRelease.objects.create(
        version="1.0.0",
        platform="linux",
        build_date="2026-01-31",
        checksum="0" * 64,
        download_url="https://example.org/a.deb",
        filename="a.deb",
    )
    yield
    row.delete()


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("label", OPERATIONS)
def test_p28_no_answer_is_a_surprise(label: str, caller: Any, client: Any) -> None:
    operation = OPERATIONS[label]
    kinds = [operation.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]

    @settings(TRIES, max_examples=caller.tries(operation))
    @given(case=st.one_of(kinds), own=st.booleans(), kept=st.none() | st.integers(0, 20))
    def send(case: Case, own: bool, kept: int | None) -> None:
        if own:
            case.path_parameters.update({name: value for name in case.path_parameters if (value := caller.path(name)) is not None})
        if kept is not None:
            case.body = nearly_right(case, kept)
        response = client(case, caller.headers(operation))
        assert response.status_code < 500 or response.status_code in UPSTREAM_ERRORS, response.text
        case.validate_response(response, checks=CHECKS)

    send()
