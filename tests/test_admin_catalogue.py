"""Providers and models in the admin: checked now, synced after a look at what would change, stand-ins and aliases that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core import signing
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing.models import Tier
from billing.tiers import guest_tier
from llm import sync_preview
from llm.catalogue import find
from llm.models import LanguageModel, Provider, Status
from llm.providers import PROVIDERS
from llm.providers.base import ListedModel
from llm.providers.endpoints import endpoint
from llm.providers.errors import UpstreamError
from llm.providers.quirks import SHAPES, faults
from tests.fakes.upstream import FakeUpstream
from tests.staff import staff_client

pytestmark = pytest.mark.django_db
OSS = "ollama/gpt-oss:20b-cloud"


@pytest.fixture
def openai(settings: Any) -> Provider:
    settings.PROVIDER_KEYS = {**settings.PROVIDER_KEYS, "openai": "sk-test"}
    provider = Provider.objects.get(slug="openai")
    LanguageModel.objects.filter(provider=provider).delete()
    for name, source, missing in (
        ("old", "live", None),
        ("kept", "live", None),
        ("kept-2", "live", None),
        ("back", "live", timezone.now()),
    ):
        LanguageModel.objects.create(provider=provider, native_id=name, model_id=f"openai/{name}", min_tier=guest_tier(), source=source,
                                     missing_since=missing, capabilities=["chat"])  # fmt: skip
    return provider


LISTED = [
    ListedModel("kept", context_window=128_000),
    ListedModel("kept-2"),
    ListedModel("back"),
    ListedModel("new", capabilities=("chat",)),
]


def rows(provider: Provider) -> list[Any]:
    return list(LanguageModel.objects.filter(provider=provider).order_by("pk").values())


def test_the_difference_is_what_applying_does_and_changes_nothing(openai: Provider) -> None:
    before = rows(openai)
    found = sync_preview.difference(openai, LISTED)
    assert (found.added, found.missing, found.returned) == (("openai/new",), ("openai/old",), ("openai/back",))
    assert [(one.model_id, one.column, one.before, one.after) for one in found.changed] == [
        ("openai/kept", "context_window", None, 128_000)
    ]
    assert rows(openai) == before


def test_what_was_looked_at_is_what_is_applied(openai: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm.admin.ask", lambda provider: LISTED)
    client, url = staff_client("operator"), reverse("admin:llm_provider_sync", args=[openai.pk])
    page = client.post(url)
    assert page.status_code == 200 and not LanguageModel.objects.filter(model_id="openai/new").exists()
    monkeypatch.setattr("llm.admin.ask", lambda provider: pytest.fail("asked again"))
    assert client.post(url, {"seal": page.context["seal"]}).status_code == 302
    assert LanguageModel.objects.get(model_id="openai/new").source == "live"
    assert LanguageModel.objects.get(model_id="openai/old").missing_since
    assert '"added": [null, "1"]' in LogEntry.objects.get().change_message


@pytest.mark.parametrize("seal", ["", "nonsense", "other provider"])
def test_a_list_that_is_not_ours_changes_nothing(openai: Provider, seal: str) -> None:
    if seal == "other provider":
        seal = sync_preview.sealed(Provider.objects.get(slug="groq"), LISTED)
    before = rows(openai)
    staff_client("operator").post(reverse("admin:llm_provider_sync", args=[openai.pk]), {"seal": seal})
    assert rows(openai) == before


def test_an_old_list_is_asked_for_anew(openai: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    seal = sync_preview.sealed(openai, LISTED)
    assert sync_preview.opened(openai, seal) == LISTED
    monkeypatch.setattr(sync_preview, "HOUR", -1)
    with pytest.raises(signing.SignatureExpired):
        sync_preview.opened(openai, seal)


def test_a_provider_that_gives_no_list_is_said_so(openai: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(provider: Provider) -> Any:
        raise UpstreamError("unauthorized", "no", status=401)

    monkeypatch.setattr("llm.admin.ask", fails)
    answer = staff_client("operator").post(reverse("admin:llm_provider_sync", args=[openai.pk]), follow=True)
    assert "unauthorized" in str(next(iter(answer.context["messages"])))


def test_it_asks_the_provider_itself(upstream: FakeUpstream) -> None:
    upstream.models = ["gpt-oss:20b-cloud"]
    assert [model.native_id for model in sync_preview.ask(Provider.objects.get(slug="ollama"))] == ["gpt-oss:20b-cloud"]


def test_a_key_goes_where_the_environment_or_our_table_says(settings: Any) -> None:
    settings.PROVIDER_KEYS = {"openai": "sk-canary", "ollama": "sk-canary"}
    settings.PROVIDER_URLS = {}

    def sent(slug: str, base_url: str | None = None) -> bool:
        provider = Provider.objects.get(slug=slug)
        place = endpoint(Provider(slug=slug, base_url=provider.base_url if base_url is None else base_url), provider.wire)
        assert (place.key != "") == ("sk-canary" in str(place.headers))
        return place.key == "sk-canary"

    assert sent("openai") and sent("openai", "") and sent("openai", "https://api.openai.com/v1/")
    assert sent("ollama")  # the keyed address
    for elsewhere in (
        "https://evil.example",
        "https://api.openai.com.evil.example/v1",
        "http://api.openai.com/v1",
        "https://api.groq.com/openai/v1",
    ):
        assert not sent("openai", elsewhere)
    settings.PROVIDER_URLS = {"openai": "https://proxy.example/v1/"}
    assert sent("openai") and sent("openai", "https://evil.example")  # which the environment's address hides


@pytest.mark.parametrize("role", ["operator", ""])
def test_where_a_provider_of_ours_is_reached_is_the_environments(role: str) -> None:
    provider, client = Provider.objects.get(slug="groq"), staff_client(role)
    form = {"name": "Groq", "wire": "anthropic", "base_url": "https://evil.example", "usage_class": "cloud",
            "enabled": "on", "position": "1", "concurrency": "0", "first_byte_seconds": "9", "quirks": "{}"}  # fmt: skip
    assert client.post(reverse("admin:llm_provider_change", args=[provider.pk]), form).status_code == 302
    after = Provider.objects.get(pk=provider.pk)
    assert (after.base_url, after.wire, after.first_byte_seconds) == (provider.base_url, provider.wire, 9)
    own = Provider.objects.create(slug="rack", name="Rack", wire="openai", base_url="https://rack.example/v1")
    assert client.post(reverse("admin:llm_provider_change", args=[own.pk]), form).status_code == 302
    own.refresh_from_db()
    assert own.base_url == "https://evil.example"


def provider_form(**fields: Any) -> dict[str, Any]:
    form = {"name": "Rack", "slug": "rack", "wire": "openai", "base_url": "https://rack.example/v1", "usage_class": "cloud",
            "enabled": "on", "position": "1", "concurrency": "0", "first_byte_seconds": "9", "quirks": "{}"}  # fmt: skip
    return {**form, **fields}


WRONG = (
    [1],
    "no",
    {"nonsense": 1},
    {"no_stream_options": "yes"},
    {"max_tokens_field": ""},
    {"json_schema": "xml"},
    {"options": [1]},
    {"temperature_max": "hot"},
    {"temperature_max": True},
    {"fixed_sampling": "o1"},
    {"rename": {"seed": 1}},
    {"drop": ["seed", 1]},
    {"extra": "x"},
    {"headers": {"X-Title": "a\r\nb"}},
    {"headers": {"X Title": "a"}},
    {"auth_header": "a: b"},
    {"models_path": "https://evil.example/"},
    {"models_path": "///evil.example/"},
)


@pytest.mark.parametrize("quirks", WRONG)
def test_quirks_that_would_break_a_provider_are_refused_by_name(quirks: Any) -> None:
    page = staff_client("operator").post("/admin/llm/provider/add/", provider_form(quirks=json.dumps(quirks)))
    assert page.status_code == 200 and not Provider.objects.filter(slug="rack").exists()
    words = str(page.context["adminform"].form.errors["quirks"])
    assert not isinstance(quirks, dict) or next(iter(quirks)) in words


def test_the_quirks_of_our_table_and_its_page_are_known() -> None:
    assert [row.slug for row in PROVIDERS if faults(dict(row.quirks))] == []
    page = (Path(__file__).parent.parent / "docs/providers.md").read_text()
    told = {name: json.loads(example) for name, example in re.findall(r"^\| `(\w+)` \|.*\| `([^`]+)` \|$", page, re.MULTILINE)}
    assert told.keys() == SHAPES.keys() and faults(told) == []
    assert staff_client("operator").post("/admin/llm/provider/add/", provider_form(quirks=json.dumps(told))).status_code == 302
    assert Provider.objects.get(slug="rack").quirks == told


def test_a_first_byte_has_a_second_at_least() -> None:
    assert staff_client("operator").post("/admin/llm/provider/add/", provider_form(first_byte_seconds="0")).status_code == 200
    assert not Provider.objects.filter(slug="rack").exists()


def test_a_provider_that_has_models_is_not_deleted(openai: Provider) -> None:
    client, count = staff_client("operator"), LanguageModel.objects.count()
    path = reverse("admin:llm_provider_delete", args=[openai.pk])
    client.post(path, {"post": "yes"})
    client.post("/admin/llm/provider/", {"action": "delete_selected", "_selected_action": [openai.pk], "post": "yes"})
    assert Provider.objects.filter(pk=openai.pk).exists() and LanguageModel.objects.count() == count
    LanguageModel.objects.filter(provider=openai).delete()
    client.post(path, {"post": "yes"})
    assert not Provider.objects.filter(pk=openai.pk).exists()


def test_support_syncs_nothing(openai: Provider) -> None:
    assert staff_client("support").post(reverse("admin:llm_provider_sync", args=[openai.pk])).status_code == 403


def test_a_provider_is_checked_now(upstream: FakeUpstream) -> None:
    provider = Provider.objects.get(slug="ollama")
    client = staff_client("operator")
    answer = client.post("/admin/llm/provider/", {"action": "look", "_selected_action": [provider.pk]}, follow=True)
    provider.refresh_from_db()
    assert provider.status == Status.HEALTHY and provider.checked_at
    assert [message.level_tag for message in answer.context["messages"]] == ["success"]


# -- a model's form ---------------------------------------------------------------------------------------------------


@pytest.fixture
def model() -> Iterator[LanguageModel]:
    yield LanguageModel.objects.get(model_id=OSS)


def form_of(model: LanguageModel, **fields: Any) -> dict[str, Any]:
    values = {name: getattr(model, name) for name in ("name", "description", "parameters", "position")}
    lists = {name: "\n".join(getattr(model, name)) for name in ("fallback", "aliases", "capabilities")}
    return {**values, **lists, "min_tier": model.min_tier_id, "enabled": "on", "listed": "on",
            "context_window": model.context_window or "", "max_output": model.max_output or "", **fields}  # fmt: skip


def save(model: LanguageModel, **fields: Any) -> Any:
    return staff_client("operator").post(reverse("admin:llm_languagemodel_change", args=[model.pk]), form_of(model, **fields))


def test_an_alias_means_the_model(model: LanguageModel) -> None:
    assert save(model, aliases="brumos-liebling\n\n oss ").status_code == 302
    for name in ("brumos-liebling", "oss", OSS):
        entry = find(name)
        assert entry is not None and entry.model_id == OSS


def test_an_alias_of_two_models_is_refused(model: LanguageModel) -> None:
    other = LanguageModel.objects.exclude(pk=model.pk)[0]
    LanguageModel.objects.filter(pk=other.pk).update(aliases=["taken"])
    for alias in ("taken", other.model_id):
        page = save(model, aliases=alias)
        assert page.status_code == 200 and alias in str(page.context["errors"])


def test_a_stand_in_must_be_another_model_of_ours(model: LanguageModel) -> None:
    for wrong in ("nobody/nothing", OSS):
        assert wrong in str(save(model, fallback=wrong).context["errors"])
    other = LanguageModel.objects.exclude(pk=model.pk)[0]
    assert save(model, fallback=other.model_id, min_tier=Tier.objects.get(slug="pro").pk, position=3, _preview_seen=1).status_code == 302
    model.refresh_from_db()
    assert (model.fallback, model.min_tier.slug, model.position) == ([other.model_id], "pro", 3)


def test_saving_unchanged_changes_nothing(model: LanguageModel) -> None:
    before = LanguageModel.objects.filter(pk=model.pk).values()[0]
    assert save(model).status_code == 302
    assert LanguageModel.objects.filter(pk=model.pk).values()[0] == before
    assert "values" not in LogEntry.objects.get().change_message


def test_a_client_without_the_right_sees_no_buttons(model: LanguageModel) -> None:
    client: Client = staff_client("support")
    page = client.get(reverse("admin:llm_provider_change", args=[Provider.objects.get(slug="openai").pk])).content.decode()
    assert "/sync/" not in page
