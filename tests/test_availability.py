"""What is learnt from live answers, what the background look adds, and what callers are told of both."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.test import Client
from django.utils import timezone

from billing import clock
from billing.models import Revision
from llm import availability, checks, views_status
from llm.checks import Look, judged, status_of
from llm.models import LanguageModel, Provider, Status
from llm.providers.base import ListedModel
from llm.providers.errors import UpstreamError
from triforce import lifespan

pytestmark = pytest.mark.django_db
MODEL = "ollama/deepseek-v3.1:671b-cloud"
OTHER = "ollama/kimi-k2:1t-cloud"


@pytest.fixture(autouse=True)
def unlearnt(settings):
    settings.PROVIDER_KEYS = dict.fromkeys(settings.PROVIDER_KEYS, "")
    settings.PROVIDER_URLS = dict.fromkeys(settings.PROVIDER_URLS, "")
    availability.forget()
    views_status.forget_states()
    yield
    availability.forget()


@pytest.fixture
def listed(monkeypatch):
    """What each provider lists, or the error it gives, by slug; others cannot be reached. Counts the looks."""
    shown: dict[str, list[str] | UpstreamError] = {}

    async def listing(provider):
        looks.append(provider.slug)
        answer = shown.get(provider.slug, UpstreamError("connect"))
        if isinstance(answer, UpstreamError):
            raise answer
        return [ListedModel(native_id) for native_id in answer]

    looks: list[str] = []
    monkeypatch.setattr(checks, "listing", listing)
    shown["looks"] = looks
    return shown


class Tags(BaseHTTPRequestHandler):
    """An Ollama that only lists."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = json.dumps({"models": [{"name": "deepseek-v3.1:671b-cloud", "model": "deepseek-v3.1:671b-cloud"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args) -> None:
        """Not on the screen."""


@pytest.fixture
def tags():
    with ThreadingHTTPServer(("127.0.0.1", 0), Tags) as server:
        server.asked, server.url = [], f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def row(model_id: str = MODEL) -> LanguageModel:
    return LanguageModel.objects.get(model_id=model_id)


def provider(slug: str = "ollama") -> Provider:
    return Provider.objects.get(slug=slug)


def fails(code: str, times: int = 1, model_id: str = MODEL) -> None:
    for _ in range(times):
        availability.record(model_id, "ollama", False, None, code)


def answers(ttft_ms: int = 100, model_id: str = MODEL) -> None:
    availability.record(model_id, "ollama", True, ttft_ms, "")


class TestLearning:
    def test_recording_asks_no_database(self, django_assert_num_queries):
        with django_assert_num_queries(0):
            answers()
            fails("upstream_error")

    def test_an_answer_makes_a_model_and_its_provider_healthy(self):
        answers(ttft_ms=420)
        assert availability.flush() == 2
        assert (row().status, row().ttft_ms, provider().status) == (Status.HEALTHY, 420, Status.HEALTHY)
        assert timezone.now() - row().status_since < timedelta(minutes=1)

    @pytest.mark.parametrize(
        ("code", "times", "status"),
        [
            ("upstream_error", 1, Status.DEGRADED),
            ("upstream_error", 3, Status.OFFLINE),
            ("timeout", 3, Status.OFFLINE),
            ("rate_limited", 9, Status.DEGRADED),
            ("not_found", 1, Status.OFFLINE),
            ("unauthorized", 1, Status.OFFLINE),
        ],
    )
    def test_failures_count(self, code, times, status):
        fails(code, times)
        availability.flush()
        assert row().status == status
        assert provider().status == Status.UNKNOWN  # somebody answered, or one model was slow

    @pytest.mark.parametrize("code", ["cancelled", "breaker_open", "queue_full", "no_room", "context_length", "content_filter"])
    def test_what_says_nothing_about_a_model_is_not_counted(self, code):
        fails(code, 9)
        assert availability.flush() == 0

    def test_a_provider_that_nobody_reaches_is_offline(self):
        fails("connect", 3)
        availability.flush()
        assert provider().status == Status.OFFLINE

    def test_one_more_failure_makes_nothing_better(self, listed):
        checks.check_all()
        fails("connect")
        assert availability.flush() == 0
        assert (row().status, provider().status) == (Status.OFFLINE, Status.OFFLINE)

    def test_one_answer_forgives_the_failures_before_it(self):
        fails("upstream_error", 2)
        answers()
        fails("upstream_error", 2)
        availability.flush()
        assert row().status == Status.DEGRADED

    def test_it_writes_only_what_changed(self, django_assert_num_queries):
        answers(ttft_ms=100)
        availability.flush()
        since = row().status_since
        answers(ttft_ms=105)
        with django_assert_num_queries(2):  # one look at the models, one at the providers
            assert availability.flush() == 0
        with django_assert_num_queries(0):
            assert availability.flush() == 0
        assert row().status_since == since

    def test_the_time_to_the_first_token_is_smoothed(self):
        answers(ttft_ms=100)
        answers(ttft_ms=1100)
        availability.flush()
        assert row().ttft_ms == 400

    def test_it_leaves_the_catalogues_revision_alone(self, listed):
        before = list(Revision.objects.values())
        listed["ollama"] = [row().native_id]
        answers()
        availability.flush()
        checks.check_all(force=True)
        assert list(Revision.objects.values()) == before

    def test_what_could_not_be_written_is_written_next_time(self, monkeypatch):
        answers()
        with monkeypatch.context() as broken:
            broken.setattr(availability, "_write_models", lambda seen: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                availability.flush()
        assert availability.flush() == 2


class TestLooking:
    def test_a_listed_model_is_healthy_and_its_neighbour_unknown(self, listed):
        listed["ollama"] = [row().native_id]
        checks.check_all()
        assert (provider().status, row().status, row(OTHER).status) == (Status.HEALTHY, Status.HEALTHY, Status.UNKNOWN)
        assert timezone.now() - provider().checked_at < timedelta(minutes=1)

    def test_an_offline_provider_takes_its_models_along_and_brings_them_back(self, listed):
        checks.check_all()
        assert (provider().status, row().status) == (Status.OFFLINE, Status.OFFLINE)
        listed["ollama"] = [row().native_id]
        checks.check_all(force=True)
        assert (provider().status, row().status, row(OTHER).status) == (Status.HEALTHY, Status.HEALTHY, Status.UNKNOWN)

    def test_a_provider_without_a_key_is_not_asked(self, listed):
        checks.check_all()
        assert provider("openai").status == Status.NO_API_KEY
        assert listed["looks"] == ["ollama"]

    def test_a_provider_with_a_key_is(self, listed, settings):
        settings.PROVIDER_KEYS = {**settings.PROVIDER_KEYS, "mistral": "key"}
        listed["mistral"] = []
        checks.check_all()
        assert provider("mistral").status == Status.HEALTHY

    def test_a_new_key_is_tried_at_once(self, listed, settings):
        checks.check_all()
        settings.PROVIDER_KEYS = {**settings.PROVIDER_KEYS, "mistral": "key"}
        listed["mistral"] = []
        assert checks.check_all() == 1
        assert provider("mistral").status == Status.HEALTHY

    def test_a_disabled_provider_is_left_alone(self, listed):
        Provider.objects.filter(slug="ollama").update(enabled=False)
        checks.check_all(force=True)
        assert provider().checked_at is None and listed["looks"] == []

    def test_only_one_process_looks(self, listed):
        assert checks.check_all() == Provider.objects.count()
        assert checks.check_all() == 0

    def test_it_looks_again_when_it_is_due(self, listed, settings):
        checks.check_all()
        long_ago = timezone.now() - timedelta(seconds=settings.AVAILABILITY_SECONDS)
        Provider.objects.filter(slug="ollama").update(checked_at=long_ago)
        assert checks.check_all() == 1

    def test_a_provider_that_does_not_answer_in_time_is_offline(self, monkeypatch):
        async def never(provider):
            await checks.asyncio.Event().wait()

        monkeypatch.setattr(checks, "listing", never)
        monkeypatch.setattr(checks, "PROBE_SECONDS", 0.01)
        checks.check_all()
        assert provider().status == Status.OFFLINE

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (UpstreamError("connect"), Status.OFFLINE),
            (UpstreamError("unauthorized", status=401), Status.OFFLINE),
            (UpstreamError("upstream_error", status=500), Status.DEGRADED),
            (UpstreamError("rate_limited", status=429), Status.DEGRADED),
            (UpstreamError("not_found", status=404), Status.UNKNOWN),
            (UpstreamError("invalid_answer", status=200), Status.DEGRADED),
        ],
    )
    def test_what_a_failed_list_says(self, error, status):
        assert status_of(error) == status

    def test_it_finds_a_real_ollama_by_itself(self, settings, tags):
        settings.PROVIDER_URLS = {**settings.PROVIDER_URLS, "ollama": tags.url}
        checks.check_all()
        assert (provider().status, row().status) == (Status.HEALTHY, Status.HEALTHY)
        assert tags.asked == ["/api/tags"]

    def test_it_looks_from_async_code_too(self, listed, monkeypatch):
        async def here(function, *args):
            return await sync_to_async(function)(*args)

        monkeypatch.setattr(checks, "in_database", here)  # back in this thread, which has the test's transaction
        listed["ollama"] = []
        assert async_to_sync(checks.check_all_async)() > 0
        assert provider().status == Status.HEALTHY

    @pytest.mark.parametrize(("switch", "status"), [("auto", Status.HEALTHY), ("off", Status.OFFLINE)])
    def test_the_built_in_model_needs_no_look(self, listed, settings, switch, status):
        settings.LOCAL_MODEL = switch
        checks.check_all()
        assert (provider("local").status, row("local/smollm2:135m").status) == (status, status)


NOW = timezone.now()
HEALTHY_LIST = Look(Status.HEALTHY, frozenset({"listed", "tagged:latest"}))


@pytest.mark.parametrize(
    ("native_id", "status", "minutes", "ttft_ms", "look", "provider_was", "expected"),
    [
        ("listed", Status.UNKNOWN, 0, None, HEALTHY_LIST, Status.UNKNOWN, Status.HEALTHY),
        ("tagged", Status.UNKNOWN, 0, None, HEALTHY_LIST, Status.UNKNOWN, Status.HEALTHY),
        ("listed", Status.OFFLINE, 1, None, HEALTHY_LIST, Status.HEALTHY, Status.OFFLINE),  # it failed a minute ago
        ("listed", Status.OFFLINE, 6, None, HEALTHY_LIST, Status.HEALTHY, Status.HEALTHY),  # time for another try
        ("listed", Status.OFFLINE, 1, None, HEALTHY_LIST, Status.OFFLINE, Status.HEALTHY),  # its provider had been away
        ("listed", Status.NO_API_KEY, 1, None, HEALTHY_LIST, Status.NO_API_KEY, Status.HEALTHY),
        ("absent", Status.UNKNOWN, 9, None, HEALTHY_LIST, Status.HEALTHY, Status.UNKNOWN),
        ("absent", Status.HEALTHY, 9, None, HEALTHY_LIST, Status.HEALTHY, Status.UNKNOWN),  # it was listed and is no more
        ("absent", Status.HEALTHY, 9, 120, HEALTHY_LIST, Status.HEALTHY, Status.HEALTHY),  # it answers all the same
        ("listed", Status.HEALTHY, 9, 120, Look(Status.OFFLINE), Status.HEALTHY, Status.OFFLINE),
        ("listed", Status.HEALTHY, 9, 120, Look(Status.DEGRADED), Status.HEALTHY, Status.HEALTHY),
        ("listed", Status.OFFLINE, 9, None, Look(Status.DEGRADED), Status.OFFLINE, Status.UNKNOWN),
        ("listed", Status.OFFLINE, 9, None, Look(Status.DEGRADED), Status.HEALTHY, Status.OFFLINE),
    ],
)
def test_what_a_look_means_for_a_model(native_id, status, minutes, ttft_ms, look, provider_was, expected):
    since = NOW - timedelta(minutes=minutes)
    model = LanguageModel(provider=Provider(slug="ollama"), native_id=native_id, status=status, status_since=since, ttft_ms=ttft_ms)
    assert judged(model, look, provider_was, NOW) == expected


class TestTelling:
    def test_a_guest_sees_the_guests_models(self, client: Client):
        answer = client.get("/v1/client/models/availability").json()
        assert set(answer) == {"checked_at", "excluded_models", "excluded_count", "providers", "models"}
        assert len(answer["models"]) >= 21 and MODEL in answer["models"]
        assert not [name for name in answer["models"] if not name.startswith(("ollama/", "local/"))]
        assert answer["models"][MODEL] == {"status": "unknown", "since": None, "ttft_ms": None}
        assert answer["providers"]["openai"] == {"provider": "openai", "api_key_set": False, "checked_at": None, "status": "unknown"}
        assert answer["checked_at"] is None

    def test_it_names_what_cannot_answer(self, client, listed):
        listed["ollama"] = [row().native_id]
        fails("not_found", model_id=OTHER)
        checks.check_all()
        availability.flush()
        LanguageModel.objects.filter(native_id="glm-4.6:cloud").update(missing_since=timezone.now())
        answer = client.get("/v1/client/models/availability/").json()
        assert {OTHER, "ollama/glm-4.6:cloud"} <= set(answer["excluded_models"])
        assert MODEL not in answer["excluded_models"] and answer["excluded_count"] == len(answer["excluded_models"])
        assert answer["providers"]["ollama"]["status"] == "healthy"
        assert answer["checked_at"] == answer["providers"]["ollama"]["checked_at"] == clock.stamp(provider().checked_at)

    def test_it_looks_at_nobody(self, client, listed):
        client.get("/v1/client/models/availability")
        client.get("/v1/client/ollama/status")
        assert listed["looks"] == []

    def test_ollama_is_offline_where_there_is_none(self, client, listed):
        checks.check_all()
        answer = client.get("/v1/client/ollama/status")
        assert answer.status_code == 200
        assert answer.json() == {"status": "offline", "url": "Ollama", "models_loaded": 0, "models": []}

    def test_ollama_is_online_with_its_models(self, client, listed):
        listed["ollama"] = [model.native_id for model in LanguageModel.objects.filter(provider__slug="ollama")]
        checks.check_all()
        answer = client.get("/v1/client/ollama/status").json()
        assert (answer["status"], answer["models_loaded"], len(answer["models"])) == ("online", 21, 20)
        assert answer["models"][0] == "deepseek-v3.1:671b-cloud"


async def test_what_cannot_be_written_down_once_is_the_next_time(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    tries, twice = [], asyncio.Event()

    async def fails(work: object) -> None:
        tries.append(work)
        if len(tries) > 1:
            twice.set()
        raise ValueError("what nobody thought of")

    monkeypatch.setattr(lifespan, "FLUSH_SECONDS", 0)
    monkeypatch.setattr(lifespan, "in_database", fails)
    flushing = asyncio.create_task(lifespan._flush_availability())
    await asyncio.wait_for(twice.wait(), 5)
    flushing.cancel()
    assert "could not be written down" in caplog.text
