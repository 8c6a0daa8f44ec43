"""The catalogue that ships with the code."""

from __future__ import annotations

import json
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from billing.models import Price, Revision, Tier
from billing.tiers import get_tier, guest_tier
from llm.catalogue import models_for
from llm.models import LanguageModel, Provider
from llm.snapshot import PATH, load_snapshot

pytestmark = pytest.mark.django_db


def written(tmp_path: Any, *models: dict[str, Any]) -> Any:
    path = tmp_path / "catalogue.json"
    path.write_text(json.dumps({"source": "test", "version": "1", "date": "2026-01-01", "licence": "MIT", "providers": {"openai": models}}))
    return path


def test_pro_sees_over_six_hundred_chat_models_with_every_key_set(settings):
    settings.PROVIDER_KEYS = {name.lower(): "key" for name in settings.PROVIDERS}
    load_snapshot()
    listed = models_for(get_tier("pro"))
    assert len(listed) >= 600
    assert all(entry.can("chat") for entry in listed)
    assert len(models_for(guest_tier())) == 20


def test_the_file_says_where_it_comes_from_and_is_small():
    head = json.loads(PATH.read_bytes())
    assert {head["source"], head["licence"]} == {"genai-prices", "MIT"} and head["version"] and head["date"]
    assert PATH.stat().st_size < 500_000
    assert "MIT" in (PATH.parent / "LICENSES").read_text()


def test_loading_again_changes_nothing():
    first = load_snapshot()
    assert first.added > 1000 and first.held == 0
    before = Revision.objects.get(name="catalogue").number
    again = load_snapshot()
    assert (again.added, again.changed, again.prices) == (0, 0, 0)
    assert Revision.objects.get(name="catalogue").number == before


def test_new_models_belong_to_the_lowest_tier_that_has_all(tmp_path):
    load_snapshot(written(tmp_path, {"id": "a", "can": ["chat"], "price": [1, 2, None, None]}))
    model = LanguageModel.objects.get(model_id="openai/a")
    assert model.min_tier.slug == "pro"
    assert (model.price.input, model.price.output, model.price.cached_input) == (1, 2, None)
    assert model.price.source == "snapshot test 1"


def test_an_operators_columns_stay_and_facts_are_refreshed(tmp_path):
    load_snapshot(written(tmp_path, {"id": "a", "context": 1000, "can": ["chat"]}))
    enterprise = Tier.objects.get(slug="enterprise")
    LanguageModel.objects.filter(model_id="openai/a").update(
        min_tier=enterprise, enabled=False, position=5, fallback=["openai/b"], listed=False
    )
    counts = load_snapshot(written(tmp_path, {"id": "a", "context": 2000, "can": ["chat", "tools"]}))
    model = LanguageModel.objects.get(model_id="openai/a")
    assert counts.changed == 1
    assert (model.context_window, model.capabilities) == (2000, ["chat", "tools"])
    assert (model.min_tier, model.enabled, model.position, model.fallback, model.listed) == (enterprise, False, 5, ["openai/b"], False)


def test_what_a_live_list_said_stays(tmp_path):
    load_snapshot(written(tmp_path, {"id": "a", "context": 1000}))
    LanguageModel.objects.filter(model_id="openai/a").update(source="live", context_window=5)
    load_snapshot(written(tmp_path, {"id": "a", "context": 2000}))
    assert LanguageModel.objects.get(model_id="openai/a").context_window == 5


def test_a_price_that_jumps_waits_and_an_operators_own_stays(tmp_path):
    load_snapshot(written(tmp_path, {"id": "a", "price": [1, 2, None, None]}, {"id": "b", "price": [1, 2, None, None]}))
    own = Price.objects.create(model_id="openai/b", input=7, output=7, source="operator x")
    LanguageModel.objects.filter(model_id="openai/b").update(price=own)
    counts = load_snapshot(written(tmp_path, {"id": "a", "price": [9, 2, None, None]}, {"id": "b", "price": [1.5, 2, None, None]}))
    assert (counts.prices, counts.held) == (1, 1)
    assert LanguageModel.objects.get(model_id="openai/a").price.input == Decimal(1)
    assert LanguageModel.objects.get(model_id="openai/b").price == own


@pytest.mark.parametrize("price", [[-1, 2, None, None], [None, 2, None, None], [1, -1, None, None], ["NaN", 1, None, None]])
def test_a_price_that_is_none_is_left_out(tmp_path, price):
    load_snapshot(written(tmp_path, {"id": "a", "can": ["chat"], "price": price}))
    assert LanguageModel.objects.get(model_id="openai/a").price is None


def test_a_provider_that_the_database_lacks_is_added():
    Provider.objects.filter(slug="xai").delete()
    load_snapshot()
    assert Provider.objects.get(slug="xai").models.exists()


def test_the_command_says_what_it_did_in_one_line():
    out = StringIO()
    call_command("seed", stdout=out)
    assert out.getvalue().startswith("Catalogue: 14 providers, ") and out.getvalue().count("\n") == 1
