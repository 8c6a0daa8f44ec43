"""What was sold, for operators: prices, orders, invoices, and what people declared without signing in."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from djstripe.models import WebhookEventTrigger

from billing.admin_ledger import BoundedPaginator
from billing.audited import AuditedAdmin, LedgerAdmin
from billing.failed_events import named
from billing.models import Declaration, Invoice, Order, TierPrice

for _table in apps.get_app_config("djstripe").get_models():
    if admin.site.is_registered(_table):  # a copy of Stripe's, whose own pages show it better; its forms would let keys be read
        admin.site.unregister(_table)


class HandledFilter(admin.SimpleListFilter):
    title = _("handled")
    parameter_name = "handled"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("Yes")), ("failed", _("failed")), ("foreign", _("not signed by Stripe"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        kinds = {"1": Q(processed=True), "failed": Q(valid=True, processed=False) & ~Q(traceback=""), "foreign": Q(valid=False)}
        return queryset.filter(kinds.get(self.value() or "", Q()))


@admin.register(TierPrice)
class TierPriceAdmin(LedgerAdmin):
    list_display = ("tier", "interval", "amount", "currency", "is_sold", "stripe_id", "created")
    list_filter = ("is_sold", "tier")
    list_select_related = ("tier",)


@admin.register(Order)
class OrderAdmin(LedgerAdmin):
    list_display = ("created", "user", "price", "checkout_id")
    list_select_related = ("user", "price__tier")
    search_fields = ("user__email", "=checkout_id")


@admin.register(Invoice)
class InvoiceAdmin(LedgerAdmin):
    list_display = ("created", "number", "user", "status", "total", "tax", "currency", "paid_at")
    list_filter = ("status", "created")
    list_select_related = ("user",)
    search_fields = ("number", "user__email", "=stripe_id")


@admin.register(Declaration)
class DeclarationAdmin(LedgerAdmin):
    """What was declared stays as it was written; an operator ticks off what is done."""

    list_display = ("created", "kind", "name", "email", "contract", "extraordinary", "ends_on", "effect", "done")
    list_filter = ("done", "kind", "created")
    search_fields = ("name", "email", "contract")
    readonly_fields = ("kind", "name", "email", "contract", "extraordinary", "reason", "ends_on", "user", "effect", "created")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return AuditedAdmin.has_change_permission(self, request, obj)


@admin.register(WebhookEventTrigger)
class WebhookEventTriggerAdmin(LedgerAdmin):
    """What came to the webhook, and what went wrong with it; not what stood in it, which is its customer's."""

    list_display = ("created_at", "kind", "event_id", "is_ours", "is_handled", "error")
    list_filter = (HandledFilter,)
    list_select_related = ("event",)
    ordering = ("-pk",)
    paginator = BoundedPaginator
    fields = ("created_at", "kind", "event_id", "is_ours", "is_handled", "error", "place")
    readonly_fields = fields

    @admin.display(description=_("came"), ordering="pk")
    def created_at(self, obj: WebhookEventTrigger) -> Any:
        return obj.created

    @admin.display(description=_("kind"))
    def kind(self, obj: WebhookEventTrigger) -> str:
        return named(obj.body).type

    @admin.display(description=_("Stripe ID"))
    def event_id(self, obj: WebhookEventTrigger) -> str:
        return named(obj.body).id

    @admin.display(boolean=True, description=_("signed by Stripe"))
    def is_ours(self, obj: WebhookEventTrigger) -> bool:
        return bool(obj.valid)

    @admin.display(boolean=True, description=_("handled"))
    def is_handled(self, obj: WebhookEventTrigger) -> bool:
        return bool(obj.processed)

    @admin.display(description=_("error"))
    def error(self, obj: WebhookEventTrigger) -> str:
        return str(obj.exception)

    @admin.display(description=_("where"))
    def place(self, obj: WebhookEventTrigger) -> str:
        return str(obj.traceback)
