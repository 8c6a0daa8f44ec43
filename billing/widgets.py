"""Fields of the admin: lists as people write them, one thing a line; moments whose two halves have names."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminDateWidget, AdminSplitDateTime, AdminTimeWidget
from django.utils.translation import gettext_lazy as _


class LinesField(forms.CharField):
    """A JSON list of words, shown and taken as lines."""

    widget = forms.Textarea(attrs={"rows": 5, "cols": 60})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        text = super().clean(value)
        return [line.strip() for line in text.splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        lines = [line.strip() for line in str(data or "").splitlines() if line.strip()]
        return lines != list(initial or [])


class SplitDateTime(AdminSplitDateTime):
    """Django's own, where each half says what it is to who does not see it."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        halves = [AdminDateWidget({"aria-label": _("Date")}), AdminTimeWidget({"aria-label": _("Time")})]
        forms.MultiWidget.__init__(self, halves, attrs)
