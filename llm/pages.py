"""The pages about models: the catalogue, one model, how they do, and what a tier costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.core.paginator import Page, Paginator
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from billing.models import Interval, Price, Tier
from billing.offers import as_sold, offered
from billing.tiers import all_tiers, guest_tier, tier_for
from llm import health
from llm.catalogue import ModelEntry, catalogue, is_on, models_for
from llm.models import LanguageModel, Provider, Status
from llm.persona import saying

PAGE = 48
MOST_TROUBLED = 50
CAPABILITIES = (
    ("chat", _("Chat")),
    ("vision", _("Sees pictures")),
    ("tools", _("Calls tools")),
    ("reasoning", _("Reasons")),
    ("json", _("Answers in JSON")),
    ("embedding", _("Embeds")),
)
CONTEXTS = (32_000, 128_000, 1_000_000)  # tokens, at least
ORDERS = {
    "": (_("As we recommend"), None),
    "name": (_("By name"), lambda entry: entry.name.casefold()),
    "context": (_("Longest context first"), lambda entry: -(entry.context_window or 0)),
    "price": (_("Cheapest first"), None),
}


class ModelFilter(forms.Form):
    """What the catalogue is narrowed by; nonsense in the address narrows nothing."""

    q = forms.CharField(label=_("Name"), required=False, max_length=200, widget=forms.TextInput({"type": "search"}))
    provider = forms.ChoiceField(label=_("Provider"), required=False)
    capability = forms.ChoiceField(label=_("Can"), required=False, choices=CAPABILITIES)
    tier = forms.ChoiceField(label=_("In the tier"), required=False)
    context = forms.ChoiceField(label=_("Context"), required=False)
    live = forms.BooleanField(label=_("Only those that work now"), required=False)
    order = forms.ChoiceField(label=_("Order"), required=False, choices=[(name, label) for name, (label, _key) in ORDERS.items()])

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter_%s")
        on = [provider for provider in catalogue.get().providers if is_on(provider)]
        self.fields["provider"].choices = [("", _("All")), *((provider.slug, provider.name) for provider in on)]  # type: ignore[attr-defined]
        self.fields["tier"].choices = [("", _("Any")), *((tier.slug, tier.label) for tier in all_tiers())]  # type: ignore[attr-defined]

        contexts = [("", _("Any")), *((str(least), f"≥ {number_format(least, force_grouping=True)}") for least in CONTEXTS)]
        self.fields["context"].choices = contexts  # type: ignore[attr-defined]

    def found(self) -> list[ModelEntry]:
        """The models that fit, in the order asked for."""
        self.is_valid()
        asked = self.cleaned_data
        tier = next((tier for tier in all_tiers() if tier.slug == asked.get("tier")), all_tiers()[-1])
        entries = models_for(tier, capability=asked.get("capability") or "chat", provider=asked.get("provider"), q=asked.get("q"))
        if least := int(asked.get("context") or 0):
            entries = [entry for entry in entries if (entry.context_window or 0) >= least]
        if asked.get("live"):
            alive = set(LanguageModel.objects.filter(status=Status.HEALTHY).values_list("model_id", flat=True))
            entries = [entry for entry in entries if entry.model_id in alive]
        if asked.get("order") == "price":
            return _cheapest_first(entries)
        _label, key = ORDERS[asked.get("order", "")]
        return entries if key is None else sorted(entries, key=key)


def _cheapest_first(entries: list[ModelEntry]) -> list[ModelEntry]:
    """By what a million tokens in and one out cost together; those of unknown price last."""
    prices: dict[int | None, Decimal] = {pk: paid + made for pk, paid, made in Price.objects.values_list("pk", "input", "output")}
    return sorted(entries, key=lambda entry: prices.get(entry.price_id, Decimal("Infinity")))


@require_safe
def models(request: HttpRequest) -> HttpResponse:
    """GET /models"""
    form = ModelFilter(request.GET or {"capability": "chat"})
    page = Paginator(form.found(), PAGE).get_page(request.GET.get("page"))
    total = len(models_for(all_tiers()[-1]))
    return render(request, "pages/models.html", {"form": form, "page": _with_rows(page), "total": total, "saying": saying("missing")})


def _with_rows(page: Page[Any]) -> Page[Any]:
    """The page with rows in place of entries: they know how a model does at the moment."""
    ids = [entry.model_id for entry in page.object_list]
    rows = LanguageModel.objects.filter(model_id__in=ids).select_related("provider", "min_tier", "price").in_bulk(field_name="model_id")
    page.object_list = [rows[model_id] for model_id in ids if model_id in rows]
    return page


@require_safe
def model(request: HttpRequest, model_id: str) -> HttpResponse:
    """GET /models/<id>"""
    row = LanguageModel.objects.filter(model_id=model_id, enabled=True, provider__enabled=True)
    found = row.select_related("provider", "min_tier", "price").first()
    if found is None:
        raise Http404
    found.days = health.model_history([found])[found.pk]  # type: ignore[attr-defined]
    origin = request.build_absolute_uri("/").rstrip("/")
    return render(request, "pages/model.html", {"model": found, "origin": origin, "span": health.DAYS})


@require_safe
def status(request: HttpRequest) -> HttpResponse:
    """GET /status: the providers that are on, and the models in trouble."""
    counted = Count("models", filter=Q(models__enabled=True, models__listed=True, models__missing_since=None))
    providers = [row for row in Provider.objects.filter(enabled=True).annotate(count=counted) if is_on(row)]
    in_trouble = LanguageModel.objects.filter(
        enabled=True, listed=True, missing_since=None, provider__in=providers, status__in=(Status.DEGRADED, Status.OFFLINE)
    )
    troubled = list(in_trouble.order_by("-status_since")[:MOST_TROUBLED])
    of_provider, of_model = health.history(providers), health.model_history(troubled)
    for provider in providers:
        provider.days = of_provider[provider.pk]  # type: ignore[attr-defined]
    for model in troubled:
        model.days = of_model[model.pk]  # type: ignore[attr-defined]
    return render(request, "pages/status.html", {"providers": providers, "troubled": troubled, "span": health.DAYS})


@require_safe
def prices(request: HttpRequest) -> HttpResponse:
    """GET /prices"""
    tiers = all_tiers()
    interval = Interval.YEAR if request.GET.get("interval") == Interval.YEAR else Interval.MONTH
    context = {
        "tiers": as_sold(tiers),
        "current": current_tier(request),
        "counts": [len(models_for(tier)) for tier in tiers],
        "interval": interval,
        "offered": offered(interval, request.user),
    }
    return render(request, "pages/prices.html", context)


@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """GET /: what this is."""
    context = {
        "models": len(models_for(all_tiers()[-1])),
        "tiers": as_sold(all_tiers()),
        "current": current_tier(request),
        "guest": guest_tier(),
        "interval": Interval.MONTH,
        "offered": offered(Interval.MONTH, request.user),
        "origin": request.build_absolute_uri("/").rstrip("/"),
    }
    return render(request, "pages/start.html", context)


def current_tier(request: HttpRequest) -> Tier | None:
    """The signed-in visitor's tier."""
    return tier_for(request.user) if request.user.is_authenticated else None
