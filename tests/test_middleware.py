"""Both spellings of every path, and the language of what is said."""

from __future__ import annotations

import pytest
from django.test import AsyncClient, Client

from triforce.middleware import api_language


@pytest.mark.parametrize("path", ["/health", "/health/", "/healthz", "/healthz/", "/docs", "/docs/", "/openapi.json", "/openapi.json/"])
def test_it_takes_both_spellings_without_a_redirect(client: Client, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/accounts/login", "/accounts/login/"])
def test_pages_too(client: Client, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/admin", "/admin/"])
def test_the_admin_asks_to_sign_in(client: Client, path: str) -> None:
    assert client.get(path).status_code == 302


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("*", "en"),
        ("fr-FR,fr;q=0.9", "en"),
        ("de-DE,de;q=0.9,en;q=0.8", "de"),
        ("en-US,en;q=0.9,de;q=0.8", "en"),
        ("fr, de;q=0.5, en;q=0.4", "de"),
        ("de;q=0", "en"),
        ("DE-at", "de"),
        ("de;q=nonsense, \x00", "en"),
    ],
)
def test_the_api_speaks_english_unless_german_is_preferred(accept: str, language: str) -> None:
    assert api_language(accept) == language


@pytest.mark.django_db
@pytest.mark.parametrize(("accept", "language"), [("", "de"), ("fr", "de"), ("en-US,en;q=0.9", "en"), ("de,en;q=0.5", "de")])
def test_pages_are_german_first(client: Client, accept: str, language: str) -> None:
    answer = client.get("/accounts/login/", headers={"Accept-Language": accept})
    assert answer["Content-Language"] == language
    assert "Accept-Language" in answer["Vary"]


async def test_it_runs_without_a_thread_under_asgi(async_client: AsyncClient) -> None:
    answer = await async_client.get("/health/", headers={"Accept-Language": "de"})
    assert (answer.status_code, answer["Content-Language"]) == (200, "de")
    assert (await async_client.get("/v1/nothing")).json()["error"]["code"] == "not_found"
