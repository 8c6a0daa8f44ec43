"""/health is from memory; /readyz looks at what we stand on and says what fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test import Client

from triforce import drain, views
from triforce.asgi import LEAN_PATHS


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(views, "_migrated", False)
    yield
    drain.reset()


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_it_is_alive_without_a_database(client: Client, path: str) -> None:
    answer = client.get(path)  # without the mark for it, pytest forbids the database
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "status": "ok"})
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405


def test_it_costs_no_thread_and_no_middleware() -> None:
    """Desktop clients ask every five seconds, each of them: it stands behind the lean handler."""
    assert {"/health", "/healthz"} <= LEAN_PATHS


@pytest.mark.django_db
def test_it_is_ready(client: Client) -> None:
    answer = client.get("/readyz")
    checks = {"database": "ok", "migrations": "ok", "cache": "ok", "serving": "ok"}
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "status": "ok", "checks": checks})


def failing(client: Client) -> list[str]:
    answer = client.get("/readyz")
    body = answer.json()
    assert (answer.status_code, answer["Retry-After"], body["ok"]) == (503, "5", False)
    assert body["error"]["code"] == "service_unavailable"
    return [name for name, state in body["checks"].items() if state != "ok"]


@pytest.mark.django_db
def test_p15_it_is_not_ready_without_its_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "cursor", Mock(side_effect=OperationalError("away")))
    monkeypatch.setattr(views, "MigrationExecutor", Mock(side_effect=OperationalError("away")))
    assert failing(client) == ["database", "migrations"]


@pytest.mark.django_db
def test_p18_it_is_not_ready_with_migrations_to_apply(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Mock()
    executor.return_value.migration_plan.return_value = [("billing", "0009")]
    monkeypatch.setattr(views, "MigrationExecutor", executor)
    assert failing(client) == ["migrations"]
    executor.return_value.migration_plan.return_value = []
    for _ in range(3):
        assert client.get("/readyz").status_code == 200
    assert executor.call_count == 2  # remembered once it is true


@pytest.mark.django_db
def test_p16_it_is_not_ready_without_its_cache(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "get", lambda *_: None)  # a Redis that is away answers so
    assert failing(client) == ["cache"]


@pytest.mark.django_db
def test_p18_it_is_not_ready_while_it_drains(client: Client) -> None:
    drain.begin()
    assert failing(client) == ["serving"]
    assert client.get("/health").status_code == 200


@pytest.mark.django_db
def test_it_gives_away_no_address(client: Client, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr(connection, "cursor", Mock(side_effect=OperationalError("postgresql://u:canary@db")))
    assert "canary" not in client.get("/readyz").text + caplog.text


def test_draining_counts_down_and_wakes_who_waits() -> None:
    assert (drain.is_draining(), drain.seconds_left()) == (False, float("inf"))
    drain.begin(30)
    drain.begin(60)  # the first one holds
    assert drain.is_draining() and 29 < drain.seconds_left() <= 30
