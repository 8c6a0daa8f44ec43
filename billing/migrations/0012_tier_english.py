"""What pages in English call the tiers. One that was renamed, or promises something else by now, is left as it is."""

from django.db import migrations, models

ENGLISH = {
    "Gast": "Guest",
    "Registriert": "Registered",
    "20 Ollama Cloud-Modelle": "20 Ollama cloud models",
    "50k Tokens/Tag": "50k tokens a day",
    "100k Tokens/Tag": "100k tokens a day",
    "250k Tokens/Tag (Cloud)": "250k tokens a day (cloud)",
    "Kein MCP": "No MCP",
    "🐻 Brumo dabei": "🐻 Brumo included",
    "MCP Tools ✓": "MCP tools ✓",
    "CLI Agents ✓": "CLI agents ✓",
    "600+ KI-Modelle": "600+ AI models",
    "Ollama ∞ unlimited": "Ollama ∞ unlimited",
    "Unlimited Tokens": "Unlimited tokens",
    "Priority Queue ✓": "Priority queue ✓",
    "Priority Support": "Priority support",
    "Community Support": "Community support",
    "Email Support": "E-mail support",
    "Alle Features": "All features",
}


def fill(apps, schema_editor):
    for tier in apps.get_model("billing", "Tier").objects.all():
        tier.name_en = ENGLISH.get(tier.name, "")
        if all(feature in ENGLISH for feature in tier.features):
            tier.features_en = [ENGLISH[feature] for feature in tier.features]
        tier.save()


class Migration(migrations.Migration):
    dependencies = [("billing", "0011_amount_paid_cancelled_at")]

    operations = [
        migrations.AddField(
            model_name="tier",
            name="name_en",
            field=models.CharField(
                blank=True, db_default="", default="", help_text="Empty: the name", max_length=40, verbose_name="name in English"
            ),
        ),
        migrations.AddField(
            model_name="tier",
            name="features_en",
            field=models.JSONField(blank=True, default=list, verbose_name="features in English"),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
