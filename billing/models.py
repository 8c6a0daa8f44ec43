"""Tiers, what gives a person one, and the meter's tables."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from billing.revision import Revised, Revision

__all__ = ["OutboxMail", "Price", "Revision", "Subscription", "Tier", "UsageDay", "UsageEvent"]


class Tier(Revised):
    """One row a tier. Whatever differs between tiers is a column here; no code asks for a slug. 0 = no limit."""

    revision = "tiers"

    slug = models.SlugField(max_length=20, unique=True)
    name = models.CharField(max_length=40)
    position = models.PositiveSmallIntegerField(unique=True, help_text=_("0 is the lowest. A model opens from its own tier upwards."))
    price_monthly = models.DecimalField(max_digits=8, decimal_places=2, default=Decimal(0), help_text=_("EUR, VAT included"))
    price_yearly = models.DecimalField(max_digits=8, decimal_places=2, default=Decimal(0), help_text=_("EUR, VAT included"))
    features = models.JSONField(default=list, blank=True)
    all_models = models.BooleanField(default=False, help_text=_('Shown as "all" where a model count is shown.'))
    daily_tokens = models.PositiveBigIntegerField(default=0, help_text=_("Input + output a UTC day; 0 = no limit"))
    ollama_unlimited = models.BooleanField(default=False, help_text=_("Ollama models do not count against the daily tokens."))
    requests_per_minute = models.PositiveIntegerField(default=0)
    reads_per_minute = models.PositiveIntegerField(default=600, help_text=_("Requests that ask no model"))
    concurrency = models.PositiveIntegerField(default=0, help_text=_("Model requests at the same time; 0 = no limit"))
    queue_head_start = models.PositiveIntegerField(
        default=0, help_text=_("Seconds: a waiting request counts as having come this much earlier.")
    )
    mcp_access = models.BooleanField(default=False)
    cli_agents = models.BooleanField(default=False)
    local_cli_agents = models.BooleanField(default=False)
    priority_queue = models.BooleanField(default=False)
    support_level = models.CharField(max_length=20, default="none")
    is_guest = models.BooleanField(default=False, help_text=_("The tier of callers without an account"))
    is_default = models.BooleanField(default=False, help_text=_("The tier of accounts without a subscription"))

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["is_guest"], condition=Q(is_guest=True), name="one_guest_tier"),
            models.UniqueConstraint(fields=["is_default"], condition=Q(is_default=True), name="one_default_tier"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Somebody must be the guests' tier, and somebody the default."""
        for name in ("is_guest", "is_default"):
            if not getattr(self, name) and not Tier.objects.exclude(pk=self.pk).filter(**{name: True}).exists():
                raise ValidationError({name: _("One tier must have this. Give it to another tier first.")})


class Subscription(models.Model):
    """What gives an account its tier: a paid subscription or an operator's grant. In force from starts_at to ends_at."""

    class Source(models.TextChoices):
        GRANT = "grant", _("granted by an operator")
        STRIPE = "stripe", _("paid through Stripe")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="subscriptions")
    tier = models.ForeignKey(Tier, on_delete=models.PROTECT)
    source = models.CharField(max_length=10, choices=Source, default=Source.GRANT)
    starts_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField(null=True, blank=True, help_text=_("Empty = until further notice"))
    note = models.CharField(max_length=200, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
        return f"{self.user} · {self.tier}"


class Price(models.Model):
    """One version of a model's price in USD per million tokens. Never changed once written: receipts point at it."""

    model_id = models.CharField(max_length=200, db_index=True)
    input = models.DecimalField(max_digits=12, decimal_places=6, validators=[MinValueValidator(Decimal(0))])
    output = models.DecimalField(max_digits=12, decimal_places=6, validators=[MinValueValidator(Decimal(0))])
    cached_input = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True, validators=[MinValueValidator(Decimal(0))])
    cache_write = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True, validators=[MinValueValidator(Decimal(0))])
    source = models.CharField(max_length=80)
    created = models.DateTimeField(default=timezone.now)
    approved = models.BooleanField(default=True, help_text=_("A jump of more than 3× waits here for an operator's yes."))

    class Meta:
        ordering = ["-created"]
        constraints = [
            models.CheckConstraint(
                condition=Q(input__gte=0)
                & Q(output__gte=0)
                & (Q(cached_input__gte=0) | Q(cached_input=None))
                & (Q(cache_write__gte=0) | Q(cache_write=None)),
                name="price_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_id} v{self.pk}: {self.input}/{self.output}"


class UsageClass(models.TextChoices):
    """Which of a subject's two counters a request belongs to."""

    CLOUD = "cloud", _("counts against the daily limit")
    UNLIMITED = "unlimited", _("counted, without a limit")


class UsageDay(models.Model):
    """What one subject used and holds in one class on one UTC day. Written by billing/quota.py alone.

    subject: "user:<id>", "guest:<hash>" or "key:<id>" (a key's own limit).
    """

    subject = models.CharField(max_length=80)
    usage_class = models.CharField(max_length=9, choices=UsageClass)
    day = models.DateField()
    limit = models.BigIntegerField(null=True, help_text=_("As of the last reservation; empty = none"))
    used = models.BigIntegerField(default=0)
    reserved = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject", "usage_class", "day"], name="usage_day_once"),
            models.CheckConstraint(condition=Q(used__gte=0, reserved__gte=0), name="usage_day_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} {self.usage_class} {self.day}: {self.used} (+{self.reserved})"


class UsageEvent(models.Model):
    """A receipt: one row a request, written before the provider is asked and closed after it. Nobody edits one."""

    class State(models.TextChoices):
        OPEN = "open", _("running")
        SETTLED = "settled", _("settled")
        FAILED = "failed", _("failed, not charged")
        EXPIRED = "expired", _("settled by the sweeper from its last checkpoint")

    request_id = models.CharField(max_length=40, unique=True)
    account = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, db_index=False, related_name="receipts")
    subject = models.CharField(max_length=80)
    key_id = models.BigIntegerField(null=True, help_text=_("The API key's id, where one was used"))
    key_limited = models.BooleanField(
        default=False, db_default=False, help_text=_("The key has a daily limit of its own, held and charged too")
    )
    tier = models.CharField(max_length=20)
    entry_point = models.CharField(max_length=20)
    day = models.DateField()
    usage_class = models.CharField(max_length=9, choices=UsageClass)
    requested_model = models.CharField(max_length=200)
    served_model = models.CharField(max_length=200, blank=True, default="", db_default="")
    attempts = models.JSONField(default=list, db_default=[])
    state = models.CharField(max_length=8, choices=State, default=State.OPEN, db_default=State.OPEN)
    streamed = models.BooleanField(default=False, db_default=False)
    input_tokens = models.BigIntegerField(default=0, db_default=0, help_text=_("All of the input, cached parts included"))
    cached_input_tokens = models.BigIntegerField(default=0, db_default=0)
    cache_write_tokens = models.BigIntegerField(default=0, db_default=0)
    output_tokens = models.BigIntegerField(default=0, db_default=0, help_text=_("All of the output, reasoning included"))
    reasoning_tokens = models.BigIntegerField(default=0, db_default=0)
    estimated = models.BooleanField(default=False, db_default=False, help_text=_("Own count: the provider reported no usage"))
    reserved = models.BigIntegerField()
    charged = models.BigIntegerField(default=0, db_default=0)
    rule = models.CharField(max_length=40, blank=True, default="", db_default="", help_text=_("The row of the charging table that applied"))
    price_version = models.BigIntegerField(null=True)
    latency_ms = models.IntegerField(null=True)
    ttft_ms = models.IntegerField(null=True, help_text=_("Time to the first token"))
    finish_reason = models.CharField(max_length=20, blank=True, default="", db_default="")
    error_code = models.CharField(max_length=40, blank=True, default="", db_default="")
    created = models.DateTimeField()
    expires = models.DateTimeField(help_text=_("The sweeper settles an open receipt after this"))
    closed = models.DateTimeField(null=True)
    visitor = models.CharField(max_length=32, blank=True, default="", db_default="", help_text=_("A guest's browser"))

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["account", "-id"], name="usage_event_account"),
            models.Index(fields=["expires"], condition=Q(state="open"), name="usage_event_open"),
            models.Index(fields=["created"], name="usage_event_created"),
            models.Index(fields=["visitor"], condition=~Q(visitor=""), name="usage_event_visitor"),
        ]

    def __str__(self) -> str:
        return self.request_id


class OutboxMail(models.Model):
    """A mail that must survive a crash: written in the transaction that causes it, sent by a task, once a `dedupe` key."""

    dedupe = models.CharField(max_length=120, unique=True)
    to = models.EmailField()
    subject = models.CharField(max_length=200)
    body = models.TextField()
    created = models.DateTimeField(auto_now_add=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now, db_default=Now(), help_text=_("The next attempt is due then"))
    sent_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=200, blank=True)
    forget = models.BooleanField(default=False, db_default=False, help_text=_("Deleted as soon as it is sent"))

    class Meta:
        indexes = [models.Index(fields=["created"], condition=Q(sent_at=None), name="outbox_mail_unsent")]

    def __str__(self) -> str:
        return f"{self.to}: {self.subject}"
