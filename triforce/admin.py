"""What the operator writes, how the background tasks do, and what the staff did."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin as StockGroupAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from kombu.exceptions import OperationalError

from billing import clock, rates
from billing.admin_ledger import BoundedPaginator
from billing.audited import AuditedAdmin, LedgerAdmin
from triforce import log_words, schedule
from triforce.celery import DAILY, EVERY, app
from triforce.models import Announcement, TaskState, Text

RUN_SECONDS = 60  # between two runs of a task that people ask for
WAIT_SECONDS = 600  # a run that nobody took up is forgotten


@admin.register(Text)
class TextAdmin(AuditedAdmin):
    whole = frozenset({"body"})  # orders name the version that was agreed to
    list_display = ("title", "slug", "language", "position", "changed")
    list_filter = ("language",)
    search_fields = ("title", "slug", "body")


@admin.register(Announcement)
class AnnouncementAdmin(AuditedAdmin):
    list_display = ("text", "level", "starts_at", "ends_at", "dismissible")
    list_filter = ("level", "dismissible")
    search_fields = ("text_de", "text_en")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return super().formfield_for_manytomany(db_field, request, **{**kwargs, "widget": forms.CheckboxSelectMultiple})


@admin.register(TaskState)
class TaskStateAdmin(LedgerAdmin):
    list_display = ("task", "is_well", "due", "overdue", "succeeded", "failed", "failures", "error")
    search_fields = ("task",)
    actions = ("run_now",)

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("triforce.change_taskstate")

    @admin.action(description=gettext_lazy("Run now"), permissions=["run"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[TaskState]) -> None:
        """Ask the background work for it, once a minute at most."""
        for row in queryset:
            if row.task not in EVERY and row.task not in DAILY:
                self.message_user(request, _("%(task)s is not of this release.") % {"task": row.task}, messages.ERROR)
            elif not rates.hit(f"run:{row.task}", 1, RUN_SECONDS).allowed:
                self.message_user(request, _("%(task)s was asked for within the last minute.") % {"task": row.task}, messages.WARNING)
            else:
                self._run(request, row.task)

    def _run(self, request: HttpRequest, task: str) -> None:
        try:
            app.send_task(task, expires=WAIT_SECONDS, retry=False)
        except OperationalError:
            self.message_user(
                request, _("The background work cannot be reached: %(task)s was not asked for.") % {"task": task}, messages.ERROR
            )
        else:
            self.message_user(request, _("%(task)s is asked for. Look here again in a moment.") % {"task": task}, messages.SUCCESS)

    @admin.display(boolean=True, description=gettext_lazy("well"))
    def is_well(self, obj: TaskState) -> bool:
        return not obj.is_failing and not schedule.overdue_since(obj, clock.now())

    @admin.display(description=gettext_lazy("overdue since"))
    def overdue(self, obj: TaskState) -> Any:
        return schedule.overdue_since(obj, clock.now())

    @admin.display(description=gettext_lazy("due"))
    def due(self, obj: TaskState) -> str:
        """When it runs, UTC."""
        if obj.task in EVERY:
            return _("every %(seconds)d s") % {"seconds": EVERY[obj.task]}
        at = DAILY.get(obj.task)
        return "–" if at is None else f"{at._orig_hour}:{at._orig_minute:>02}"


@admin.register(LogEntry)
class LogEntryAdmin(LedgerAdmin):
    """What the staff changed, from what to what."""

    paginator = BoundedPaginator
    list_display = ("action_time", "user", "what", "content_type", "object_repr", "values")
    list_filter = ("action_flag", "content_type", "action_time")
    list_select_related = ("user", "content_type")
    search_fields = ("object_repr", "user__email", "change_message")
    ordering = ("-pk",)
    fields = ("action_time", "user", "what", "content_type", "object_id", "object_repr", "values", "before")
    readonly_fields = ("what", "values", "before")

    @admin.display(description=gettext_lazy("action"))
    def what(self, obj: LogEntry) -> str:
        return log_words.action_of(obj)

    @admin.display(description=gettext_lazy("before → after"))
    def values(self, obj: LogEntry) -> str:
        """Short ones beside each other, of long ones what differs."""
        found = [(name, *rest) for name, *rest in log_words.changes(obj)]
        if not found:
            return obj.get_change_message()
        short = ((name, before or "–", after or "–") for name, before, after, differing in found if not differing)
        long = ((name, differing) for name, _before, _after, differing in found if differing)
        lines = format_html_join("", "<li><b>{}</b>: {} → {}</li>", short)
        return format_html('<ul class="values">{}{}</ul>', lines, format_html_join("", "<li><b>{}</b><pre>{}</pre></li>", long))

    @admin.display(description=gettext_lazy("whole text before"))
    def before(self, obj: LogEntry) -> str:
        """Of long texts that are kept whole."""
        whole = [(name, before) for name, before, _after, differing in log_words.changes(obj) if differing and before]
        return format_html_join("", '<details class="values"><summary>{}</summary><pre>{}</pre></details>', whole) or "–"


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(AuditedAdmin, StockGroupAdmin):
    """Roles: support, billing and operator are set anew by every release; others are yours."""

    filter_horizontal = ()  # its script writes inline styles, which our policy refuses
