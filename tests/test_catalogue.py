"""Which models there are, who may use which, and what stands in for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from billing.errors import InvalidRequest
from billing.tiers import all_tiers, get_tier, guest_tier
from llm.capabilities import capabilities_of
from llm.catalogue import fallbacks_of, find, get_model, models_for, standing_in
from llm.errors import ModelNotFound, ModelNotInTier, UpstreamUnavailable
from llm.models import LanguageModel, Provider
from llm.providers import PROVIDERS, is_on, provider_key, provider_url, wire_for
from llm.snapshot import tier_of_new_models

pytestmark = pytest.mark.django_db

TWENTY = """
deepseek-v3.1:671b-cloud deepseek-v3.2:cloud qwen3-coder:480b-cloud qwen3-vl:235b-cloud qwen3-next:80b-cloud kimi-k2:1t-cloud
kimi-k2-thinking:cloud gpt-oss:120b-cloud gpt-oss:20b-cloud gemini-3-pro-preview:latest minimax-m2:cloud glm-4.6:cloud
ministral-3:14b-cloud ministral-3:8b-cloud ministral-3:3b-cloud devstral-2:123b-cloud devstral-small-2:24b-cloud
nemotron-3-nano:30b-cloud cogito-2.1:671b-cloud rnj-1:8b-cloud
""".split()
OSS = "ollama/gpt-oss:120b-cloud"


@pytest.fixture(autouse=True)
def keys(settings: Any) -> Iterator[Any]:
    """OpenAI, Groq and OpenRouter are set up; the built-in model is not."""
    settings.PROVIDER_KEYS = {"openai": "sk-1", "groq": "gsk-1", "openrouter": "sk-or-1"}
    settings.PROVIDER_URLS = {}
    settings.LOCAL_MODEL = "off"
    yield settings


def add(model_id: str, *capabilities: str, **values: Any) -> LanguageModel:
    slug, native_id = model_id.split("/", 1)
    values = {"min_tier": tier_of_new_models(), "source": "live", **values}
    provider = Provider.objects.get(slug=slug)
    return LanguageModel.objects.create(
        provider=provider, native_id=native_id, model_id=model_id, capabilities=list(capabilities), **values
    )


def ids(entries: Any) -> list[str]:
    return [entry.model_id for entry in entries]


# -- the seed ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", ["guest", "registered"])
def test_the_free_tiers_have_exactly_the_twenty_in_order(slug):
    add("openai/gpt-4o", "chat")
    assert ids(models_for(get_tier(slug))) == [f"ollama/{native_id}" for native_id in TWENTY]


def test_the_higher_tiers_have_the_twenty_first_then_the_rest():
    add("openai/gpt-4o", "chat")
    add("groq/llama-3.3-70b-versatile", "chat")
    add("mistral/mistral-small", "chat")  # no key
    listed = ids(models_for(get_tier("pro")))
    assert listed[:20] == [f"ollama/{native_id}" for native_id in TWENTY]
    assert listed[20:] == ["openai/gpt-4o", "groq/llama-3.3-70b-versatile"]


def test_tiers_are_as_the_contract_says():
    seen = {tier.slug: (tier.name, float(tier.price_monthly), float(tier.price_yearly), tier.daily_tokens) for tier in all_tiers()}
    assert seen == {
        "guest": ("Gast", 0.0, 0.0, 50_000),
        "registered": ("Registriert", 0.0, 0.0, 100_000),
        "pro": ("Pro", 18.99, 189.99, 250_000),
        "enterprise": ("Unlimited", 59.99, 599.99, 0),
    }
    assert list(seen) == ["guest", "registered", "pro", "enterprise"]
    assert [tier.concurrency for tier in all_tiers()] == [2, 4, 8, 16]
    assert [tier.requests_per_minute for tier in all_tiers()] == [10, 30, 60, 120]


# -- ids --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [OSS, f"  {OSS}\n", "gpt-oss:120b-cloud"])
def test_an_id_or_a_bare_native_id_resolves(text):
    assert get_model(text, guest_tier()).model_id == OSS


@pytest.mark.parametrize(
    "text", ["", " ", "1", "gpt", "cloud", "ollama", "ollama/", "OLLAMA/GPT-OSS:120B-CLOUD", "gpt-oss", "\x00", "x" * 5000]
)
def test_a_part_of_an_id_never_resolves(text):
    with pytest.raises(ModelNotFound) as refusal:
        get_model(text, guest_tier())
    assert len(refusal.value.extra["suggestions"]) == 3
    assert refusal.value.status_code == 404


def test_suggestions_are_the_nearest_that_the_tier_may_see():
    add("openai/gpt-oss-120", "chat")
    with pytest.raises(ModelNotFound) as refusal:
        get_model("ollama/gpt-oss:120-cloud", guest_tier())
    assert refusal.value.extra["suggestions"][0] == OSS
    assert all(near.startswith("ollama/") for near in refusal.value.extra["suggestions"])
    with pytest.raises(ModelNotFound) as refusal:
        get_model("openai/gpt-oss120", get_tier("pro"))
    assert refusal.value.extra["suggestions"][0] == "openai/gpt-oss-120"


def test_a_native_id_of_several_providers_asks_which():
    add("openai/twin", "chat")
    add("groq/twin", "chat")
    with pytest.raises(ModelNotFound) as refusal:
        get_model("twin", get_tier("pro"))
    assert refusal.value.extra["suggestions"][:2] == ["openai/twin", "groq/twin"]


def test_a_native_id_is_unique_if_only_one_of_its_providers_is_on(keys):
    add("openai/twin", "chat")
    add("mistral/twin", "chat")
    assert get_model("twin", get_tier("pro")).model_id == "openai/twin"


def test_a_native_id_with_a_slash_resolves_too():
    add("openrouter/meta-llama/llama-4", "chat")
    assert find("meta-llama/llama-4").model_id == "openrouter/meta-llama/llama-4"


def test_above_the_tier_names_the_tier_that_has_it():
    add("openai/gpt-4o", "chat")
    with pytest.raises(ModelNotInTier) as refusal:
        get_model("openai/gpt-4o", guest_tier())
    assert (refusal.value.status_code, refusal.value.extra["tier"], refusal.value.extra["tier_name"]) == (403, "pro", "Pro")


def test_what_is_no_chat_model_is_refused_by_name():
    add("openai/text-embedding-3-small", "embedding")
    with pytest.raises(InvalidRequest, match=r"openai/text-embedding-3-small.*embedding"):
        get_model("openai/text-embedding-3-small", get_tier("pro"))
    assert get_model("openai/text-embedding-3-small", get_tier("pro"), capability="embedding")
    assert "openai/text-embedding-3-small" not in ids(models_for(get_tier("pro")))
    assert ids(models_for(get_tier("pro"), capability="embedding")) == ["openai/text-embedding-3-small"]


def test_a_model_of_unknown_abilities_is_listed_as_chat():
    add("openai/mystery")
    assert "openai/mystery" in ids(models_for(get_tier("pro")))
    assert get_model("openai/mystery", get_tier("pro")).capabilities == ()


def test_a_model_whose_provider_is_not_set_up_is_known_but_unavailable():
    add("mistral/mistral-small", "chat")
    with pytest.raises(UpstreamUnavailable) as refusal:
        get_model("mistral/mistral-small", get_tier("pro"))
    assert refusal.value.extra["provider"] == "mistral"
    with pytest.raises(ModelNotInTier):
        get_model("mistral/mistral-small", guest_tier())


def test_a_model_or_provider_switched_off_is_not_there():
    LanguageModel.objects.filter(model_id=OSS).update(enabled=False)
    with pytest.raises(ModelNotFound):
        get_model(OSS, guest_tier())
    assert len(models_for(guest_tier())) == 19
    Provider.objects.filter(slug="ollama").update(enabled=False)
    assert models_for(guest_tier()) == []


def test_what_its_provider_no_longer_lists_is_hidden_and_still_answers():
    from django.utils import timezone

    add("openai/old", "chat", missing_since=timezone.now())
    assert "openai/old" not in ids(models_for(get_tier("pro")))
    assert get_model("openai/old", get_tier("pro")).missing_since is not None
    assert ids(standing_in(get_tier("pro"), missing=True)) == ["openai/old"]


def test_lists_are_narrowed_by_provider_text_and_capability():
    add("openai/gpt-4o", "chat", "vision", name="Omni")
    pro = get_tier("pro")
    assert ids(models_for(pro, provider="openai")) == ["openai/gpt-4o"]
    assert ids(models_for(pro, q=" omNI ")) == ["openai/gpt-4o"]
    assert "openai/gpt-4o" in ids(models_for(pro, capability="vision"))
    assert OSS not in ids(models_for(pro, capability="vision"))


# -- what stands in ---------------------------------------------------------------------------------------------------


def test_the_local_fallbacks_are_callable_by_everyone_and_listed_nowhere():
    assert get_model("ollama/ministral-3:14b", guest_tier()).provider.usage_class == "unlimited"
    assert ids(standing_in(guest_tier())) == ["ollama/ministral-3:14b"]
    assert all("ollama/ministral-3:14b" not in ids(models_for(tier)) for tier in all_tiers())


def test_the_chain_of_the_twenty_is_ministral_then_the_built_in_model():
    entry = get_model(OSS, guest_tier())
    assert ids(fallbacks_of(entry, "any")) == ["ollama/ministral-3:14b", "local/smollm2:135m"]
    assert ids(fallbacks_of(entry, "family")) == ["ollama/ministral-3:14b"]
    assert fallbacks_of(entry, "strict") == ()
    assert ids(fallbacks_of(get_model("ollama/ministral-3:14b", guest_tier()), "any")) == ["local/smollm2:135m"]


def test_the_same_model_elsewhere_comes_before_the_chain_and_never_above_the_tier():
    add("openai/gpt-4o", "chat", fallback=[OSS])
    add("openrouter/openai/gpt-4o", "chat")
    add("groq/openai/gpt-oss:120b", "chat")  # the twenty are everybody's, this one is not
    entry = get_model("openai/gpt-4o", get_tier("pro"))
    assert ids(fallbacks_of(entry, "family")) == ["openrouter/openai/gpt-4o", OSS]
    assert ids(fallbacks_of(entry, "any")) == ["openrouter/openai/gpt-4o", OSS, "ollama/ministral-3:14b", "local/smollm2:135m"]
    assert "groq/openai/gpt-oss:120b" not in ids(fallbacks_of(get_model(OSS, guest_tier()), "any"))


def test_a_chain_that_bites_its_tail_ends():
    add("openai/a", "chat", fallback=["openai/b", "openai/gone"])
    add("openai/b", "chat", fallback=["openai/a"])
    assert ids(fallbacks_of(get_model("openai/a", get_tier("pro")), "any")) == ["openai/b"]


# -- fresh, and fast --------------------------------------------------------------------------------------------------


def test_a_change_holds_from_the_next_look_on():
    assert len(models_for(guest_tier())) == 20
    LanguageModel.objects.filter(model_id=OSS).update(listed=False)
    assert len(models_for(guest_tier())) == 19


def test_a_look_at_a_warm_catalogue_asks_the_database_nothing(django_assert_num_queries):
    guest = guest_tier()
    get_model(OSS, guest)
    with django_assert_num_queries(0):
        for _ in range(10):
            get_model(OSS, guest)
            models_for(guest)
            fallbacks_of(get_model(OSS, guest), "any")


# -- the table of providers -------------------------------------------------------------------------------------------


def test_every_setting_has_its_provider(keys):
    assert {row.slug for row in PROVIDERS} - {"local"} == {name.lower() for name in keys.PROVIDERS}
    assert {row.slug for row in PROVIDERS} == set(Provider.objects.values_list("slug", flat=True))


@pytest.mark.parametrize("wire", sorted({row.wire for row in PROVIDERS}))
def test_every_wire_of_the_table_exists(wire):
    assert wire_for(wire) is wire_for(wire)


def test_a_key_switches_a_provider_on_and_stands_in_the_environment_alone(keys):
    openai, mistral = Provider.objects.get(slug="openai"), Provider.objects.get(slug="mistral")
    assert (is_on(openai), is_on(mistral)) == (True, False)
    assert (provider_key(openai), provider_key(mistral)) == ("sk-1", "")
    assert provider_url(openai) == "https://api.openai.com/v1"
    keys.PROVIDER_URLS = {"openai": "http://127.0.0.1:9999/v1/"}
    assert provider_url(openai) == "http://127.0.0.1:9999/v1"


def test_ollama_is_always_on_and_its_key_leads_to_the_cloud(keys):
    ollama = Provider.objects.get(slug="ollama")
    assert is_on(ollama) and provider_url(ollama) == "http://127.0.0.1:11434"
    keys.PROVIDER_KEYS = {"ollama": "key"}
    assert provider_url(ollama) == "https://ollama.com"
    ollama.base_url = "http://10.0.0.5:11434"
    assert provider_url(ollama) == "http://10.0.0.5:11434"
    keys.PROVIDER_URLS = {"ollama": "http://10.0.0.6:11434"}
    assert provider_url(ollama) == "http://10.0.0.6:11434"


def test_the_built_in_model_is_off_where_it_is_switched_off(keys):
    assert not is_on(Provider.objects.get(slug="local"))
    with pytest.raises(UpstreamUnavailable):
        get_model("local/smollm2:135m", guest_tier())


def test_an_operators_own_server_needs_an_address_alone():
    assert is_on(Provider(slug="rack", base_url="http://10.0.0.7/v1"))
    assert not is_on(Provider(slug="rack"))


@pytest.mark.parametrize(
    ("native_id", "capabilities"),
    [
        ("text-embedding-3-small", ["embedding"]),
        ("whisper-1", ["transcription"]),
        ("gpt-4o-mini-tts", ["speech"]),
        ("dall-e-3", ["image"]),
        ("omni-moderation-latest", ["moderation"]),
        ("meta-llama/llama-guard-4-12b", ["moderation"]),
        ("mistral-ocr-latest", ["ocr"]),
        ("gpt-realtime", ["realtime"]),
        ("davinci-002", ["completion"]),
        ("claude-sonnet-4-5", ["chat", "tools", "vision", "reasoning"]),
        ("gpt-4o", ["chat", "tools", "vision"]),
        ("thinkingmachines/Inkling", []),
    ],
)
def test_an_id_tells_what_a_model_can_do(native_id, capabilities):
    assert capabilities_of(native_id) == capabilities


def test_what_a_provider_reports_wins_over_the_id():
    assert capabilities_of("whisper-chat", reported=["chat", "tools"]) == ["chat", "tools"]
