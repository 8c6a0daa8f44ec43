"""The meter's tables in the admin: read only, and never read as a whole.

A list shows the newest receipts or those of some days; who searches for a receipt or a person finds all that are theirs. What is counted
is counted up to a limit, and no filter asks the table which values there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from billing import clock
from billing.audited import LedgerAdmin, who_of
from billing.charges import Outcome
from billing.models import UsageDay, UsageEvent
from billing.tables import csv_response
from billing.tiers import all_tiers
from billing.visitors import CARRIED_OVER

NEWEST = 20_000  # receipts in which a list and its filters look where nothing else is said
COUNTED = 5_000  # rows a list counts; more are not paged through
DAYS = 8
EDGE = 1000  # receipts at either end of some days, of which the lowest and the highest number bound the others
SPAN = ("from", "to")  # the first and the last day in an address
YEARS = (2000, 9000)
ENTRY_POINTS = ("client", "websocket", "sign-in")
EXPORTED = (
    "request_id", "created", "subject", "key_id", "tier", "entry_point", "usage_class", "requested_model", "served_model", "state", "rule",
    "streamed", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "estimated", "over_limit",
    "reserved", "charged", "price_version", "latency_ms", "ttft_ms", "finish_reason", "error_code", "closed",
)  # fmt: skip


class BoundedPaginator(Paginator):
    """Counts no further than COUNTED."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNTED].count())


def one_of(column: str, heading: Any, options: Callable[[], Iterable[str]]) -> type[admin.SimpleListFilter]:
    """A filter whose values are known without asking the table."""

    class OneOf(admin.SimpleListFilter):
        title = heading
        parameter_name = column

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return [(value, value) for value in options()]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            return queryset.filter(**{column: self.value()}) if self.value() else queryset

    return OneOf


def names_one(term: str) -> bool:
    """Does a search name a receipt or a person, whose rows an index finds?"""
    return "@" in term or term.strip().startswith(("req_", "user:"))


class DayFilter(admin.SimpleListFilter):
    """Today, or another UTC day; of one subject all."""

    title = _("when")
    parameter_name = "on"
    otherwise: Any = _("today")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        today = clock.now().date()
        days = [today - timedelta(days=back) for back in range(DAYS)]
        return [(day.isoformat(), date_format(day, "SHORT_DATE_FORMAT")) for day in days]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        yield {**first, "display": self.otherwise}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        day = _day(self.value())
        if day is None and request.GET.get("q"):
            return queryset
        return queryset.filter(day=day or clock.now().date())


class WhenFilter(DayFilter):
    """The newest, one UTC day, or all from one to another, which may be open to either side."""

    template = "admin/parts/days_filter.html"
    otherwise = _("the newest")
    also = SPAN

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: type[Model], model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.first, self.last = ((params.pop(name, None) or [""])[-1] for name in SPAN)
        self.others = [(name, value) for name, value in request.GET.items() if name not in (*SPAN, self.parameter_name, PAGE_VAR)]

    def expected_parameters(self) -> list[str | None]:
        return [*super().expected_parameters(), *SPAN]

    def choices(self, changelist: Any) -> Any:
        """A link to a single day leads out of a span."""
        newest, *days = super().choices(changelist)
        is_span = bool(self.first or self.last)
        yield {**newest, "selected": newest["selected"] and not is_span, "query_string": changelist.get_query_string(remove=["on", *SPAN])}
        for (day, _name), choice in zip(self.lookup_choices, days, strict=True):
            yield {**choice, "query_string": changelist.get_query_string({"on": day}, SPAN)}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first, last = (_day(self.value()),) * 2 if self.value() else (_day(self.first), _day(self.last))
        if first or last:
            return _within(queryset, first, last)
        if names_one(request.GET.get("q", "")):
            return queryset
        return queryset.filter(pk__gt=UsageEvent.newest_pk() - NEWEST)


def _day(value: str | None) -> date | None:
    """Raises IncorrectLookupParameters for what is no day, or one that no calendar of ours reaches."""
    try:
        day = date.fromisoformat(value) if value else None
    except ValueError as error:
        raise IncorrectLookupParameters(value) from error
    if day is not None and not YEARS[0] <= day.year <= YEARS[1]:
        raise IncorrectLookupParameters(value)
    return day


def _within(receipts: QuerySet[Any], first: date | None, last: date | None) -> QuerySet[Any]:
    """Those from the first UTC day to the last, inclusively.

    Their numbers are bounded, too: a list goes by numbers, and would walk down to the days through all newer ones. At the edges many
    are looked at, as receipts of one moment take their numbers in any order.
    """
    within = {}
    if first:
        within["created__gte"] = datetime.combine(first, time(), UTC)
    if last:
        within["created__lt"] = datetime.combine(last, time(), UTC) + timedelta(days=1)
    numbers = UsageEvent.objects.filter(**within).values_list("pk", flat=True)
    first_ones, last_ones = (list(numbers.order_by(order)[:EDGE]) for order in ("created", "-created"))
    return receipts.filter(pk__gte=min(first_ones), pk__lte=max(last_ones), **within) if first_ones else receipts.none()


class DatedAdmin(LedgerAdmin):
    """A list by days, which says so where an address names none."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return self._told(request) or super().changelist_view(request, extra_context)

    def _told(self, request: HttpRequest) -> HttpResponse | None:
        """Back to the list with a word on what is no day in the address, if something is."""
        try:
            for name in ("on", *SPAN):
                _day(request.GET.get(name))
        except IncorrectLookupParameters as error:
            words = _("“%(value)s” is no day. Write it like %(example)s.") % {"value": error, "example": clock.now().date().isoformat()}
            self.message_user(request, words, messages.ERROR)
            return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))
        return None


def subject_of(term: str) -> str:
    """The meter's name for whom a search means: an account by its address, else the term itself."""
    term = term.strip()
    if "@" not in term:
        return term
    user = get_user_model()._default_manager.filter(email=term.casefold()).first()
    return "" if user is None else str(user.subject)


@admin.register(UsageDay)
class UsageDayAdmin(DatedAdmin):
    list_display = ("day", "subject", "usage_class", "limit", "used", "reserved")
    list_filter = (DayFilter, "usage_class")
    search_fields = ("subject",)
    ordering = ("-day", "subject")
    paginator = BoundedPaginator

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        return (queryset.filter(subject=subject_of(search_term)) if search_term.strip() else queryset), False


@admin.register(UsageEvent)
class UsageEventAdmin(DatedAdmin):
    change_list_template = "admin/billing/usageevent/change_list.html"
    list_display = (
        "created", "request_id", "account", "tier", "requested_model", "served_model", "state", "rule", "reserved", "charged", "estimated",
        "over_limit", "error_code",
    )  # fmt: skip
    list_filter = (
        WhenFilter,
        one_of("state", _("state"), lambda: UsageEvent.State.values),
        one_of("tier", _("tier"), lambda: [tier.slug for tier in all_tiers()]),
        one_of("rule", _("rule"), lambda: [*Outcome, CARRIED_OVER]),
        one_of("entry_point", _("door"), lambda: ENTRY_POINTS),
        "usage_class",
        "estimated",
        "over_limit",
        ("error_code", admin.EmptyFieldListFilter),
    )
    list_select_related = ("account",)
    search_fields = ("request_id",)
    ordering = ("-id",)
    paginator = BoundedPaginator

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if term.startswith("req_"):
            return queryset.filter(request_id=term), False
        if names_one(term):
            number = subject_of(term).removeprefix("user:")
            return queryset.filter(account=int(number)) if number.isdecimal() and len(number) < 19 else queryset.none(), False
        if term:
            queryset = queryset.filter(Q(requested_model__icontains=term) | Q(served_model__icontains=term))
        return queryset, False

    def get_urls(self) -> list[URLPattern]:
        export = self.admin_site.admin_view(self.export)
        return [path("export/", export, name="billing_usageevent_export"), *super().get_urls()]

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.export_usageevent")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        shown = {"may_export": self.has_export_permission(request), "query": request.GET.urlencode(), "cap": _cap(request)}
        return super().changelist_view(request, {**shown, **(extra_context or {})})

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """GET …/export/: all that the list with the same query looks at, as CSV."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        if told := self._told(request):
            return told
        rows = self.get_changelist_instance(request).queryset
        LogEntry.objects.create(
            user_id=who_of(request), content_type=ContentType.objects.get_for_model(UsageEvent), object_repr=str(_("export of receipts")),
            action_flag=CHANGE, change_message=request.GET.urlencode()[:500],
        )  # fmt: skip
        days = [request.GET[name] for name in ("on", *SPAN) if request.GET.get(name)]
        return csv_response("-".join(["receipts", *(days or ["newest"])]), EXPORTED, rows, last=_cap(request))


def _cap(request: HttpRequest) -> str:
    """What a list and its export say where they look at no more than the newest; "" where they look at all that is asked for."""
    if any(request.GET.get(name) for name in ("on", *SPAN)) or names_one(request.GET.get("q", "")):
        return ""
    if not UsageEvent.objects.filter(pk__lte=UsageEvent.newest_pk() - NEWEST).order_by("pk")[:1].exists():
        return ""
    return str(_("The newest %(most)s receipts alone are looked at. Choose days to have all of them.") % {"most": f"{NEWEST:,}"})
