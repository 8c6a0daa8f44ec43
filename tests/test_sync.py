"""Bringing the catalogue up to what providers list."""

from __future__ import annotations

import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.management import call_command
from django.utils import translation

from billing.models import Tier
from billing.tiers import get_tier, guest_tier
from llm.catalogue import models_for
from llm.models import LanguageModel, Provider
from llm.providers import transport
from llm.providers.base import ListedModel
from llm.snapshot import load_snapshot
from llm.sync import Report, apply, sync, sync_all

pytestmark = pytest.mark.django_db


class Lists(BaseHTTPRequestHandler):
    """Answers a GET with the server's `lists[path]`: JSON, or a status."""

    def do_GET(self) -> None:
        found = self.server.lists.get(self.path.partition("?")[0], 404)  # type: ignore[attr-defined]
        body = json.dumps({} if isinstance(found, int) else found).encode()
        self.send_response(found if isinstance(found, int) else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def upstream(settings: Any) -> Iterator[dict[str, Any]]:
    """What the providers list, by path; OpenAI and Ollama are set up to ask here."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lists)
    server.lists = {}  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    settings.PROVIDER_KEYS = {"openai": "sk-1"}
    settings.PROVIDER_URLS = {"openai": f"{url}/v1", "ollama": url}
    settings.LOCAL_MODEL = "off"
    yield server.lists  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture(autouse=True)
def one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Database work in the test's own thread, inside its transaction."""

    def here(function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        return sync_to_async(function, thread_sensitive=True)(*args)

    monkeypatch.setattr("llm.sync.in_database", here)


@pytest.fixture
def openai() -> Provider:
    return Provider.objects.get(slug="openai")


def run(function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    async def closed() -> Any:
        try:
            return await function(*args)
        finally:
            await transport.close()

    return async_to_sync(closed)()


def listed(*names: str) -> list[ListedModel]:
    return [ListedModel(native_id=name) for name in names]


def model(model_id: str) -> LanguageModel:
    return LanguageModel.objects.get(model_id=model_id)


def test_new_models_come_in_with_what_the_provider_says(upstream, openai):
    upstream["/v1/models"] = {"data": [{"id": "gpt-9", "context_length": 9000}, {"id": "text-embedding-9"}]}
    report = run(sync, openai)
    assert report == Report("openai", listed=2, added=2)
    assert (model("openai/gpt-9").context_window, model("openai/gpt-9").source) == (9000, "live")
    assert model("openai/text-embedding-9").capabilities == ["embedding"]
    assert model("openai/gpt-9").min_tier.slug == "pro"
    assert "openai/gpt-9" in [entry.model_id for entry in models_for(get_tier("pro"))]


def test_what_vanished_is_marked_and_comes_back(openai):
    apply(openai, listed("a", "b", "c"))
    assert apply(openai, listed("a", "b")).missing == 1
    assert model("openai/c").missing_since is not None
    assert apply(openai, listed("a", "b")).missing == 0
    assert apply(openai, listed("a", "b", "c")).returned == 1
    assert model("openai/c").missing_since is None


def test_a_first_live_list_replaces_what_the_snapshot_guessed(openai):
    load_snapshot()
    report = apply(openai, listed("gpt-4o", "gpt-9"))
    assert report.problem == "" and report.added == 1 and report.missing > 50
    assert model("openai/gpt-4o").source == "live" and model("openai/gpt-4o").context_window == 128_000
    assert [entry.model_id for entry in models_for(get_tier("pro"), provider="openai")] == []  # no key: not set up


@pytest.mark.parametrize("names", [[], ["a"]])
def test_a_list_that_shrinks_suspiciously_marks_nothing_and_says_so(openai, names):
    apply(openai, listed("a", "b", "c"))
    with translation.override("en"):
        report = apply(openai, listed(*names))
    assert report.missing == 0 and "before 3" in report.problem
    assert not LanguageModel.objects.filter(provider=openai).exclude(missing_since=None).exists()


def test_an_operators_columns_stay(openai):
    apply(openai, listed("a"))
    enterprise = Tier.objects.get(slug="enterprise")
    LanguageModel.objects.filter(model_id="openai/a").update(
        min_tier=enterprise, enabled=False, position=3, listed=False, fallback=["openai/b"]
    )
    apply(openai, [ListedModel("a", name="A", context_window=7, max_output=3, capabilities=("chat", "vision"))])
    row = model("openai/a")
    assert (row.min_tier, row.enabled, row.position, row.listed, row.fallback) == (enterprise, False, 3, False, ["openai/b"])
    assert (row.name, row.context_window, row.max_output, row.capabilities) == ("A", 7, 3, ["chat", "vision"])


def test_the_twenty_stay_whatever_ollama_has_pulled(upstream):
    upstream["/api/tags"] = {"models": [{"name": "llama3:latest", "model": "llama3:latest"}]}
    report = run(sync, Provider.objects.get(slug="ollama"))
    assert (report.added, report.missing) == (1, 0)
    assert len(models_for(guest_tier())) == 20
    assert model("ollama/llama3:latest").min_tier.slug == "pro"


@pytest.mark.parametrize("answer", [500, 401, 404, {"data": "none"}, []])
def test_a_failing_provider_leaves_its_models_as_they_were(upstream, openai, answer):
    apply(openai, listed("a", "b"))
    upstream["/v1/models"] = answer
    report = run(sync, openai)
    assert report.problem and report.missing == 0
    assert not LanguageModel.objects.filter(provider=openai).exclude(missing_since=None).exists()


def test_a_failure_stays_with_its_provider(upstream):
    upstream["/v1/models"] = {"data": [{"id": "gpt-9"}]}
    reports = {report.provider: report for report in run(sync_all)}
    assert set(reports) == {"ollama", "openai"}
    assert reports["ollama"].problem and reports["openai"].added == 1


def test_the_same_list_twice_changes_nothing(openai):
    apply(openai, listed("a", "b"))
    assert apply(openai, listed("a", "b")) == Report("openai", listed=2)


def test_the_command_prints_a_table_and_what_is_not_set_up(upstream):
    upstream["/v1/models"] = {"data": [{"id": "gpt-9"}]}
    out = StringIO()
    call_command("sync_catalogue", stdout=out)
    lines = out.getvalue().splitlines()
    assert lines[0].split() == ["provider", "listed", "added", "changed", "missing", "returned", "problem"]
    assert any(line.split()[:3] == ["openai", "1", "1"] for line in lines)
    assert "anthropic" in lines[-1] and "openai" not in lines[-1]
    assert "sk-1" not in out.getvalue()
