"""Tiers and what gives one, and the outbox, for operators. The meter's tables are in billing.admin_ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from billing import admin_contracts, admin_ledger, admin_refunds, clock, price_list
from billing.audited import AuditedAdmin, LedgerAdmin, note
from billing.models import OutboxMail, Subscription, Tier
from billing.openings import NEWEST, Openings, openings
from billing.preview import PREVIEWED, UNRECORDED, preview
from billing.previewed import PreviewedAdmin
from billing.tiers import in_force
from billing.trial import trial
from billing.widgets import LinesField

__all__ = ["OutboxMailAdmin", "SubscriptionAdmin", "TierAdmin", "admin_contracts", "admin_ledger"]
SHOWN = 50  # subjects, or models, that a preview names


class TierForm(forms.ModelForm):
    features = LinesField(label=_("Features"), required=False, help_text=_("One a line"))
    features_en = LinesField(label=_("Features in English"), required=False, help_text=_("One a line; empty: the features"))


@admin.register(Tier)
class TierAdmin(PreviewedAdmin):
    """Saving a limit, a price or its place first shows what it would have done to the last thirty days."""

    previewed = PREVIEWED
    preview_template = "admin/billing/tier/preview.html"
    change_form_template = "admin/billing/tier/change_form.html"
    form = TierForm
    list_display = (
        "name",
        "slug",
        "position",
        "price_monthly",
        "daily_tokens",
        "shadow",
        "requests_per_minute",
        "concurrency",
        "all_models",
    )
    list_filter = ("all_models", "mcp_access", "shadow")
    search_fields = ("name", "slug")
    fieldsets = (
        (None, {"fields": ("slug", "name", "name_en", "position", "is_guest", "is_default")}),
        (_("Shown"), {"fields": ("price_monthly", "price_yearly", "features", "features_en", "support_level")}),
        (_("Models"), {"fields": ("all_models", "ollama_unlimited")}),
        (_("Limits"), {"fields": ("daily_tokens", "shadow", "requests_per_minute", "reads_per_minute", "concurrency")}),
        (_("Rights"), {"fields": ("mcp_access", "cli_agents", "local_cli_agents", "priority_queue", "queue_head_start")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("slug",) if obj else ()  # receipts and clients name it

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or not obj.is_needed)

    def render_change_form(
        self, request: HttpRequest, context: Any, add: bool = False, change: bool = False, form_url: str = "", obj: Any = None
    ) -> Any:
        found = trial(obj) if obj else None
        people = _people(one.subject for one in found.most) if found else {}
        shown = [(one, people.get(one.subject)) for one in found.most] if found else []
        return super().render_change_form(request, {**context, "trial": found, "trial_people": shown}, add, change, form_url, obj)

    def save_model(self, request: HttpRequest, obj: Tier, form: Any, change: bool) -> None:
        """Another tier may have to give way; that is written down, too."""
        before = {tier.pk: self.values_of(request, tier) for tier in Tier.objects.exclude(pk=obj.pk)}
        super().save_model(request, obj, form, change)
        for tier in Tier.objects.filter(pk__in=before):
            if changed := self.difference(before[tier.pk], self.values_of(request, tier)):
                note(request, tier, action="moved", values=changed)
                self.message_user(request, _("%(tier)s gave way.") % {"tier": tier.name}, messages.WARNING)
        if settings.STRIPE_SECRET_KEY and price_list.is_behind():
            words = _("Stripe is told within a minute. Until then what was sold before is shown and sold.")
            self.message_user(request, words, messages.INFO)

    def look_ahead(self, request: HttpRequest, before: Tier, form: Any) -> dict[str, Any]:
        after, changed = form.instance, set(form.changed_data)
        found = preview(before, after)
        people = _people(one.subject for effect in found.effects for one in effect.stopped[:SHOWN])
        return {
            "preview": found,
            "effects": [
                {
                    "effect": effect,
                    "name": form[effect.limit].label,
                    "people": [(one, people.get(one.subject)) for one in effect.stopped[:SHOWN]],
                }
                for effect in found.effects
            ],
            "unrecorded": [form[name].label for name in form.changed_data if name in UNRECORDED],
            "is_label": "all_models" in changed,
            "still_counts": after.ollama_unlimited and not before.ollama_unlimited,
            "openings": _moved(before, after) if "position" in changed else None,
            "newest": NEWEST,
            "shown": SHOWN,
        }


def _people(subjects: Iterable[str]) -> dict[str, Any]:
    """The accounts behind the meter's names; guests have none."""
    numbers = (subject.removeprefix("user:") for subject in subjects if subject.startswith("user:"))
    accounts = get_user_model()._default_manager.in_bulk([int(number) for number in numbers if number.isdecimal()])
    return {account.subject: account for account in accounts.values()}


def _moved(before: Tier, after: Tier) -> Openings:
    """What the tier's new place closes and opens."""
    places = dict(Tier.objects.values_list("slug", "position"))
    swapped = {slug: before.position for slug, position in places.items() if position == after.position}
    models = dict(Tier.objects.filter(languagemodel__enabled=True).values_list("languagemodel__model_id", "slug"))
    return openings(places, {**places, **swapped, before.slug: after.position}, models, models)


class InForceFilter(admin.SimpleListFilter):
    title = _("in force")
    parameter_name = "in_force"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("Yes")), ("0", _("No"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "1":
            return queryset.filter(in_force())
        return queryset.exclude(in_force()) if self.value() == "0" else queryset


class StatusFilter(admin.AllValuesFieldListFilter):
    """Stripe's words; a grant has none, and a link without words leads nobody."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        return (choice for choice in super().choices(changelist) if choice["display"])


class GrantForm(forms.ModelForm):
    """What the page that gives a tier lets through, and nothing else."""

    def clean_tier(self) -> Tier:
        tier: Tier = self.cleaned_data["tier"]
        if tier.is_guest:
            raise forms.ValidationError(_("It is the tier of callers without an account."))
        return tier

    def clean_ends_at(self) -> Any:
        ends_at = self.cleaned_data["ends_at"]
        if "ends_at" in self.changed_data and ends_at and ends_at <= clock.now():
            raise forms.ValidationError(_("That is over already."))
        return ends_at


@admin.register(Subscription)
class SubscriptionAdmin(AuditedAdmin):
    """Grants are given on the account's page and changed here; what was paid for is Stripe's to change, and only shown."""

    form = GrantForm
    person = "user"
    list_display = ("user", "tier", "source", "status", "interval", "amount", "starts_at", "ends_at", "note")
    list_filter = (InForceFilter, "tier", "source", ("status", StatusFilter), "interval", "cancel_at_period_end")
    list_select_related = ("user", "tier")
    search_fields = ("user__email", "note", "=stripe_id")
    ordering = ("-pk",)
    actions = ("end_now", "refund_and_end")
    readonly_fields = (
        "user", "starts_at", "source", "stripe_id", "customer_id", "status", "interval", "price_id", "amount", "currency", "period_ends_at",
        "cancel_at_period_end", "next_tier", "next_interval", "schedule_id",
    )  # fmt: skip

    @admin.action(description=_("Refund the running period and end it (withdrawal)"), permissions=["refund"])
    def refund_and_end(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> HttpResponse | None:
        return admin_refunds.refund_and_end(self, request, queryset)

    def has_refund_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.refund_subscription")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.source == Subscription.Source.GRANT)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.source == Subscription.Source.GRANT)

    @admin.action(description=_("End now"), permissions=["change"])
    def end_now(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> None:
        # by the clock that in_force() reads: SQLite's has no microseconds, and would be behind ours
        grants = queryset.filter(in_force(), source=Subscription.Source.GRANT)
        self.message_user(request, _("Ended: %d. What is paid for ends at Stripe.") % grants.update(ends_at=Now()))


@admin.register(OutboxMail)
class OutboxMailAdmin(LedgerAdmin):
    list_display = ("created", "to", "subject", "attempts", "not_before", "sent_at", "error")
    list_filter = (("sent_at", admin.EmptyFieldListFilter), ("error", admin.EmptyFieldListFilter), "created")
    search_fields = ("to", "subject")
    exclude = ("body", "html")  # it may hold a link that signs in
    ordering = ("-pk",)
    actions = ("try_again",)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.change_outboxmail")

    @admin.action(description=_("Try again at once"), permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[OutboxMail]) -> None:
        due = queryset.filter(sent_at=None).update(attempts=0, not_before=clock.now())
        self.message_user(request, _("To be sent again: %d") % due, messages.SUCCESS)
