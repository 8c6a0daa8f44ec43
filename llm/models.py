"""Who answers: providers and their models; what was said: conversations, their turns and attachments; and the answers kept for a replay."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q, TextChoices
from django.utils import timezone
from django.utils.translation import gettext
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

    slug = models.SlugField(_("slug"), max_length=30, unique=True)
    name = models.CharField(_("name"), max_length=60)
    wire = models.CharField(_("wire format"), max_length=10, choices=Wire)
    base_url = models.URLField(_("base URL"), max_length=200, blank=True, help_text=_("The environment's <P>_BASE_URL wins."))
    usage_class = models.CharField(_("class"), max_length=9, choices=UsageClass, default=UsageClass.CLOUD)
    enabled = models.BooleanField(_("enabled"), default=True, help_text=_("Off: none of its models is offered or asked."))
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    concurrency = models.PositiveIntegerField(_("concurrency"), default=0, help_text=_("Requests at once over all processes; 0 = no gate"))
    first_byte_seconds = models.PositiveIntegerField(_("seconds to the first byte"), default=30, validators=[MinValueValidator(1)])
    quirks = models.JSONField(_("quirks"), default=dict, blank=True, help_text=_("Deviations from the wire format; see docs/providers.md"))
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.UNKNOWN)
    checked_at = models.DateTimeField(_("checked at"), null=True, blank=True)

    class Meta:
        verbose_name = _("provider")
        verbose_name_plural = _("providers")
        ordering = ["position", "slug"]

    def __str__(self) -> str:
        return self.name


class Looks(models.Model):
    """How often something was looked at on a UTC day, and what the looks showed."""

    day = models.DateField()
    good = models.PositiveIntegerField(default=0)
    degraded = models.PositiveIntegerField(default=0)
    bad = models.PositiveIntegerField(default=0)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.day}: {self.good}/{self.degraded}/{self.bad}"


class ProviderDay(Looks):
    """A provider's looks."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "day"], name="provider_day_once")]


class LanguageModel(Revised):
    """One model of one provider. Its id is `<provider>/<native id>`."""

    revision = "catalogue"

    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="models", verbose_name=_("provider"))
    native_id = models.CharField(_("the provider's ID"), max_length=160)
    model_id = models.CharField(_("model ID"), max_length=200, unique=True)
    aliases = models.JSONField(_("aliases"), default=list, db_default=[], blank=True, help_text=_("Other ids that mean this model"))
    name = models.CharField(_("name"), max_length=160, blank=True)
    description = models.CharField(_("description"), max_length=300, blank=True)
    parameters = models.CharField(_("parameters"), max_length=20, blank=True, help_text=_("As people say it: 671B"))
    min_tier = models.ForeignKey(Tier, on_delete=models.PROTECT, verbose_name=_("lowest tier"))
    position = models.PositiveIntegerField(_("position"), default=1000)
    enabled = models.BooleanField(_("enabled"), default=True)
    listed = models.BooleanField(_("listed"), default=True, help_text=_("Off: callable by its id, but in no list (local fallbacks)"))
    capabilities = models.JSONField(
        _("capabilities"), default=list, help_text=_("Of: chat, vision, tools, json, reasoning, embedding, image, audio, …")
    )
    context_window = models.PositiveIntegerField(_("context window"), null=True, blank=True)
    max_output = models.PositiveIntegerField(_("longest output"), null=True, blank=True)
    fallback = models.JSONField(_("fallback"), default=list, blank=True, help_text=_("Model ids tried in this order when it cannot answer"))
    price = models.ForeignKey(Price, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", verbose_name=_("price"))
    source = models.CharField(_("source"), max_length=40, blank=True, help_text=_("seed, snapshot, or live"))
    missing_since = models.DateTimeField(
        _("missing since"), null=True, blank=True, help_text=_("No longer in its provider's list; never deleted")
    )
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.UNKNOWN)
    status_since = models.DateTimeField(_("status since"), null=True, blank=True)
    ttft_ms = models.PositiveIntegerField(_("time to first token (ms)"), null=True, blank=True)

    class Meta:
        verbose_name = _("model")
        verbose_name_plural = _("models")
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


class ModelDay(Looks):
    """A model's looks: what was known of it, once an hour."""

    language_model = models.ForeignKey(LanguageModel, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["language_model", "day"], name="model_day_once")]


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
    expires = models.DateTimeField(_("expires"), null=True, help_text=_("Of a temporary chat; empty = it stays as long as its chat"))
    image = models.BinaryField(default=b"")
    text = models.TextField(blank=True)

    objects = OwnedQuerySet["Attachment"].as_manager()

    class Meta:
        ordering = ["created"]
        indexes = [
            models.Index(fields=["visitor"], condition=~Q(visitor=""), name="attachment_visitor"),
            models.Index(fields=["expires"], condition=Q(expires__isnull=False), name="attachment_expires"),
        ]

    def __str__(self) -> str:
        return self.name


LOST = "process_lost"  # the error_code of a turn whose process died


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

    @property
    def error_sentence(self) -> str:
        """What went wrong, for who reads it. A lost process had nobody's language to say it in, so that is said here."""
        return gettext("The server was restarted while this answer was written.") if self.error_code == LOST else self.error_detail
