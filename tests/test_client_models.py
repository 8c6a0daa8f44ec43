"""GET /v1/client/models."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from llm.models import LanguageModel
from llm.snapshot import load_snapshot

pytestmark = pytest.mark.django_db
URL = "/v1/client/models"
KEYS = {"tier", "tier_name", "model_count", "models", "backend", "upgrade_available"}


@pytest.fixture(autouse=True)
def keys(settings: Any) -> None:
    settings.PROVIDER_KEYS = {"openai": "sk-1"}
    settings.PROVIDER_URLS = {}
    settings.LOCAL_MODEL = "off"


@pytest.fixture
def pro(make_user: Any, bearer: Any) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=bearer(make_user("pro"))["Authorization"])
    return client


@pytest.mark.parametrize("url", [URL, f"{URL}/"])
def test_a_guest_sees_the_seeds_answer(url):
    response = APIClient().get(url)
    body = response.json()
    assert response.status_code == 200
    assert set(body) == KEYS
    assert {name: body[name] for name in KEYS - {"models"}} == {
        "tier": "guest",
        "tier_name": "Gast",
        "model_count": 20,
        "backend": "ollama",
        "upgrade_available": True,
    }
    assert body["models"][:4] == [
        "ollama/deepseek-v3.1:671b-cloud",
        "ollama/deepseek-v3.2:cloud",
        "ollama/qwen3-coder:480b-cloud",
        "ollama/qwen3-vl:235b-cloud",
    ]


def test_pro_sees_everything_that_is_set_up(pro):
    load_snapshot()
    body = pro.get(URL).json()
    assert (body["tier"], body["tier_name"], body["backend"], body["upgrade_available"]) == ("pro", "Pro", "mixed", False)
    assert body["model_count"] == len(body["models"]) > 20
    assert "openai/gpt-4o" in body["models"] and "anthropic/claude-sonnet-4-5" not in body["models"]
    assert "openai/text-embedding-3-small" not in body["models"]


def test_a_list_is_narrowed(pro):
    load_snapshot()
    assert "openai/text-embedding-3-small" in pro.get(URL, {"capability": "embedding"}).json()["models"]
    assert all(name.startswith("openai/") for name in pro.get(URL, {"provider": "openai"}).json()["models"])
    found = pro.get(URL, {"q": "GPT-4o"}).json()
    assert found["model_count"] == len(found["models"]) >= 1 and all("gpt-4o" in name for name in found["models"])
    assert pro.get(URL, {"provider": "nobody"}).json()["models"] == []


def test_detail_gives_objects_with_price_and_state(pro):
    load_snapshot()
    models = {model["id"]: model for model in pro.get(URL, {"detail": 1}).json()["models"]}
    gpt, oss = models["openai/gpt-4o"], models["ollama/gpt-oss:120b-cloud"]
    assert gpt["price"] == {"input": 2.5, "output": 10.0, "cached_input": 1.25, "cache_write": None}
    assert (gpt["context_window"], gpt["min_tier"], gpt["unlimited"], gpt["status"]) == (128_000, "pro", False, "unknown")
    assert (oss["price"], oss["unlimited"], oss["parameters"]) == (None, True, "117B")
    assert oss["fallback"] == ["ollama/ministral-3:14b", "local/smollm2:135m"]


def test_detail_shows_the_local_stand_ins_where_nothing_else_is_live():
    shown = APIClient().get(URL, {"detail": "1"}).json()
    assert [model["id"] for model in shown["models"] if not model["listed"]] == ["ollama/ministral-3:14b"]
    assert shown["model_count"] == 21
    LanguageModel.objects.filter(model_id="ollama/gpt-oss:120b-cloud").update(status="healthy")
    assert all(model["listed"] for model in APIClient().get(URL, {"detail": "1"}).json()["models"])


def test_detail_alone_shows_what_a_provider_no_longer_lists(pro):
    load_snapshot()
    LanguageModel.objects.filter(model_id="openai/gpt-4o").update(missing_since="2026-01-01T00:00:00Z")
    assert "openai/gpt-4o" not in pro.get(URL).json()["models"]
    gone = [model for model in pro.get(URL, {"detail": 1}).json()["models"] if model["missing_since"]]
    assert [model["id"] for model in gone] == ["openai/gpt-4o"]


@pytest.mark.parametrize("query", ["detail=perhaps", "capability=", "q=" + "x" * 101, "q=%00", "provider=" + "x" * 31])
def test_nonsense_is_refused_by_name(query):
    response = APIClient().get(f"{URL}?{query}")
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "invalid_request" and error["field"] == query.split("=")[0]


def test_a_list_costs_few_queries(django_assert_max_num_queries):
    APIClient().get(URL)
    with django_assert_max_num_queries(2):
        APIClient().get(URL)
    with django_assert_max_num_queries(3):
        APIClient().get(URL, {"detail": 1})


def test_no_key_ever_shows(pro):
    assert b"sk-1" not in pro.get(URL, {"detail": 1}).content
