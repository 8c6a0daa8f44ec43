"""Who answers: providers and their models; and the answers kept for a replay."""

from __future__ import annotations

from django.db import models
from django.db.models import TextChoices
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from billing.models import Price, Tier, UsageClass
from billing.revision import Revised


class Status(TextChoices):
    """How a provider or a model does, as learnt from live answers and the background check."""

    HEALTHY = "healthy", _("healthy")
    DEGRADED = "degraded", _("degraded")
    OFFLINE = "offline", _("offline")
    NO_API_KEY = "no_api_key", _("no API key")
    UNKNOWN = "unknown", _("unknown")


class Provider(Revised):
    """One upstream account. Its key lives in the environment alone; what differs between providers is a column here."""

    revision = "catalogue"

    class Wire(TextChoices):
        OLLAMA = "ollama", _("Ollama (NDJSON)")
        OPENAI = "openai", _("OpenAI chat completions (SSE)")
        ANTHROPIC = "anthropic", _("Anthropic messages (SSE)")
        LOCAL = "local", _("the built-in local model")

    slug = models.SlugField(max_length=30, unique=True)
    name = models.CharField(max_length=60)
    wire = models.CharField(max_length=10, choices=Wire)
    base_url = models.URLField(max_length=200, blank=True, help_text=_("The environment's <P>_BASE_URL wins."))
    usage_class = models.CharField(max_length=9, choices=UsageClass, default=UsageClass.CLOUD)
    enabled = models.BooleanField(default=True, help_text=_("Off: none of its models is offered or asked."))
    position = models.PositiveSmallIntegerField(default=0)
    concurrency = models.PositiveIntegerField(default=0, help_text=_("Requests at once over all processes; 0 = no gate"))
    first_byte_seconds = models.PositiveIntegerField(default=30)
    quirks = models.JSONField(default=dict, blank=True, help_text=_("Deviations from the wire format; see docs/providers.md"))
    status = models.CharField(max_length=10, choices=Status, default=Status.UNKNOWN)
    checked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["position", "slug"]

    def __str__(self) -> str:
        return self.name


class LanguageModel(Revised):
    """One model of one provider. Its id is `<provider>/<native id>`."""

    revision = "catalogue"

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="models")
    native_id = models.CharField(max_length=160)
    model_id = models.CharField(max_length=200, unique=True)
    name = models.CharField(max_length=160, blank=True)
    description = models.CharField(max_length=300, blank=True)
    parameters = models.CharField(max_length=20, blank=True, help_text=_("As people say it: 671B"))
    min_tier = models.ForeignKey(Tier, on_delete=models.PROTECT)
    position = models.PositiveIntegerField(default=1000)
    enabled = models.BooleanField(default=True)
    listed = models.BooleanField(default=True, help_text=_("Off: callable by its id, but in no list (local fallbacks)"))
    capabilities = models.JSONField(default=list, help_text=_("Of: chat, vision, tools, json, reasoning, embedding, image, audio, …"))
    context_window = models.PositiveIntegerField(null=True, blank=True)
    max_output = models.PositiveIntegerField(null=True, blank=True)
    fallback = models.JSONField(default=list, blank=True, help_text=_("Model ids tried in this order when it cannot answer"))
    price = models.ForeignKey(Price, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    source = models.CharField(max_length=40, blank=True, help_text=_("seed, snapshot, or live"))
    missing_since = models.DateTimeField(null=True, blank=True, help_text=_("No longer in its provider's list; never deleted"))
    status = models.CharField(max_length=10, choices=Status, default=Status.UNKNOWN)
    status_since = models.DateTimeField(null=True, blank=True)
    ttft_ms = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["position", "model_id"]
        constraints = [models.UniqueConstraint(fields=["provider", "native_id"], name="language_model_once")]

    def __str__(self) -> str:
        return self.model_id


class IdempotentAnswer(models.Model):
    """An answer kept for a request sent again with the same Idempotency-Key: no second call, no second charge."""

    subject = models.CharField(max_length=80)
    key = models.CharField(max_length=255)
    body_digest = models.CharField(max_length=64)
    request_id = models.CharField(max_length=40)
    completion = models.JSONField(null=True, help_text=_("Empty while the first request runs"))
    created = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["subject", "key"], name="idempotent_answer_once")]

    def __str__(self) -> str:
        return self.key
