"""Who answers: providers and their models; what was said: conversations, their turns and attachments; and the answers kept for a replay."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from django.conf import settings
from django.db import models
from django.db.models import Q, TextChoices
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from billing.models import Price, Tier, UsageClass
from billing.revision import Revised

if TYPE_CHECKING:
    from accounts.caller import Caller

M = TypeVar("M", bound=models.Model)


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


class ProviderDay(models.Model):
    """How often a provider was looked at on a UTC day, and what the looks showed."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    good = models.PositiveIntegerField(default=0)
    degraded = models.PositiveIntegerField(default=0)
    bad = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "day"], name="provider_day_once")]

    def __str__(self) -> str:
        return f"{self.provider_id} {self.day}"


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


class OwnedQuerySet(models.QuerySet[M, M]):
    def of(self, caller: Caller) -> Any:
        """The rows of the caller's: of the account, or of a guest's browser; none for a guest without one."""
        if caller.user_id is not None:
            return self.filter(user=caller.user_id)
        return self.filter(visitor=caller.visitor) if caller.visitor else self.none()


class Owned(models.Model):
    """What belongs to an account, or to a guest's browser until it signs in."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="%(class)ss")
    visitor = models.CharField(max_length=32, blank=True, default="")
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True


class Conversation(Owned):
    """Turns in a tree; `leaf` is the end of the branch that is shown."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    title = models.CharField(max_length=120)
    folder = models.CharField(max_length=60, blank=True)
    pinned = models.BooleanField(default=False)
    model = models.CharField(max_length=200, blank=True, help_text=_("The model last asked"))
    system_prompt = models.TextField(blank=True)
    parameters = models.JSONField(default=dict, help_text=_("temperature, max_tokens and substitution, where set"))
    leaf = models.ForeignKey("Turn", null=True, on_delete=models.SET_NULL, related_name="+")
    changed = models.DateTimeField(default=timezone.now)
    deleted = models.DateTimeField(null=True, help_text=_("In the bin since; gone for good a week later"))
    share_token = models.CharField(max_length=40, null=True, unique=True)
    share_expires = models.DateTimeField(null=True, help_text=_("Empty = until it is revoked"))
    share_leaf = models.ForeignKey("Turn", null=True, on_delete=models.SET_NULL, related_name="+", help_text=_("The end of what is shared"))

    objects = OwnedQuerySet["Conversation"].as_manager()

    class Meta:
        ordering = ["-changed"]
        indexes = [
            models.Index(fields=["user", "-changed"], name="conversation_user"),
            models.Index(fields=["visitor", "-changed"], condition=~Q(visitor=""), name="conversation_visitor"),
            models.Index(fields=["deleted"], condition=Q(deleted__isnull=False), name="conversation_deleted"),
        ]

    def __str__(self) -> str:
        return self.title


class Attachment(Owned):
    """A file of somebody's: an image as it came, anything else as its text."""

    class Kind(TextChoices):
        IMAGE = "image", _("image")
        TEXT = "text", _("text")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=5, choices=Kind)
    media_type = models.CharField(max_length=100)
    size = models.PositiveIntegerField(help_text=_("Bytes, as uploaded"))
    tokens = models.PositiveIntegerField(help_text=_("A fair guess"))
    image = models.BinaryField(default=b"")
    text = models.TextField(blank=True)

    objects = OwnedQuerySet["Attachment"].as_manager()

    class Meta:
        ordering = ["created"]
        indexes = [
            models.Index(fields=["visitor"], condition=~Q(visitor=""), name="attachment_visitor"),
        ]

    def __str__(self) -> str:
        return self.name


class Turn(models.Model):
    """What was asked and what was answered. Its id is chosen by who asks, so that asking twice is asking once.

    `pieces` are the lengths of the answer's parts in the order in which they came, those of its reasoning below zero: what a reader
    who lost the line goes on from.
    """

    class State(TextChoices):
        RUNNING = "running", _("running")
        DONE = "done", _("answered")
        CANCELLED = "cancelled", _("stopped")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="turns")
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="children")
    group = models.UUIDField(null=True, help_text=_("Turns of one comparison"))
    prompt = models.TextField()
    attachments = models.ManyToManyField(Attachment, related_name="turns")
    requested_model = models.CharField(max_length=200)
    model = models.CharField(max_length=200, blank=True)
    backend = models.CharField(max_length=30, blank=True)
    answer = models.TextField(blank=True)
    reasoning = models.TextField(blank=True)
    pieces = models.JSONField(default=list)
    state = models.CharField(max_length=9, choices=State, default=State.RUNNING)
    cancel_requested = models.BooleanField(default=False)
    error_code = models.CharField(max_length=40, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    request_id = models.CharField(max_length=40, blank=True, help_text=_("Its receipt"))
    finish_reason = models.CharField(max_length=20, blank=True)
    tokens_used = models.PositiveBigIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    latency_ms = models.PositiveIntegerField(null=True)
    fallback_used = models.BooleanField(default=False)
    warnings = models.JSONField(default=list)
    created = models.DateTimeField(default=timezone.now)
    saved = models.DateTimeField(default=timezone.now, help_text=_("Of one that runs: its process lives while this is recent"))

    class Meta:
        ordering = ["created", "id"]
        indexes = [models.Index(fields=["saved"], condition=Q(state="running"), name="turn_running")]

    def __str__(self) -> str:
        return str(self.pk)
