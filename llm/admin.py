"""Providers, models and prices, for operators."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _

from billing.audited import AuditedAdmin, note
from billing.models import Price, Tier
from billing.openings import NEWEST, openings
from billing.previewed import PreviewedAdmin
from billing.widgets import LinesField
from llm.checks import check_now
from llm.models import LanguageModel, Provider, Status
from llm.prices import approve, decline
from llm.providers import TABLE, is_on, provider_key, provider_url
from llm.providers.errors import UpstreamError
from llm.providers.quirks import faults
from llm.sync import apply
from llm.sync_preview import ask, difference, opened, sealed


class SwitchableAdmin(AuditedAdmin):
    """Rows with `enabled`, and the actions that switch many at once."""

    actions: tuple[str, ...] = ("enable", "disable")

    @admin.action(description=_("Switch on"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self.message_user(request, _("Switched on: %d") % queryset.update(enabled=True))

    @admin.action(description=_("Switch off"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self.message_user(request, _("Switched off: %d") % queryset.update(enabled=False))


class ProviderForm(forms.ModelForm):
    def clean_quirks(self) -> Any:
        quirks = self.cleaned_data["quirks"] or {}
        if wrong := faults(quirks):
            raise forms.ValidationError(wrong)
        return quirks


@admin.register(Provider)
class ProviderAdmin(SwitchableAdmin):
    form = ProviderForm
    change_form_template = "admin/llm/provider/change_form.html"
    list_display = ("name", "slug", "wire", "enabled", "is_on", "key_is_set", "usage_class", "concurrency", "status", "checked_at")
    list_filter = ("enabled", "wire", "usage_class", "status")
    search_fields = ("name", "slug")
    readonly_fields = ("key_is_set", "address", "status", "checked_at")
    actions = ("enable", "disable", "look")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The slug begins its models' ids. Where one of our table is reached, and how, is said by the environment: its key goes there."""
        if obj is None:
            return self.readonly_fields
        return (*self.readonly_fields, "slug", *(("base_url", "wire") if obj.slug in TABLE else ()))

    @admin.display(boolean=True, description=_("set up"))
    def is_on(self, obj: Provider) -> bool:
        return is_on(obj)

    @admin.display(boolean=True, description=_("key"))
    def key_is_set(self, obj: Provider) -> bool:
        return bool(provider_key(obj))

    @admin.display(description=_("address in use"))
    def address(self, obj: Provider) -> str:
        return provider_url(obj) or "-"

    @admin.action(description=_("Check now"), permissions=["change"])
    def look(self, request: HttpRequest, queryset: QuerySet[Provider]) -> None:
        for provider, look in check_now(queryset):
            words = {"name": provider.name, "status": Status(look.status).label}
            level = messages.SUCCESS if look.status == Status.HEALTHY else messages.WARNING
            self.message_user(request, _("%(name)s: %(status)s") % words, level)

    # -- its models' list, looked at before it is taken over --------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.sync)
        return [path("<path:object_id>/sync/", view, name="llm_provider_sync"), *super().get_urls()]

    def sync(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """POST …/sync/: ask for the list and show what it changes; with that list as `seal`, take it over."""
        provider = self.get_object(request, unquote(object_id))
        if provider is None:
            raise Http404
        if not self.has_change_permission(request, provider):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        back = HttpResponseRedirect(reverse("admin:llm_provider_change", args=[provider.pk]))
        try:
            if "seal" in request.POST:
                self._take_over(request, provider, request.POST["seal"])
                return back
            listed = ask(provider)
        except signing.BadSignature:
            self.message_user(request, _("That list is too old or not ours; nothing was changed. Ask for it again."), messages.ERROR)
            return back
        except (UpstreamError, TimeoutError) as error:
            why = getattr(error, "code", "timeout")
            self.message_user(request, _("%(name)s gave no list: %(why)s") % {"name": provider.name, "why": why}, messages.ERROR)
            return back
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": provider,
            "title": _("What %(name)s lists now") % {"name": provider.name},
            "difference": difference(provider, listed),
            "seal": sealed(provider, listed),
        }
        return TemplateResponse(request, "admin/llm/provider/sync.html", context)

    def _take_over(self, request: HttpRequest, provider: Provider, seal: str) -> None:
        report = apply(provider, opened(provider, seal))
        done = {"added": report.added, "changed": report.changed, "missing": report.missing, "returned": report.returned}
        note(request, provider, action="sync", values={name: [None, str(count)] for name, count in done.items()})
        words = _("Added %(added)d, changed %(changed)d, gone %(missing)d, back %(returned)d.") % done
        self.message_user(request, f"{words} {report.problem}".strip(), messages.WARNING if report.problem else messages.SUCCESS)


class ModelForm(forms.ModelForm):
    aliases = LinesField(label=_("Aliases"), required=False, help_text=_("Other ids that mean this model, one a line"))
    fallback = LinesField(label=_("Fallbacks"), required=False, help_text=_("Model ids, one a line, in the order in which they are asked"))
    capabilities = LinesField(
        label=_("Capabilities"), required=False, help_text=_("One a line: chat, vision, tools, json, reasoning …; none = unknown")
    )

    def clean_fallback(self) -> list[str]:
        wanted: list[str] = self.cleaned_data["fallback"]
        known = set(LanguageModel.objects.filter(model_id__in=wanted).values_list("model_id", flat=True))
        unknown = [model_id for model_id in wanted if model_id not in known or model_id == self.instance.model_id]
        if unknown:
            raise forms.ValidationError(_("Not another model of ours: %(ids)s") % {"ids": ", ".join(unknown)})
        return wanted

    def clean_aliases(self) -> list[str]:
        wanted: list[str] = list(dict.fromkeys(self.cleaned_data["aliases"]))
        others = LanguageModel.objects.exclude(pk=self.instance.pk)
        taken = set(others.filter(model_id__in=wanted).values_list("model_id", flat=True))
        taken |= {alias for aliases in others.exclude(aliases=[]).values_list("aliases", flat=True) for alias in aliases}
        if both := [alias for alias in wanted if alias in taken]:
            raise forms.ValidationError(_("These mean another model already: %(ids)s") % {"ids": ", ".join(both)})
        return wanted


@admin.register(LanguageModel)
class LanguageModelAdmin(PreviewedAdmin, SwitchableAdmin):
    """A model's lowest tier is changed after a look at who would lose the model."""

    previewed = frozenset({"min_tier"})
    form = ModelForm
    list_display = ("model_id", "min_tier", "enabled", "listed", "position", "context_window", "price", "status", "source", "missing_since")
    list_filter = ("provider", "enabled", "listed", "min_tier", "status", "source", ("missing_since", admin.EmptyFieldListFilter))
    list_select_related = ("min_tier", "price", "provider")
    search_fields = ("model_id", "name", "aliases")
    readonly_fields = ("model_id", "price", "source", "missing_since", "status", "status_since", "ttft_ms")
    fieldsets = (
        (None, {"fields": ("provider", "native_id", "model_id", "aliases", "name", "description", "parameters")}),
        (_("Who may use it"), {"fields": ("min_tier", "enabled", "listed", "position", "fallback")}),
        (_("What it can do"), {"fields": ("capabilities", "context_window", "max_output")}),
        (_("State"), {"fields": ("price", "source", "missing_since", "status", "status_since", "ttft_ms")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "provider", "native_id") if obj else self.readonly_fields

    def look_ahead(self, request: HttpRequest, before: LanguageModel, form: Any) -> dict[str, Any]:
        places = dict(Tier.objects.values_list("slug", "position"))
        was, becomes = ({row.model_id: row.min_tier.slug} if row.enabled else {} for row in (before, form.instance))
        return {"openings": openings(places, places, was, becomes), "newest": NEWEST, "shown": len(places)}

    def save_model(self, request: HttpRequest, obj: LanguageModel, form: Any, change: bool) -> None:
        if not change:
            obj.model_id = f"{obj.provider.slug}/{obj.native_id}"
            obj.source = "seed"  # pinned: no provider's list takes it away
        super().save_model(request, obj, form, change)


class PriceStateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("waiting", _("waits for a yes")), ("approved", _("approved")), ("declined", _("declined"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        states = {"waiting": (False, False), "approved": (True, False), "declined": (False, True)}
        if self.value() not in states:
            return queryset
        approved, declined = states[self.value() or ""]
        return queryset.filter(approved=approved, declined=declined)


@admin.register(Price)
class PriceAdmin(AuditedAdmin):
    """Versions: one can be added and put into use, none changed or deleted."""

    list_display = ("model_id", "input", "input_now", "output", "output_now", "cached_input", "cache_write", "source", "state", "created")
    list_filter = (PriceStateFilter, "created")
    search_fields = ("model_id", "source")
    fields = ("model_id", "input", "output", "cached_input", "cache_write")
    ordering = ("-pk",)
    actions = ("use", "refuse")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        used = LanguageModel.objects.filter(model_id=OuterRef("model_id"))
        return super().get_queryset(request).annotate(
            now_in=Subquery(used.values("price__input")[:1]), now_out=Subquery(used.values("price__output")[:1])
        )  # fmt: skip

    def values_of(self, request: HttpRequest, row: Any) -> dict[str, str | None]:
        model = LanguageModel.objects.filter(model_id=row.model_id).select_related("price").first()
        return {
            **super().values_of(request, row),
            "approved": str(row.approved),
            "declined": str(row.declined),
            "in_use": str(model.price) if model and model.price else None,
        }

    @admin.display(description=_("input now"), ordering=F("now_in"))
    def input_now(self, obj: Any) -> Any:
        return obj.now_in

    @admin.display(description=_("output now"), ordering=F("now_out"))
    def output_now(self, obj: Any) -> Any:
        return obj.now_out

    @admin.display(description=_("state"))
    def state(self, obj: Price) -> Any:
        return _("declined") if obj.declined else _("approved") if obj.approved else _("waits for a yes")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        obj.source = f"operator {request.user}"[:80]
        before = self.values_of(request, obj)
        super().save_model(request, obj, form, change)
        self._put_into_use(request, [obj])
        note(request, obj, action="use", values=self.difference(before, self.values_of(request, obj)))

    @admin.action(description=_("Approve and put into use"), permissions=["add"])
    def use(self, request: HttpRequest, queryset: QuerySet[Price]) -> None:
        self._put_into_use(request, list(queryset.order_by("pk")))

    @admin.action(description=_("Decline"), permissions=["add"])
    def refuse(self, request: HttpRequest, queryset: QuerySet[Price]) -> None:
        self.message_user(request, _("Declined: %d") % decline(queryset), messages.SUCCESS)

    def _put_into_use(self, request: HttpRequest, prices: list[Price]) -> None:
        used = [approve(price) for price in prices]
        self.message_user(request, _("Put into use: %d") % sum(used), messages.SUCCESS if all(used) else messages.WARNING)
