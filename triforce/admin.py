"""The operator's texts."""

from __future__ import annotations

from django.contrib import admin

from triforce.models import Text


@admin.register(Text)
class TextAdmin(admin.ModelAdmin):
    list_display = ("title", "slug", "language", "position", "changed")
    list_filter = ("language",)
