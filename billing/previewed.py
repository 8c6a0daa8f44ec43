"""Admin pages whose changes are shown with what they would do before they are saved."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.options import TO_FIELD_VAR
from django.contrib.admin.utils import unquote
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from billing.audited import AuditedAdmin

SEEN = "_preview_seen"  # in the form's second sending


class PreviewedAdmin(AuditedAdmin):
    """A change of a column in `previewed` is saved by a second yes, on a page of `preview_template` that look_ahead() fills."""

    previewed: frozenset[str] = frozenset()
    preview_template = "admin/preview.html"

    def look_ahead(self, request: HttpRequest, before: Any, form: Any) -> dict[str, Any]:
        """What the page says of the change. `form.instance` is the row as it would be."""
        raise NotImplementedError

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method == "POST" and SEEN not in request.POST:
            before = self.get_object(request, unquote(object_id), request.GET.get(TO_FIELD_VAR))
            if before is not None and self.has_change_permission(request, before):
                changed = self.model._default_manager.get(pk=before.pk)
                form = self.get_form(request, before, change=True)(request.POST, instance=changed)
                if form.is_valid() and self.previewed & set(form.changed_data):
                    return self._preview(request, before, form)
        return super().change_view(request, object_id, form_url, extra_context)

    def _preview(self, request: HttpRequest, before: Any, form: Any) -> HttpResponse:
        """What the change would have done, and the same form again to be sent or left."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("What this would have done to the last 30 days"),
            "before": before,
            "after": form.instance,
            "changes": [(form[name].label, getattr(before, name), form.cleaned_data[name]) for name in form.changed_data],
            "sent": [(name, value) for name, values in request.POST.lists() for value in values if name != "csrfmiddlewaretoken"],
            "seen": SEEN,
            **self.look_ahead(request, before, form),
        }
        return TemplateResponse(request, self.preview_template, context)
