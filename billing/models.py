"""Tiers, what gives a person one, and the meter's tables."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models import Max, ProtectedError, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from billing.contracts import Declaration, Interval, Invoice, Order, TierPrice
from billing.entitlements import NOT_RUNNING, OVER, Entitlement
from billing.figures import Figures, Mark, TierDay
from billing.revision import Revised, Revision

__all__ = [
    "Declaration", "Figures", "Interval", "Invoice", "Mark", "Order", "OutboxMail", "Price", "Revision", "Subscription", "Tier", "TierDay",
    "TierPrice", "UsageDay", "UsageEvent",
]  # fmt: skip


ONLY_ONE = ("is_guest", "is_default")  # columns that one tier has


class Tier(Revised):
    """One row a tier. Whatever differs between tiers is a column here; no code asks for a slug. 0 = no limit."""

    revision = "tiers"

    slug = models.SlugField(_("slug"), max_length=20, unique=True)
    name = models.CharField(_("name"), max_length=40, help_text=_("Everywhere, also in the API; pages in English show the English one."))
    name_en = models.CharField(_("name in English"), max_length=40, blank=True, default="", db_default="", help_text=_("Empty: the name"))
    position = models.PositiveSmallIntegerField(
        _("position"), unique=True, help_text=_("0 is the lowest. A model opens from its own tier upwards.")
    )
    price_monthly = models.DecimalField(
        _("price a month"), max_digits=8, decimal_places=2, default=Decimal(0), help_text=_("EUR, VAT included")
    )
    price_yearly = models.DecimalField(
        _("price a year"), max_digits=8, decimal_places=2, default=Decimal(0), help_text=_("EUR, VAT included")
    )
    features = models.JSONField(_("features"), default=list, blank=True)
    features_en = models.JSONField(_("features in English"), default=list, blank=True)
    all_models = models.BooleanField(_("all models"), default=False, help_text=_('Shown as "all" where a model count is shown.'))
    daily_tokens = models.PositiveBigIntegerField(_("daily tokens"), default=0, help_text=_("Input + output a UTC day; 0 = no limit"))
    shadow = models.BooleanField(
        _("on trial"),
        default=False,
        db_default=False,
        help_text=_("The daily tokens are counted but not enforced: what they would have refused is marked on its receipt."),
    )
    ollama_unlimited = models.BooleanField(
        _("Ollama without limit"), default=False, help_text=_("Ollama models do not count against the daily tokens.")
    )
    requests_per_minute = models.PositiveIntegerField(_("requests a minute"), default=0)
    reads_per_minute = models.PositiveIntegerField(_("reads a minute"), default=600, help_text=_("Requests that ask no model"))
    concurrency = models.PositiveIntegerField(_("concurrency"), default=0, help_text=_("Model requests at the same time; 0 = no limit"))
    queue_head_start = models.PositiveIntegerField(
        _("queue head start"), default=0, help_text=_("Seconds: a waiting request counts as having come this much earlier.")
    )
    mcp_access = models.BooleanField(_("MCP access"), default=False)
    cli_agents = models.BooleanField(_("CLI agents"), default=False)
    local_cli_agents = models.BooleanField(_("local CLI agents"), default=False)
    priority_queue = models.BooleanField(_("priority queue"), default=False)
    support_level = models.CharField(_("support level"), max_length=20, default="none")
    is_guest = models.BooleanField(_("guests' tier"), default=False, help_text=_("The tier of callers without an account"))
    is_default = models.BooleanField(_("default tier"), default=False, help_text=_("The tier of accounts without a subscription"))

    class Meta:
        verbose_name = _("tier")
        verbose_name_plural = _("tiers")
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["is_guest"], condition=Q(is_guest=True), name="one_guest_tier"),
            models.UniqueConstraint(fields=["is_default"], condition=Q(is_default=True), name="one_default_tier"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def label(self) -> str:
        """Its name in the language of the page."""
        return self.name if get_language() == "de" else self.name_en or self.name

    @property
    def benefits(self) -> list[str]:
        """Its features in the language of the page."""
        return self.features if get_language() == "de" else self.features_en or self.features

    @property
    def is_needed(self) -> bool:
        """Without one for guests and a default nobody has a tier."""
        return self.is_guest or self.is_default

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Raises ProtectedError for the tier of guests and the default."""
        if self.is_needed:
            raise ProtectedError("The guests' tier and the default one are needed.", {self})
        return super().delete(*args, **kwargs)

    @transaction.atomic
    def save(self, *args: Any, **kwargs: Any) -> None:
        """What one tier alone can have is taken from the one that has it; the tier at a taken position changes places with this one."""
        tiers = {tier.pk: tier for tier in Tier.objects.select_for_update().order_by("pk")}
        was, others = tiers.pop(self.pk, None), Tier.objects.exclude(pk=self.pk)
        for name in ONLY_ONE:
            if getattr(self, name):
                others.filter(**{name: True}).update(**{name: False})
        in_its_place = [tier.pk for tier in tiers.values() if was and tier.position == self.position]
        taken = {was.position if was else 0, *(tier.position for tier in tiers.values())}
        others.filter(pk__in=in_its_place).update(position=next(free for free in count() if free not in taken))
        super().save(*args, **kwargs)
        if was:
            others.filter(pk__in=in_its_place).update(position=was.position)

    def validate_unique(self, exclude: Collection[str] | None = None) -> None:
        super().validate_unique({*(exclude or ()), *(() if self._state.adding else ("position",))})  # save() changes places

    def validate_constraints(self, exclude: Collection[str] | None = None) -> None:
        super().validate_constraints({*(exclude or ()), *ONLY_ONE})  # save() takes it from the other

    @property
    def enforced_tokens(self) -> int | None:
        """The tokens a day beyond which requests are refused; None = none are, as without a limit or with one on trial."""
        return None if self.shadow else self.daily_tokens or None

    def clean(self) -> None:
        """Somebody must be the guests' tier, and somebody the default."""
        for name in ONLY_ONE:
            if not getattr(self, name) and not Tier.objects.exclude(pk=self.pk).filter(**{name: True}).exists():
                raise ValidationError({name: _("One tier must have this. Tick it at another tier.")})


class Subscription(models.Model):
    """What gives an account its tier: a paid subscription or an operator's grant. In force from starts_at to ends_at."""

    class Source(models.TextChoices):
        GRANT = "grant", _("granted by an operator")
        STRIPE = "stripe", _("paid through Stripe")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="subscriptions", verbose_name=_("account"))
    tier = models.ForeignKey(Tier, on_delete=models.PROTECT, verbose_name=_("tier"))
    source = models.CharField(_("source"), max_length=10, choices=Source, default=Source.GRANT)
    starts_at = models.DateTimeField(_("starts at"), default=timezone.now)
    ends_at = models.DateTimeField(_("ends at"), null=True, blank=True, help_text=_("Empty = until further notice"))
    note = models.CharField(_("note"), max_length=200, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    # of one that is paid through Stripe: as billing.entitlements reads Stripe's object, never edited here
    stripe_id = models.CharField(_("Stripe ID"), max_length=255, unique=True, null=True, blank=True)
    customer_id = models.CharField(_("Stripe customer"), max_length=255, blank=True, default="", db_default="", db_index=True)
    status = models.CharField(_("status"), max_length=20, blank=True, default="", db_default="", help_text=_("Stripe's word"))
    interval = models.CharField(_("interval"), max_length=5, choices=Interval, blank=True, default="", db_default="")
    price_id = models.CharField(_("Stripe price"), max_length=255, blank=True, default="", db_default="")
    amount = models.DecimalField(
        _("amount"), max_digits=10, decimal_places=2, null=True, blank=True, help_text=_("A period's price, VAT included")
    )
    currency = models.CharField(_("currency"), max_length=3, blank=True, default="", db_default="")
    period_ends_at = models.DateTimeField(_("period ends at"), null=True, blank=True)
    cancel_at_period_end = models.BooleanField(_("cancel at period end"), default=False, db_default=False)
    cancelled_at = models.DateTimeField(_("cancelled at"), null=True, blank=True)
    next_tier = models.ForeignKey(
        Tier,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("What it becomes at the period's end"),
        verbose_name=_("next tier"),
    )
    next_interval = models.CharField(_("next interval"), max_length=5, choices=Interval, blank=True, default="", db_default="")
    schedule_id = models.CharField(_("Stripe schedule"), max_length=255, blank=True, default="", db_default="")

    class Meta:
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions and grants")
        ordering = ["-created"]
        permissions = [("refund_subscription", "Can give back what a subscription cost")]

    def __str__(self) -> str:
        return f"{self.user} · {self.tier}"

    def clean(self) -> None:
        if self.ends_at and self.ends_at <= self.starts_at:
            raise ValidationError({"ends_at": _("It would end before it begins.")})

    @classmethod
    def live(cls) -> models.QuerySet[Subscription]:
        """Those whose contract runs at Stripe, paid or not."""
        return cls.objects.filter(source=cls.Source.STRIPE).exclude(status__in=(*NOT_RUNNING, ""))

    @property
    def is_live(self) -> bool:
        """Is it one of live()?"""
        return self.source == self.Source.STRIPE and self.status not in (*NOT_RUNNING, "")

    def owes_for(self, given: Entitlement) -> bool:
        """Was the payment of the same period missing already?"""
        same = self.period_ends_at is not None and abs(self.period_ends_at - given.period_ends_at) < timedelta(days=1)
        return same and self.status == given.status == "past_due"

    @classmethod
    def sync(cls, user_id: int, given: Entitlement) -> tuple[Subscription | None, Subscription]:
        """Write down what a Stripe subscription gives its owner: (the row as it was, the row as it is).

        Called with the customer's row locked, so that what was fetched last is written last.
        """
        before = cls.objects.filter(stripe_id=given.stripe_id).first()
        values = {**vars(given), "user_id": user_id, "source": cls.Source.STRIPE}
        if before is not None and before.status == given.status and before.status in OVER:
            values["ends_at"] = before.ends_at  # it ended when it was first seen to have
        if before is not None and before.owes_for(given):
            values["ends_at"] = min(before.ends_at or given.ends_at, given.ends_at)  # another invoice does not begin the grace anew
        after, _made = cls.objects.update_or_create(stripe_id=given.stripe_id, defaults=values)
        return before, after


class Price(models.Model):
    """One version of a model's price in USD per million tokens. Never changed once written: receipts point at it."""

    model_id = models.CharField(_("model ID"), max_length=200, db_index=True)
    input = models.DecimalField(_("input"), max_digits=12, decimal_places=6, validators=[MinValueValidator(Decimal(0))])
    output = models.DecimalField(_("output"), max_digits=12, decimal_places=6, validators=[MinValueValidator(Decimal(0))])
    cached_input = models.DecimalField(
        _("cached input"), max_digits=12, decimal_places=6, null=True, blank=True, validators=[MinValueValidator(Decimal(0))]
    )
    cache_write = models.DecimalField(
        _("cache write"), max_digits=12, decimal_places=6, null=True, blank=True, validators=[MinValueValidator(Decimal(0))]
    )
    source = models.CharField(_("source"), max_length=80)
    created = models.DateTimeField(_("created"), default=timezone.now)
    approved = models.BooleanField(default=True, help_text=_("A jump of more than 3× waits here for an operator's yes."))
    declined = models.BooleanField(default=False, db_default=False, help_text=_("An operator said no."))

    class Meta:
        verbose_name = _("model's price")
        verbose_name_plural = _("models' prices")
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

    subject = models.CharField(_("counted for"), max_length=80)
    usage_class = models.CharField(_("class"), max_length=9, choices=UsageClass)
    day = models.DateField(_("day"))
    limit = models.BigIntegerField(_("limit"), null=True, help_text=_("As of the last reservation; empty = none"))
    used = models.BigIntegerField(_("used"), default=0)
    reserved = models.BigIntegerField(_("reserved"), default=0)

    class Meta:
        verbose_name = _("counter of a day")
        verbose_name_plural = _("counters by day")
        constraints = [
            models.UniqueConstraint(fields=["subject", "usage_class", "day"], name="usage_day_once"),
            models.CheckConstraint(condition=Q(used__gte=0, reserved__gte=0), name="usage_day_not_negative"),
        ]
        indexes = [models.Index(fields=["day"], name="usage_day_day")]

    def __str__(self) -> str:
        return f"{self.subject} {self.usage_class} {self.day}: {self.used} (+{self.reserved})"


class UsageEvent(models.Model):
    """A receipt: one row a request, written before the provider is asked and closed after it. Nobody edits one."""

    class State(models.TextChoices):
        OPEN = "open", _("running")
        SETTLED = "settled", _("settled")
        FAILED = "failed", _("failed, not charged")
        EXPIRED = "expired", _("settled by the sweeper from its last checkpoint")

    request_id = models.CharField(_("request ID"), max_length=40, unique=True)
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, db_index=False, related_name="receipts", verbose_name=_("account")
    )
    subject = models.CharField(_("counted for"), max_length=80)
    key_id = models.BigIntegerField(_("key"), null=True, help_text=_("The API key's id, where one was used"))
    key_limited = models.BooleanField(
        _("limited by its key"), default=False, db_default=False, help_text=_("The key has a daily limit of its own, held and charged too")
    )
    tier = models.CharField(_("tier"), max_length=20)
    entry_point = models.CharField(_("door"), max_length=20)
    day = models.DateField(_("day"))
    usage_class = models.CharField(_("class"), max_length=9, choices=UsageClass)
    requested_model = models.CharField(_("requested model"), max_length=200)
    served_model = models.CharField(_("served model"), max_length=200, blank=True, default="", db_default="")
    attempts = models.JSONField(_("attempts"), default=list, db_default=[])
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.OPEN, db_default=State.OPEN)
    streamed = models.BooleanField(_("streamed"), default=False, db_default=False)
    input_tokens = models.BigIntegerField(
        _("input tokens"), default=0, db_default=0, help_text=_("All of the input, cached parts included")
    )
    cached_input_tokens = models.BigIntegerField(_("cached input tokens"), default=0, db_default=0)
    cache_write_tokens = models.BigIntegerField(_("cache write tokens"), default=0, db_default=0)
    output_tokens = models.BigIntegerField(
        _("output tokens"), default=0, db_default=0, help_text=_("All of the output, reasoning included")
    )
    reasoning_tokens = models.BigIntegerField(_("reasoning tokens"), default=0, db_default=0)
    estimated = models.BooleanField(
        _("estimated"), default=False, db_default=False, help_text=_("Own count: the provider reported no usage")
    )
    over_limit = models.BooleanField(
        _("over the limit"),
        default=False,
        db_default=False,
        help_text=_("The daily tokens would have refused it, were the tier not on trial"),
    )
    reserved = models.BigIntegerField(_("reserved"))
    charged = models.BigIntegerField(_("charged"), default=0, db_default=0)
    rule = models.CharField(
        _("rule"), max_length=40, blank=True, default="", db_default="", help_text=_("The row of the charging table that applied")
    )
    price_version = models.BigIntegerField(_("price version"), null=True)
    latency_ms = models.IntegerField(_("latency (ms)"), null=True)
    ttft_ms = models.IntegerField(_("time to first token (ms)"), null=True, help_text=_("Time to the first token"))
    finish_reason = models.CharField(_("finish reason"), max_length=20, blank=True, default="", db_default="")
    error_code = models.CharField(_("error code"), max_length=40, blank=True, default="", db_default="")
    created = models.DateTimeField(_("created"))
    expires = models.DateTimeField(_("expires"), help_text=_("The sweeper settles an open receipt after this"))
    closed = models.DateTimeField(_("closed"), null=True)
    visitor = models.CharField(_("visitor"), max_length=32, blank=True, default="", db_default="", help_text=_("A guest's browser"))

    class Meta:
        verbose_name = _("receipt")
        verbose_name_plural = _("receipts")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["account", "-id"], name="usage_event_account"),
            models.Index(fields=["expires"], condition=Q(state="open"), name="usage_event_open"),
            models.Index(fields=["created"], name="usage_event_created"),
            models.Index(fields=["visitor"], condition=~Q(visitor=""), name="usage_event_visitor"),
        ]
        permissions = [("export_usageevent", "Can export receipts")]

    def __str__(self) -> str:
        return self.request_id

    @classmethod
    def newest_pk(cls) -> int:
        """The newest receipt's number; 0 where there is none."""
        return cls.objects.aggregate(pk=Max("pk"))["pk"] or 0


class OutboxMail(models.Model):
    """A mail that must survive a crash: written in the transaction that causes it, sent by a task, once a `dedupe` key."""

    dedupe = models.CharField(_("key against doubles"), max_length=120, unique=True)
    to = models.EmailField(_("recipient"))
    subject = models.CharField(_("subject"), max_length=200)
    body = models.TextField()
    html = models.TextField(blank=True, default="", db_default="", help_text=_("The same for readers of HTML; empty = text alone"))
    created = models.DateTimeField(_("created"), auto_now_add=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    not_before = models.DateTimeField(_("not before"), default=timezone.now, db_default=Now(), help_text=_("The next attempt is due then"))
    sent_at = models.DateTimeField(_("sent at"), null=True)
    error = models.CharField(_("error"), max_length=200, blank=True)
    forget = models.BooleanField(_("forget once sent"), default=False, db_default=False, help_text=_("Deleted as soon as it is sent"))

    class Meta:
        verbose_name = _("mail")
        verbose_name_plural = _("mails")
        indexes = [models.Index(fields=["created"], condition=Q(sent_at=None), name="outbox_mail_unsent")]

    def __str__(self) -> str:
        return f"{self.to}: {self.subject}"
