"""What tests share: a cast of people, the real server, and a provider to script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connection
from django.test.utils import setup_databases, teardown_databases
from django.utils import timezone, translation

from accounts.models import User
from billing import shared
from billing.models import OutboxMail, Subscription, Tier, UsageDay, UsageEvent
from billing.revision import Snapshot
from llm import availability
from llm.breaker import breakers
from llm.models import Attachment, Conversation, IdempotentAnswer, LanguageModel, Provider, Status
from tests import canaries
from tests.canaries import PASSWORD
from tests.fakes.stripe import Simulator
from tests.fakes.upstream import FakeUpstream
from tests.server import LiveServer
from tests.shop import Shop
from tests.wired import STAND_IN, Wired

__all__ = ["PASSWORD"]
canaries.listen_to_answers()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What one kind of database alone can show is no test of the other's round: it is left out there, and not skipped."""
    others = [item for item in items if (only := item.get_closest_marker("only_on")) and only.args[0] != connection.vendor]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]


@pytest.fixture(autouse=True)
def fresh_process_state() -> Iterator[None]:
    """Nothing that one test left in memory or Redis is seen by the next."""
    from billing import db, rates, slots

    canaries.listen()
    db._away = float("-inf")
    rates._windows.clear()
    slots._places.clear()
    breakers.clear()
    availability.forget()
    Snapshot.forget()
    cache.clear()
    translation.deactivate()  # a request leaves its language to the thread
    if django_settings.REDIS_URL:
        for key in shared._client().scan_iter("triforce:*"):
            shared._client().delete(key)
    yield
    Snapshot.forget()
    found = canaries.heard.copy()
    canaries.heard.clear()
    assert not found, "P30: something secret was said"


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: Any) -> Iterator[None]:
    """The test database, for every test that asks: pytest-django's own makes it only where a collected test has its marker."""
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False, aliases={"default": False})
    yield
    with django_db_blocker.unblock():
        teardown_databases(made, verbosity=0)


@pytest.fixture(scope="session")
def live_server_process(django_db_setup: None, django_db_blocker: Any) -> Iterator[LiveServer]:
    with django_db_blocker.unblock(), LiveServer() as server:
        yield server


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The database as other threads and processes see it. Rows of people and usage are deleted after the test, seeds stay.

    What the server learnt of models meanwhile is unlearnt: it writes that down now and then.
    """
    with django_db_blocker.unblock():
        yield
        availability.forget()
        LanguageModel._base_manager.exclude(status=Status.UNKNOWN).update(status=Status.UNKNOWN, status_since=None, ttft_ms=None)
        Provider._base_manager.exclude(status=Status.UNKNOWN).update(status=Status.UNKNOWN)
        for model in (UsageEvent, UsageDay, IdempotentAnswer, OutboxMail, Conversation, Attachment, Subscription, User):
            model.objects.all().delete()


@pytest.fixture
def live(live_server_process: LiveServer, committed: None) -> LiveServer:
    """The real server on the test database."""
    return live_server_process


@pytest.fixture
def http(live: LiveServer) -> Iterator[httpx.Client]:
    """An HTTP client of the live server, a guest unless told otherwise."""
    with httpx.Client(base_url=live.url, timeout=30) as http:
        yield http


@pytest.fixture
def make_user() -> Callable[..., User]:
    """make_user("pro", email=…): an account with that tier, which signs in with PASSWORD."""

    def make(tier: str = "registered", email: str = "alice@example.org", **fields: Any) -> User:
        user = User.objects.create_user(email, PASSWORD, **fields)
        row = Tier.objects.get(slug=tier)
        if not row.is_default:
            since = timezone.now() - timedelta(seconds=1)  # SQLite's clock has milliseconds, ours has more
            Subscription.objects.create(user=user, tier=row, starts_at=since)
        return user

    return make


@pytest.fixture
def bearer() -> Callable[[User], dict[str, str]]:
    """bearer(user): the header of a fresh login token."""
    from accounts.tokens import issue_token

    return lambda user: {"Authorization": f"Bearer {issue_token(user)[0]}"}


@pytest.fixture(scope="session")
def upstream_process() -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def upstream(upstream_process: FakeUpstream, settings: Any) -> FakeUpstream:
    """A provider to script, in Ollama's place."""
    upstream_process.reset()
    settings.PROVIDER_URLS = {**settings.PROVIDER_URLS, "ollama": upstream_process.url}
    return upstream_process


@pytest.fixture
def keyed_openai(upstream: FakeUpstream, settings: Any, live: LiveServer) -> Iterator[str]:
    """The id of a cloud model that OpenAI, played by the fake, answers for."""
    settings.PROVIDER_URLS = {**settings.PROVIDER_URLS, "openai": f"{upstream.url}/v1"}
    settings.PROVIDER_KEYS = {**settings.PROVIDER_KEYS, "openai": "sk-test-openai"}
    model = LanguageModel.objects.create(
        provider=Provider.objects.get(slug="openai"),
        native_id="gpt-test",
        model_id="openai/gpt-test",
        min_tier=Tier.objects.get(slug="pro"),
        capabilities=["chat"],
        fallback=["ollama/gpt-oss:120b-cloud"],
    )
    yield model.model_id
    model.delete()


@pytest.fixture
def quick_first_byte(live: LiveServer) -> Iterator[None]:
    """Ollama is given one second for its first byte."""
    Provider.objects.filter(slug="ollama").update(first_byte_seconds=1)
    yield
    Provider.objects.filter(slug="ollama").update(first_byte_seconds=60)


@pytest.fixture(params=["ollama", "openai", "anthropic"])
def wired(request: pytest.FixtureRequest, upstream: FakeUpstream, settings: Any, live: LiveServer) -> Iterator[Wired]:
    """A model for guests on each wire in turn, whose only fallback is tests.wired.STAND_IN. The fake answers for both."""
    slug = request.param
    openai = f"{upstream.url}/v1"
    settings.PROVIDER_URLS = {**settings.PROVIDER_URLS, "openai": openai, "groq": openai, "anthropic": upstream.url}
    settings.PROVIDER_KEYS = {**settings.PROVIDER_KEYS, "openai": "sk-test-openai", "groq": "gsk-test", "anthropic": "sk-ant-test"}
    guest = Tier.objects.get(slug="guest")
    rows = [
        LanguageModel.objects.create(
            provider=Provider.objects.get(slug=model_id.partition("/")[0]),
            native_id=model_id.partition("/")[2],
            model_id=model_id,
            min_tier=guest,
            capabilities=["chat"],
            fallback=fallback,
        )
        for model_id, fallback in ((f"{slug}/faulty", [STAND_IN]), (STAND_IN, []))
    ]
    yield Wired(slug, rows[0].model_id)
    for row in rows:
        row.delete()


@pytest.fixture
def fake_stripe(tmp_path: Path) -> Iterator[Simulator]:
    """The payment simulator, new, without an endpoint to send events to."""
    with Simulator(tmp_path) as fake:
        yield fake


@pytest.fixture
def shop(fake_stripe: Simulator) -> Shop:
    """The SDK's client of that simulator, and what is sold there."""
    return Shop(fake_stripe)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow at once, where the provider names no time."""
    monkeypatch.setattr("llm.dispatch.random", SimpleNamespace(uniform=lambda low, high: 0.01))
