"""The providers, the twenty models that every tier has, and the two local ones they fall back to."""

from django.db import migrations

from llm.providers import PROVIDERS  # plain data, no models

FALLBACK = ["ollama/ministral-3:14b", "local/smollm2:135m"]
CHAT, TOOLS, THINK, SEE = ["chat"], ["chat", "tools"], ["chat", "tools", "reasoning"], ["chat", "tools", "vision"]

# native id, parameters, description, capabilities, context window
TWENTY = [
    ("deepseek-v3.1:671b-cloud", "671B", "DeepSeek V3.1 - Allrounder", THINK, 163_840),
    ("deepseek-v3.2:cloud", "671B", "DeepSeek V3.2 - Neueste Version", THINK, 163_840),
    ("qwen3-coder:480b-cloud", "480B", "Qwen3 - Code-Spezialist", TOOLS, 262_144),
    ("qwen3-vl:235b-cloud", "235B", "Qwen3 Vision - Multimodal", [*SEE, "reasoning"], 262_144),
    ("qwen3-next:80b-cloud", "80B", "Qwen3 Next", THINK, 262_144),
    ("kimi-k2:1t-cloud", "1T", "Kimi K2 - Moonshot AI", TOOLS, 262_144),
    ("kimi-k2-thinking:cloud", "1T", "Kimi K2 Thinking Mode", THINK, 262_144),
    ("gpt-oss:120b-cloud", "117B", "GPT-OSS Large", THINK, 131_072),
    ("gpt-oss:20b-cloud", "21B", "GPT-OSS Small", THINK, 131_072),
    ("gemini-3-pro-preview:latest", "-", "Google Gemini 3 Pro", [*SEE, "reasoning"], 1_048_576),
    ("minimax-m2:cloud", "230B", "MiniMax M2", THINK, 204_800),
    ("glm-4.6:cloud", "355B", "GLM 4.6 (Zhipu)", THINK, 204_800),
    ("ministral-3:14b-cloud", "14B", "Mistral Ministral", SEE, 262_144),
    ("ministral-3:8b-cloud", "8B", "Mistral Ministral Small", SEE, 262_144),
    ("ministral-3:3b-cloud", "3B", "Mistral Ministral Tiny", SEE, 131_072),
    ("devstral-2:123b-cloud", "123B", "Mistral Devstral - Coding", TOOLS, 262_144),
    ("devstral-small-2:24b-cloud", "24B", "Mistral Devstral Small", SEE, 262_144),
    ("nemotron-3-nano:30b-cloud", "32B", "NVIDIA Nemotron", THINK, 262_144),
    ("cogito-2.1:671b-cloud", "671B", "Cogito", THINK, 163_840),
    ("rnj-1:8b-cloud", "8B", "Essential AI RNJ", TOOLS, 32_768),
]


def seed_providers(apps):
    provider = apps.get_model("llm", "Provider")
    for position, row in enumerate(PROVIDERS):
        values = {
            "name": row.name,
            "wire": row.wire,
            "base_url": row.base_url,
            "usage_class": row.usage_class,
            "concurrency": row.concurrency,
            "first_byte_seconds": row.first_byte_seconds,
            "quirks": dict(row.quirks),
            "position": position,
        }
        provider._base_manager.get_or_create(slug=row.slug, defaults=values)


def seed_models(apps):
    providers = {row.slug: row for row in apps.get_model("llm", "Provider")._base_manager.all()}
    guest = apps.get_model("billing", "Tier")._base_manager.get(is_guest=True)

    def add(slug, native_id, parameters, description, capabilities, context_window, **values):
        apps.get_model("llm", "LanguageModel")._base_manager.get_or_create(
            model_id=f"{slug}/{native_id}",
            defaults={
                "provider": providers[slug],
                "native_id": native_id,
                "name": description.split(" - ")[0],
                "description": description,
                "parameters": "" if parameters == "-" else parameters,
                "min_tier": guest,
                "capabilities": capabilities,
                "context_window": context_window,
                "source": "seed",
                **values,
            },
        )

    for position, row in enumerate(TWENTY, 1):
        add("ollama", *row, position=position, fallback=FALLBACK)
    add(
        "ollama",
        "ministral-3:14b",
        "14B",
        "Ministral 3 - Lokales Fallback bei Cloud-Ausfall",
        SEE,
        262_144,
        position=21,
        listed=False,
        fallback=FALLBACK[1:],
    )
    add("local", "smollm2:135m", "135M", "SmolLM2 - Eingebautes Modell", CHAT, 2048, position=22, listed=False, max_output=512)


def seed(apps, schema_editor):
    seed_providers(apps)
    seed_models(apps)


class Migration(migrations.Migration):
    dependencies = [("llm", "0001_initial"), ("billing", "0002_seed_tiers")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
