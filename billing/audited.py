"""The base of every page of the admin: each change of the staff's is written down with what was before and what is after it.

Only what a page shows can get into the log, never a password, and never a column that its admin names as `unlogged`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.admin.utils import flatten_fieldsets
from django.core.exceptions import FieldDoesNotExist
from django.db.models import DateTimeField, Model, QuerySet, URLField
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from billing.widgets import SplitDateTime

LONGEST = 2000  # characters of a value that the log keeps beside the other; of longer ones it keeps what differs
MOST_AT_ONCE = 1000  # rows of one action: each is a line of the log
SWITCHES = ("", "__exact", "__in", "__isnull", "__isempty", "__gte", "__lt", "__id__exact")  # what a filter's links ask of its column
Values = Mapping[str, str | None]  # column -> value, as people read it
Change = dict[str, list[str | None] | str]  # column -> [before, after], or their unified diff where they are long


def note(request: HttpRequest, row: Model, *, action: str, values: Change | None = None, flag: int = CHANGE) -> None:
    """Write down what somebody of the staff did to a row. `action` names it; `values` are what changed."""
    message: list[dict[str, Any]] = [{"action": action}]
    if values:
        message += [{"changed": {"fields": sorted(values)}}, {"values": values}]
    LogEntry.objects.log_actions(user_id=who_of(request), queryset=[row], action_flag=flag, change_message=json.dumps(message))


def who_of(request: HttpRequest) -> int:
    """The pk of the one of the staff who asks."""
    pk = request.user.pk
    assert pk is not None, "only the staff come here"
    return pk


def shown(value: Any) -> str | None:
    """A value as the log keeps it."""
    if value is None:
        return None
    if isinstance(value, QuerySet | list | tuple | set):
        value = ", ".join(map(str, value))
    return str(value)


def diff(before: str | None, after: str | None) -> str:
    """What differs, line by line, with three lines around it."""
    return "\n".join(difflib.unified_diff((before or "").splitlines(), (after or "").splitlines(), "-", "+", lineterm=""))


def is_long(*values: str | None) -> bool:
    return any(value is not None and len(value) > LONGEST for value in values)


class AuditedAdmin(admin.ModelAdmin):
    """`person` leads from a row to whose it is ("" = it is a person): the rows of staff are a superuser's to see and change.

    `unlogged`: columns that the log must not keep; `whole`: columns that it keeps however long they are.
    """

    formfield_overrides = {
        DateTimeField: {"form_class": forms.SplitDateTimeField, "widget": SplitDateTime},
        URLField: {"assume_scheme": "https"},
    }
    unlogged: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    person: str | None = None
    show_facets = admin.ShowFacets.NEVER  # a count for each value of each filter
    show_full_result_count = False  # a second count of every list, for a line that nobody reads
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        if self.person is None or getattr(request.user, "is_superuser", False):
            return rows
        prefix = f"{self.person}__" if self.person else ""
        return rows.filter(**{f"{prefix}is_staff": False, f"{prefix}is_superuser": False})

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Only what a filter's links ask. Django lets an address ask of any column: whoever asks often enough reads what no page shows."""
        return lookup in {f"{name}{switch}" for name in self._filtered(request) for switch in SWITCHES}

    def _filtered(self, request: HttpRequest | None) -> Iterable[str]:
        for item in self.get_list_filter(request) if request is not None else self.list_filter or ():
            if isinstance(item, type) and issubclass(item, admin.SimpleListFilter):
                yield from (str(item.parameter_name), *getattr(item, "also", ()))
            else:
                yield str(item[0] if isinstance(item, list | tuple) else item)

    # -- what the log keeps -----------------------------------------------------------------------------------------------

    def difference(self, before: Values, after: Values) -> Change:
        """What changed, as the log keeps it."""
        found: Change = {}
        for name in {**before, **after}:
            pair = [before.get(name), after.get(name)]
            if pair[0] != pair[1]:
                found[name] = diff(*pair) if is_long(*pair) and name not in self.whole else pair
        return found

    def values_of(self, request: HttpRequest, row: Model) -> dict[str, str | None]:
        """The columns that the row's page shows."""
        values = {}
        for field in flatten_fieldsets(self.get_fieldsets(request, row)):
            name = getattr(field, "admin_order_field", field)  # a column under a heading of ours
            if self._is_column(name):
                values[str(name)] = shown(getattr(row, str(name)))
        return values

    def _is_column(self, name: Any) -> bool:
        try:
            field = self.model._meta.get_field(str(name))
        except FieldDoesNotExist:
            return False
        return not field.many_to_many and self._may_be_kept(str(name))

    def _may_be_kept(self, name: str) -> bool:
        return name not in self.unlogged and "password" not in name

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> list[dict[str, Any]]:
        message = super().construct_change_message(request, form, formsets, add)
        names = [name for name in form.changed_data if name in form.cleaned_data and self._may_be_kept(name)]
        before = {} if add else {name: shown(_initial(form, name)) for name in names}
        values = self.difference(before, {name: shown(form.cleaned_data[name]) for name in names})
        return [*message, {"values": values}] if values else message

    def log_deletions(self, request: HttpRequest, queryset: Iterable[Any]) -> Any:
        for row in queryset:
            message = json.dumps([{"values": self.difference(self.values_of(request, row), {})}])
            LogEntry.objects.log_actions(user_id=who_of(request), queryset=[row], action_flag=DELETION, change_message=message)

    # -- actions on many rows ---------------------------------------------------------------------------------------------

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Each is written down, whichever way it was asked for: by what it is given, never by what the request says of it."""
        actions: dict[str, Any] = super().get_actions(request)
        return {name: (self._written_down(action, name), name, words) for name, (action, _name, words) in actions.items()}

    def _written_down(self, action: Callable[..., Any], name: str) -> Callable[..., Any]:
        @wraps(action)
        def written_down(_self: Any, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
            rows = list(queryset[: MOST_AT_ONCE + 1])
            if len(rows) > MOST_AT_ONCE:
                self.message_user(request, _("At most %(most)d rows at once.") % {"most": MOST_AT_ONCE}, messages.ERROR)
                return None
            these = queryset.filter(pk__in=[row.pk for row in rows])
            if name == "delete_selected":  # it writes its own lines
                return action(self, request, these)
            before = [(row, self.values_of(request, row)) for row in rows]
            answer = None
            try:
                answer = action(self, request, these)
            finally:  # what was done before a failure was done
                self._note_each(request, name, before, asks=isinstance(answer, HttpResponseBase))
            return answer

        return written_down

    def _note_each(self, request: HttpRequest, name: str, before: list[tuple[Model, dict[str, str | None]]], *, asks: bool) -> None:
        """A line for each row. `asks`: the action answered with a page of its own; it may not have done anything yet."""
        found = self.model._default_manager.in_bulk([row.pk for row, _values in before])
        for row, values in before:
            after = found.get(row.pk)
            if after is None:
                note(request, row, action=name, values=self.difference(values, {}), flag=DELETION)
            elif (changed := self.difference(values, self.values_of(request, after))) or not asks:
                note(request, after, action=name, values=changed)


def _initial(form: Any, name: str) -> Any:
    """What the form began with; a row instead of its key."""
    value, field = form.initial.get(name), form.fields[name]
    if isinstance(field, forms.ModelChoiceField) and not isinstance(field, forms.ModelMultipleChoiceField) and value is not None:
        return field.queryset.filter(pk=value).first() if field.queryset is not None else value
    return value


class LedgerAdmin(AuditedAdmin):
    """Rows that nobody writes by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
