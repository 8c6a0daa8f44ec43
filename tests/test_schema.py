"""P40: /openapi.json is the code's. Every route of the API, with its methods, refusals and an example that fits."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import translation

from llm.errors import ModelNotFound
from tests.routes import Route, api_routes

OPERATIONS = [(route, method) for route in api_routes() for method in route.methods]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return Client().get("/openapi.json").json()


def operation_of(document: dict[str, Any], route: Route, method: str) -> dict[str, Any]:
    return document["paths"][route.template][method]


def schema_of(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of the document as one that stands alone. OpenAPI 3.0 says nullable where JSON Schema has a type null."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(part) for part in value]
        if not isinstance(value, dict):
            return value
        found = {name: plain(part) for name, part in value.items() if name != "nullable"}
        return {"anyOf": [found, {"type": "null"}]} if value.get("nullable") is True else found

    return {**plain(schema), "components": plain(document["components"])}


def test_it_is_valid_and_says_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True)
    assert not capsys.readouterr().err


def test_it_has_every_route_of_the_api_and_no_other(document: dict[str, Any]) -> None:
    written = {(path, method) for path, item in document["paths"].items() for method in item}
    assert written == {(route.template, method) for route, method in OPERATIONS}


def test_every_operation_has_a_name_of_its_own(document: dict[str, Any]) -> None:
    names = [operation_of(document, *one)["operationId"] for one in OPERATIONS]
    assert len(set(names)) == len(names)
    assert not [name for name in names if name.startswith("v1_")]


@pytest.mark.parametrize(("route", "method"), OPERATIONS, ids=str)
def test_it_has_an_example_that_fits(document: dict[str, Any], route: Route, method: str) -> None:
    operation = operation_of(document, route, method)
    bodies = [response for status, response in operation["responses"].items() if status.startswith("2")]
    if "requestBody" in operation:
        bodies.append(operation["requestBody"])
    for body in bodies:
        content = body["content"].get("application/json")
        if content is None:
            assert all(kind.startswith(("multipart/", "text/", "image/")) for kind in body["content"])  # files are their own example
            continue
        validator = jsonschema_rs.validator_for(schema_of(document, content["schema"]), validate_formats=True)
        assert list(validator.iter_errors(content["example"])) == []


@pytest.mark.parametrize(("route", "method"), OPERATIONS, ids=str)
def test_it_says_what_it_does_and_how_it_refuses(document: dict[str, Any], route: Route, method: str) -> None:
    operation = operation_of(document, route, method)
    assert operation["description"]
    if route.template.startswith("/v1"):
        assert {"429", "503"} <= set(operation["responses"])
        assert ("401" in operation["responses"]) == ("security" in operation or operation["operationId"] in ("login", "device_token"))


def test_every_refusal_is_shown_with_its_code(document: dict[str, Any]) -> None:
    shown = document["components"]["responses"]
    assert {"quota_exceeded", "rate_limited", "concurrency_limited"} == set(shown["429"]["content"]["application/json"]["examples"])
    with translation.override("en"):
        examples = shown["404"]["content"]["application/json"]["examples"]
        assert examples["model_not_found"]["value"] == ModelNotFound().body()


def test_the_page_shows_it(client: Client) -> None:
    assert b"swagger" in client.get("/docs").content.lower()
