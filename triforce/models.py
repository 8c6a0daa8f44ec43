"""What the operator writes: texts like privacy and imprint, announcements; and how the background tasks do."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from billing.models import Tier
from billing.revision import Revised


class Text(models.Model):
    """One page in one language, in Markdown."""

    slug = models.SlugField(_("slug"), max_length=40, help_text=_("Its address: /pages/<slug>"))
    language = models.CharField(_("language"), max_length=5, choices=settings.LANGUAGES, default="de")
    title = models.CharField(_("title"), max_length=80)
    body = models.TextField(_("body"), help_text=_("Markdown; HTML is shown as text"))
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    changed = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("text")
        verbose_name_plural = _("texts")
        ordering = ["position", "slug"]
        constraints = [models.UniqueConstraint(fields=["slug", "language"], name="text_once_a_language")]

    def __str__(self) -> str:
        return f"{self.title} ({self.language})"


class Announcement(Revised):
    """A notice on every page, from `starts_at` to `ends_at`, for everybody or for some tiers."""

    revision = "announcements"

    class Level(models.TextChoices):
        INFO = "info", _("notice")
        GOOD = "good", _("good news")
        WARN = "warn", _("warning")
        BAD = "bad", _("trouble")

    text_de = models.CharField(_("German text"), max_length=400)
    text_en = models.CharField(_("English text"), max_length=400)
    level = models.CharField(_("kind"), max_length=4, choices=Level, default=Level.INFO)
    starts_at = models.DateTimeField(_("from"), default=timezone.now)
    ends_at = models.DateTimeField(_("until"), null=True, blank=True, help_text=_("Empty = until further notice"))
    tiers = models.ManyToManyField(Tier, verbose_name=_("for"), blank=True, help_text=_("None chosen = for everybody"))
    dismissible = models.BooleanField(_("can be put away"), default=True)

    class Meta:
        ordering = ["-starts_at"]
        verbose_name = _("announcement")
        verbose_name_plural = _("announcements")

    def __str__(self) -> str:
        return self.text[:80]

    @property
    def text(self) -> str:
        """In the reader's language."""
        return self.text_de if get_language() == "de" else self.text_en

    def clean(self) -> None:
        if self.ends_at and self.ends_at <= self.starts_at:
            raise ValidationError({"ends_at": _("It would end before it begins.")})


class TaskState(models.Model):
    """How one background task does."""

    task = models.CharField(_("task"), max_length=120, unique=True)
    since = models.DateTimeField(_("expected since"), default=timezone.now, db_default=Now())
    succeeded = models.DateTimeField(_("last went well"), null=True)
    failed = models.DateTimeField(_("last failed"), null=True)
    failures = models.PositiveIntegerField(_("failures"), default=0)
    error = models.CharField(_("last error"), max_length=300, blank=True)

    class Meta:
        ordering = ["task"]
        verbose_name = _("background task")
        verbose_name_plural = _("background tasks")

    def __str__(self) -> str:
        return self.task

    @property
    def is_failing(self) -> bool:
        """Did it fail after it last went well?"""
        return self.failed is not None and (self.succeeded is None or self.failed > self.succeeded)
