"""Providers, models and prices, for operators."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet, URLField
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from billing.models import Price
from llm.models import LanguageModel, Provider
from llm.prices import approve
from llm.providers import is_on, provider_key, provider_url


class SwitchableAdmin(admin.ModelAdmin):
    """Rows with `enabled`, and the actions that switch many at once."""

    actions = ("enable", "disable")

    @admin.action(description=_("Switch on"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self.message_user(request, _("Switched on: %d") % queryset.update(enabled=True))

    @admin.action(description=_("Switch off"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self.message_user(request, _("Switched off: %d") % queryset.update(enabled=False))


@admin.register(Provider)
class ProviderAdmin(SwitchableAdmin):
    list_display = ("name", "slug", "wire", "enabled", "is_on", "key_is_set", "usage_class", "concurrency", "status", "checked_at")
    list_filter = ("enabled", "wire", "usage_class", "status")
    search_fields = ("name", "slug")
    readonly_fields = ("key_is_set", "address", "status", "checked_at")
    formfield_overrides = {URLField: {"assume_scheme": "https"}}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "slug") if obj else self.readonly_fields  # its models' ids begin with it

    @admin.display(boolean=True, description=_("set up"))
    def is_on(self, obj: Provider) -> bool:
        return is_on(obj)

    @admin.display(boolean=True, description=_("key"))
    def key_is_set(self, obj: Provider) -> bool:
        return bool(provider_key(obj))

    @admin.display(description=_("address in use"))
    def address(self, obj: Provider) -> str:
        return provider_url(obj) or "-"


@admin.register(LanguageModel)
class LanguageModelAdmin(SwitchableAdmin):
    list_display = ("model_id", "min_tier", "enabled", "listed", "position", "context_window", "price", "status", "source", "missing_since")
    list_filter = ("provider", "enabled", "listed", "min_tier", "status", "source", ("missing_since", admin.EmptyFieldListFilter))
    list_select_related = ("min_tier", "price", "provider")
    search_fields = ("model_id", "name")
    readonly_fields = ("model_id", "price", "source", "missing_since", "status", "status_since", "ttft_ms")
    fieldsets = (
        (None, {"fields": ("provider", "native_id", "model_id", "name", "description", "parameters")}),
        (_("Who may use it"), {"fields": ("min_tier", "enabled", "listed", "position", "fallback")}),
        (_("What it can do"), {"fields": ("capabilities", "context_window", "max_output")}),
        (_("State"), {"fields": ("price", "source", "missing_since", "status", "status_since", "ttft_ms")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "provider", "native_id") if obj else self.readonly_fields

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if "capabilities" in form.base_fields:
            form.base_fields["capabilities"].required = False  # [] = unknown
        return form

    def save_model(self, request: HttpRequest, obj: LanguageModel, form: Any, change: bool) -> None:
        if not change:
            obj.model_id = f"{obj.provider.slug}/{obj.native_id}"
            obj.source = "seed"  # pinned: no provider's list takes it away
        super().save_model(request, obj, form, change)


@admin.register(Price)
class PriceAdmin(admin.ModelAdmin):
    """Versions: one can be added and put into use, none changed or deleted."""

    list_display = ("model_id", "input", "output", "cached_input", "cache_write", "source", "approved", "created")
    list_filter = ("approved", "source", "created")
    search_fields = ("model_id",)
    fields = ("model_id", "input", "output", "cached_input", "cache_write")
    actions = ("use",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        obj.source = f"operator {request.user}"[:80]
        super().save_model(request, obj, form, change)
        self._put_into_use(request, [obj])

    @admin.action(description=_("Approve and put into use"), permissions=["add"])
    def use(self, request: HttpRequest, queryset: QuerySet[Price]) -> None:
        self._put_into_use(request, list(queryset.order_by("pk")))

    def _put_into_use(self, request: HttpRequest, prices: list[Price]) -> None:
        used = [approve(price) for price in prices]
        self.message_user(request, _("Put into use: %d") % sum(used), messages.SUCCESS if all(used) else messages.WARNING)
