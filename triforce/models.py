"""Texts of the operator's: privacy, imprint, terms."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Text(models.Model):
    """One page in one language, in Markdown."""

    slug = models.SlugField(max_length=40, help_text=_("Its address: /pages/<slug>"))
    language = models.CharField(max_length=5, choices=settings.LANGUAGES, default="de")
    title = models.CharField(max_length=80)
    body = models.TextField(help_text=_("Markdown; HTML is shown as text"))
    position = models.PositiveSmallIntegerField(default=0)
    changed = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["position", "slug"]
        constraints = [models.UniqueConstraint(fields=["slug", "language"], name="text_once_a_language")]

    def __str__(self) -> str:
        return f"{self.title} ({self.language})"
