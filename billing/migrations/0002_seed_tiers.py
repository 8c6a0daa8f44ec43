"""The four tiers. Where a tier of that slug stands already, it is left as it is."""

from decimal import Decimal

from django.db import migrations

TIERS = [
    {
        "slug": "guest",
        "name": "Gast",
        "features": ["20 Ollama Cloud-Modelle", "50k Tokens/Tag", "Kein MCP", "🐻 Brumo dabei"],
        "daily_tokens": 50_000,
        "requests_per_minute": 10,
        "reads_per_minute": 300,
        "concurrency": 2,
        "queue_head_start": 0,
        "support_level": "none",
        "is_guest": True,
    },
    {
        "slug": "registered",
        "name": "Registriert",
        "features": ["20 Ollama Cloud-Modelle", "MCP Tools ✓", "CLI Agents ✓", "100k Tokens/Tag", "Community Support"],
        "daily_tokens": 100_000,
        "requests_per_minute": 30,
        "reads_per_minute": 600,
        "concurrency": 4,
        "queue_head_start": 10,
        "mcp_access": True,
        "cli_agents": True,
        "support_level": "community",
        "is_default": True,
    },
    {
        "slug": "pro",
        "name": "Pro",
        "price_monthly": Decimal("18.99"),
        "price_yearly": Decimal("189.99"),
        "features": ["600+ KI-Modelle", "250k Tokens/Tag (Cloud)", "Ollama ∞ unlimited", "MCP Tools ✓", "Email Support"],
        "all_models": True,
        "daily_tokens": 250_000,
        "ollama_unlimited": True,
        "requests_per_minute": 60,
        "reads_per_minute": 1200,
        "concurrency": 8,
        "queue_head_start": 30,
        "mcp_access": True,
        "cli_agents": True,
        "support_level": "email",
    },
    {
        "slug": "enterprise",
        "name": "Unlimited",
        "price_monthly": Decimal("59.99"),
        "price_yearly": Decimal("599.99"),
        "features": ["600+ KI-Modelle", "Unlimited Tokens", "Priority Queue ✓", "Priority Support", "Alle Features"],
        "all_models": True,
        "daily_tokens": 0,
        "ollama_unlimited": True,
        "requests_per_minute": 120,
        "reads_per_minute": 2400,
        "concurrency": 16,
        "queue_head_start": 120,
        "mcp_access": True,
        "cli_agents": True,
        "local_cli_agents": True,
        "priority_queue": True,
        "support_level": "priority",
    },
]


def seed(apps, schema_editor):
    tier = apps.get_model("billing", "Tier")
    for position, values in enumerate(TIERS):
        tier._base_manager.get_or_create(slug=values["slug"], defaults={**values, "position": position})


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
