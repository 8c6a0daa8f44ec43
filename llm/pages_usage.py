"""What somebody used: the dashboard, the receipts, and one receipt with the reason for its charge."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from billing import clock, quota
from billing.charges import Outcome
from billing.models import UsageClass, UsageDay, UsageEvent
from billing.tiers import tier_for
from billing.visitors import CARRIED_OVER
from llm.persona import saying
from llm.serializers_usage import ReceiptSerializer

PAGE = 50
DAYS = 30
MOST_EXPORTED = 100_000
RULES = {
    Outcome.ANSWERED: _("Answered: input and output count."),
    Outcome.EMPTY: _("The answer was empty: nothing counts."),
    Outcome.REFUSED: _("No answer came: nothing counts."),
    Outcome.TIMED_OUT: _("No answer came in time: nothing counts."),
    Outcome.BROKE_OFF: _("The answer broke off, not by your doing: only the output that reached you counts."),
    Outcome.CANCELLED_EARLY: _("You left before the first token: the input counts, for the provider had it."),
    Outcome.CANCELLED: _("You stopped the answer: the input and what had come until then count."),
    Outcome.REPLAYED: _("A stored answer was repeated: nothing counts."),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of the chart, in its units: 20 wide, 100 high."""

    day: date
    cloud: int
    unlimited: int
    x: int
    cloud_height: float
    unlimited_height: float

    @property
    def cloud_y(self) -> float:
        return 100 - self.cloud_height

    @property
    def unlimited_y(self) -> float:
        return self.cloud_y - self.unlimited_height


@require_safe
@login_required
def dashboard(request: HttpRequest) -> HttpResponse:
    """GET /dashboard: what is left of today, and the last 30 days."""
    user: Any = request.user
    today, tier = clock.now().date(), tier_for(user)
    balance = quota.balance(user.subject, UsageClass.CLOUD, today, tier.daily_tokens or None)
    bars = list(_bars(user.subject, today))
    context = {
        "tier": tier,
        "balance": balance,
        "percent": min(100, 100 * (balance.used + balance.reserved) // balance.limit) if balance.limit else 0,
        "unlimited": quota.balance(user.subject, UsageClass.UNLIMITED, today, None),
        "resets_at": clock.resets_at(today),
        "bars": bars,
        "width": 20 * DAYS,
        "total": sum(bar.cloud + bar.unlimited for bar in bars),
        "models": _by_model(user, today),
        "receipts": _receipts(user)[:5],
        "saying": saying("missing"),
    }
    return render(request, "pages/dashboard.html", context)


def _bars(subject: str, today: date) -> Iterator[Bar]:
    first = today - timedelta(days=DAYS - 1)
    rows = UsageDay.objects.filter(subject=subject, day__gte=first).values_list("day", "usage_class", "used")
    used = {(day, usage_class): tokens for day, usage_class, tokens in rows}
    days = [first + timedelta(days=number) for number in range(DAYS)]
    pairs = [(used.get((day, UsageClass.CLOUD), 0), used.get((day, UsageClass.UNLIMITED), 0)) for day in days]
    most = max(sum(pair) for pair in pairs) or 1
    for number, (day, (cloud, unlimited)) in enumerate(zip(days, pairs, strict=True)):
        yield Bar(day, cloud, unlimited, 20 * number, round(100 * cloud / most, 2), round(100 * unlimited / most, 2))


def _by_model(user: Any, today: date) -> QuerySet[UsageEvent, Any]:
    recent = UsageEvent.objects.filter(account=user, day__gt=today - timedelta(days=DAYS)).exclude(served_model="")
    sums = recent.values("served_model").annotate(tokens=Sum("charged"), requests=Count("pk"))
    return sums.order_by("-tokens")[:10]


class ReceiptFilter(forms.Form):
    """What the receipts are narrowed by."""

    q = forms.CharField(label=_("Model or request"), required=False, max_length=200, widget=forms.TextInput({"type": "search"}))
    since = forms.DateField(label=_("From"), required=False, widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"))
    until = forms.DateField(label=_("To"), required=False, widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"))

    def narrowed(self, receipts: QuerySet[UsageEvent]) -> QuerySet[UsageEvent]:
        """The receipts that fit; a date that is none narrows nothing."""
        self.is_valid()
        asked = self.cleaned_data
        if q := asked.get("q"):
            receipts = receipts.filter(Q(request_id=q) | Q(requested_model__icontains=q) | Q(served_model__icontains=q))
        if since := asked.get("since"):
            receipts = receipts.filter(day__gte=since)
        if until := asked.get("until"):
            receipts = receipts.filter(day__lte=until)
        return receipts


def _receipts(user: Any) -> QuerySet[UsageEvent]:
    return UsageEvent.objects.filter(account=user).order_by("-pk")


@require_safe
@login_required
def receipts(request: HttpRequest) -> HttpResponse:
    """GET /receipts, newest first; `?before=` is where the page starts, `?format=csv` and `json` give all that fit."""
    form = ReceiptFilter(request.GET)
    found = form.narrowed(_receipts(request.user))
    if request.GET.get("format") == "csv":
        return _csv(found[:MOST_EXPORTED])
    if request.GET.get("format") == "json":
        response = JsonResponse({"results": ReceiptSerializer(found[:MOST_EXPORTED], many=True).data})
        response.headers["Content-Disposition"] = 'attachment; filename="receipts.json"'
        return response
    before = request.GET.get("before", "")
    if before.isascii() and before.isdecimal() and len(before) < 19:
        found = found.filter(pk__lt=int(before))
    page = list(found[: PAGE + 1])
    more = page[PAGE - 1].pk if len(page) > PAGE else None
    return render(request, "pages/receipts.html", {"form": form, "receipts": page[:PAGE], "more": more, "saying": saying("missing")})


def _csv(found: Iterable[UsageEvent]) -> HttpResponse:
    names = ReceiptSerializer.Meta.fields
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="receipts.csv"'
    writer = csv.writer(response)
    writer.writerow(names)
    writer.writerows([_cell(getattr(row, name)) for name in names] for row in found)
    return response


def _cell(value: Any) -> Any:
    """A value that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


@require_safe
@login_required
def receipt(request: HttpRequest, request_id: str) -> HttpResponse:
    """GET /receipts/<request_id>"""
    found = _receipts(request.user).filter(request_id=request_id).first()
    if found is None:
        raise Http404
    rules: dict[Any, Any] = RULES | {CARRIED_OVER: _("What you used as a guest today: it counts on your account from your sign-in on.")}
    context = {"receipt": found, "rule": rules.get(found.rule, "")}
    return render(request, "pages/receipt.html", context)
