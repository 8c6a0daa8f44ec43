"""The installable portal: manifest, icons, and a worker that keeps a page for a dead line and nothing of anybody's."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import Client

from accounts.models import User
from triforce.pages_app import NEEDED

db = pytest.mark.django_db


def kept(client: Client) -> list[str]:
    script = client.get("/service-worker.js").content.decode()
    found = re.search(r"^const KEPT = (\[.*\]);$", script, re.MULTILINE)
    assert found
    paths: list[str] = json.loads(found[1])
    return paths


def version(client: Client) -> str:
    found = re.search(r'"offline-(\w+)"', client.get("/service-worker.js").content.decode())
    assert found
    return found[1]


@db
def test_the_manifest_names_icons_that_are_there_in_the_size_it_says() -> None:
    response = Client(headers={"accept-language": "en"}).get("/manifest.webmanifest")
    assert response.headers["Content-Type"] == "application/manifest+json"
    body = response.json()
    assert (body["start_url"], body["display"], body["lang"]) == ("/chat", "standalone", "en")
    assert {icon["purpose"] for icon in body["icons"]} == {"any", "maskable"}
    for icon in body["icons"]:
        file = finders.find(icon["src"].removeprefix(settings.STATIC_URL))
        assert isinstance(file, str), icon
        side = struct.unpack(">II", Path(file).read_bytes()[16:24])
        assert f"{side[0]}x{side[1]}" == icon["sizes"]
    assert Client(headers={"accept-language": "de"}).get("/manifest.webmanifest").json()["lang"] == "de"


@db
def test_the_worker_keeps_one_page_and_its_files_alone() -> None:
    page, *files = kept(Client())
    assert page == "/offline"
    assert files == [f"{settings.STATIC_URL}{name}" for name in NEEDED]
    used = set(re.findall(r'(?:href|src)="(/[^"]+)"', Client().get("/offline").content.decode()))
    assert used == set(files)


@db
def test_the_worker_changes_with_the_language_and_the_look() -> None:
    german, english = (Client(headers={"accept-language": language}) for language in ("de", "en"))
    assert version(german) != version(english)
    before = version(german)
    german.post("/appearance", {"theme": "dark"})
    assert version(german) != before
    assert "no-store" in german.get("/service-worker.js").headers["Cache-Control"]


@db
def test_the_page_that_is_kept_says_nothing_of_who_looks_at_it(make_user: Callable[..., User]) -> None:
    user = make_user()
    client = Client()
    client.force_login(user)
    assert client.get("/offline").content == Client().get("/offline").content
    assert not client.get("/offline").cookies


@db
def test_every_page_has_the_manifest_and_the_policy_for_a_worker() -> None:
    response = Client().get("/")
    assert '<link rel="manifest" href="/manifest.webmanifest"' in response.content.decode()
    assert "worker-src 'self'" in response.headers["Content-Security-Policy"]
