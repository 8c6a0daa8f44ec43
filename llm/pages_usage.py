"""What somebody used: the dashboard, the receipts, and one receipt with the reason for its charge."""

from __future__ import annotations

import csv
import math
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

from accounts.authentication import address_of_request
from accounts.caller import caller_for
from accounts.models import ApiKey
from billing import clock, quota
from billing.charges import Outcome
from billing.models import Price, UsageClass, UsageDay, UsageEvent
from billing.tables import cell
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

OUTCOMES = {  # of an attempt, and of what came of them all
    "ok": _("answered"),
    "cut": _("cut off where the tokens ended"),
    "cancelled": _("stopped by you"),
    "no_room": _("not asked: its class has no tokens left today"),
    "breaker_open": _("not asked: it has just failed too often"),
    "queue_full": _("not asked: its queue is full"),
    "unsupported_request": _("not asked: it cannot do this"),
    "connect": _("could not be reached"),
    "timeout": _("took too long"),
    "rate_limited": _("took no more requests"),
    "unauthorized": _("did not accept our account"),
    "not_found": _("did not know the model"),
    "upstream_error": _("failed"),
    "invalid_answer": _("answered what makes no sense"),
    "incomplete": _("broke off"),
    "content_filter": _("refused by its content filter"),
    "context_length": _("too long for the model"),
    "upstream_unavailable": _("nobody could answer"),
    "upstream_timeout": _("nobody answered in time"),
    "service_unavailable": _("interrupted by us"),
    "internal_error": _("something went wrong on our side"),
}
DOORS = {"client": _("API"), "websocket": _("Chat"), "sign-in": _("Sign-in")}


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
    """GET /dashboard: what is left of today, and the last 30 days; `?model=`, one of those used most, draws these of it alone."""
    user: Any = request.user
    caller, today = caller_for({}, address_of_request(request), session_user=user), clock.now().date()
    tier = caller.tier
    balance = quota.balance(caller.subject, UsageClass.CLOUD, today, tier.enforced_tokens)
    models = list(_by_model(user, today))
    model = next((row["served_model"] for row in models if row["served_model"] == request.GET.get("model")), "")
    bars = list(_bars(_of_model(user, model) if model else UsageDay.objects.filter(subject=user.subject), today))
    context = {
        "tier": tier,
        "balance": balance,
        "percent": balance.percent,
        "unlimited": quota.balance(caller.subject, UsageClass.UNLIMITED, today, None),
        "resets_at": clock.resets_at(today),
        "seconds_left": max(1, math.ceil((clock.resets_at(today) - clock.now()).total_seconds())),
        "bars": bars,
        "width": 20 * DAYS,
        "total": sum(bar.cloud + bar.unlimited for bar in bars),
        "models": models,
        "model": model,
        "receipts": _receipts(user)[:5],
        "saying": saying("missing"),
    }
    return render(request, "pages/dashboard.html", context)


def _of_model(user: Any, model: str) -> QuerySet[Any, Any]:
    """A model's days, as UsageDay has those of all together."""
    events = UsageEvent.objects.filter(account=user, served_model=model).order_by()
    return events.values("day", "usage_class").annotate(used=Sum("charged"))


def _bars(used_days: QuerySet[Any, Any], today: date) -> Iterator[Bar]:
    first = today - timedelta(days=DAYS - 1)
    rows = used_days.filter(day__gte=first).values_list("day", "usage_class", "used")
    used = {(day, usage_class): tokens for day, usage_class, tokens in rows}
    days = [first + timedelta(days=number) for number in range(DAYS)]
    pairs = [(used.get((day, UsageClass.CLOUD), 0), used.get((day, UsageClass.UNLIMITED), 0)) for day in days]
    most = max(sum(pair) for pair in pairs) or 1
    for number, (day, (cloud, unlimited)) in enumerate(zip(days, pairs, strict=True)):
        yield Bar(day, cloud, unlimited, 20 * number, round(100 * cloud / most, 2), round(100 * unlimited / most, 2))


def _by_model(user: Any, today: date) -> QuerySet[Any, Any]:
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
    asked = found.exclude(rule=CARRIED_OVER)[:MOST_EXPORTED]  # who adds an export up counts what was asked as a guest once
    if request.GET.get("format") == "csv":
        return _csv(asked)
    if request.GET.get("format") == "json":
        response = JsonResponse({"results": ReceiptSerializer(asked, many=True).data})
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
    writer.writerows([cell(getattr(row, name)) for name in names] for row in found)
    return response


@require_safe
@login_required
def receipt(request: HttpRequest, request_id: str) -> HttpResponse:
    """GET /receipts/<request_id>"""
    found = _receipts(request.user).filter(request_id=request_id).first()
    if found is None:
        raise Http404
    rules: dict[Any, Any] = RULES | {CARRIED_OVER: _("What you used as a guest today: it counts on your account from your sign-in on.")}
    context = {
        "receipt": found,
        "rule": rules.get(found.rule, ""),
        "error": OUTCOMES.get(found.error_code, found.error_code),
        "door": DOORS.get(found.entry_point, found.entry_point),
        "attempts": [{**attempt, "outcome": OUTCOMES.get(attempt["outcome"], attempt["outcome"])} for attempt in found.attempts],
        "key": ApiKey.objects.filter(user=found.account, pk=found.key_id or 0).first(),
        "price": Price.objects.filter(pk=found.price_version or 0).first(),
    }
    return render(request, "pages/receipt.html", context)
