"""The pages' days: each look counts, and a day's colour says how the provider or the model did."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from billing import clock
from llm import health
from llm.models import LanguageModel, ModelDay, Provider, ProviderDay, Status

pytestmark = pytest.mark.django_db


@pytest.fixture
def ollama() -> Provider:
    return Provider.objects.get(slug="ollama")


def test_each_look_counts_on_its_day(ollama: Provider) -> None:
    for status in (Status.HEALTHY, Status.HEALTHY, Status.OFFLINE, Status.UNKNOWN, Status.NO_API_KEY, Status.DEGRADED):
        health.note(ollama, status)
    row = ProviderDay.objects.get()
    assert (row.good, row.degraded, row.bad) == (2, 1, 1)


def test_a_day_has_the_colour_of_its_looks(ollama: Provider) -> None:
    today = clock.now().date()
    for back, good, bad in ((0, 1000, 1), (1, 3, 1), (2, 1, 5), (40, 0, 9)):
        ProviderDay.objects.create(provider=ollama, day=today - timedelta(days=back), good=good, bad=bad)
    bars = health.history([ollama])[ollama.pk].bars
    assert len(bars) == health.DAYS
    assert [bar.look for bar in bars[-4:]] == ["", "bad", "warn", "good"]
    assert {bar.look for bar in bars[:-3]} == {""}


def test_the_page_shows_them(client: Client, ollama: Provider) -> None:
    assert "not looked at yet" in client.get("/status", headers={"Accept-Language": "en"}).content.decode()
    health.note(ollama, Status.HEALTHY)
    page = client.get("/status", headers={"Accept-Language": "en"}).content.decode()
    assert "well in 100.0 % of all looks" in page and '<span class="good"' in page


def test_models_are_counted_once_an_hour_and_forgotten_after_thirty_days(client: Client, ollama: Provider) -> None:
    well, ill, unknown = LanguageModel.objects.filter(provider=ollama, listed=True)[:3]
    LanguageModel.objects.filter(pk=well.pk).update(status=Status.HEALTHY)
    LanguageModel.objects.filter(pk=ill.pk).update(status=Status.OFFLINE)
    today = clock.now().date()
    ModelDay.objects.create(language_model=well, day=today - timedelta(days=31), bad=1)
    assert health.note_models() == 2
    LanguageModel.objects.filter(pk=well.pk).update(status=Status.DEGRADED)
    assert health.note_models() == 2
    rows = ModelDay.objects.order_by("good")
    assert [(row.language_model_id, row.good, row.degraded, row.bad) for row in rows] == [(ill.pk, 0, 0, 2), (well.pk, 1, 1, 0)]
    days = health.model_history([well, ill, unknown])
    assert [days[one.pk].bars[-1].look for one in (well, ill, unknown)] == ["warn", "bad", ""]
    page = client.get(f"/models/{ill.model_id}", headers={"Accept-Language": "en"}).content.decode()
    assert "well in 0.0 % of all looks" in page
