"""Tiers and what gives one, for operators; the meter's tables, for reading."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from billing.models import OutboxMail, Subscription, Tier, UsageDay, UsageEvent
from billing.tiers import in_force


class LedgerAdmin(admin.ModelAdmin):
    """Rows that nobody writes by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Tier)
class TierAdmin(admin.ModelAdmin):
    list_display = ("name", "slug", "position", "price_monthly", "daily_tokens", "requests_per_minute", "concurrency", "all_models")
    list_filter = ("all_models", "mcp_access")
    search_fields = ("name", "slug")
    fieldsets = (
        (None, {"fields": ("slug", "name", "position", "is_guest", "is_default")}),
        (_("Shown"), {"fields": ("price_monthly", "price_yearly", "features", "support_level")}),
        (_("Models"), {"fields": ("all_models", "ollama_unlimited")}),
        (_("Limits"), {"fields": ("daily_tokens", "requests_per_minute", "reads_per_minute", "concurrency")}),
        (_("Rights"), {"fields": ("mcp_access", "cli_agents", "local_cli_agents", "priority_queue", "queue_head_start")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("slug",) if obj else ()  # receipts and clients name it


class InForceFilter(admin.SimpleListFilter):
    title = _("in force")
    parameter_name = "in_force"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("Yes")), ("0", _("No"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "1":
            return queryset.filter(in_force())
        return queryset.exclude(in_force()) if self.value() == "0" else queryset


@admin.register(Subscription)
class SubscriptionAdmin(admin.ModelAdmin):
    list_display = ("user", "tier", "source", "starts_at", "ends_at", "note")
    list_filter = (InForceFilter, "tier", "source")
    list_select_related = ("user", "tier")
    search_fields = ("user__email", "note")
    raw_id_fields = ("user",)
    date_hierarchy = "starts_at"
    actions = ("end_now",)

    @admin.action(description=_("End now"), permissions=["change"])
    def end_now(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> None:
        # by the clock that in_force() reads: SQLite's has no microseconds, and would be behind ours
        self.message_user(request, _("Ended: %d") % queryset.filter(in_force()).update(ends_at=Now()))


@admin.register(UsageDay)
class UsageDayAdmin(LedgerAdmin):
    list_display = ("day", "subject", "usage_class", "limit", "used", "reserved")
    list_filter = ("usage_class", "day")
    search_fields = ("subject",)
    ordering = ("-day", "subject")


@admin.register(UsageEvent)
class UsageEventAdmin(LedgerAdmin):
    list_display = (
        "created", "request_id", "account", "tier", "requested_model", "served_model", "state", "rule", "reserved", "charged", "estimated",
    )  # fmt: skip
    list_filter = ("state", "rule", "estimated", "usage_class", "entry_point", "tier", "created")
    list_select_related = ("account",)
    search_fields = ("request_id", "=subject", "account__email", "served_model")
    show_full_result_count = False  # counting a ledger is slow
    ordering = ("-id",)


@admin.register(OutboxMail)
class OutboxMailAdmin(LedgerAdmin):
    list_display = ("created", "to", "subject", "attempts", "sent_at", "error")
    list_filter = (("sent_at", admin.EmptyFieldListFilter), "created")
    search_fields = ("to", "subject")
    exclude = ("body",)  # it may hold a link that signs in
