"""An account's page in the admin: how it does, and what the staff may do with it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.impersonation import MINUTES, RIGHT, begin
from accounts.models import User
from accounts.overview import overview
from accounts.suspension import reinstate, suspend
from billing.audited import AuditedAdmin, note
from billing.grants import grant
from billing.models import Tier
from billing.tiers import tier_for
from billing.widgets import SplitDateTime

SUSPEND, GRANT, FORGET = "accounts.suspend_user", "billing.add_subscription", "accounts.forget_user"


def _rules(request: HttpRequest) -> bool:
    """Is it a superuser who asks?"""
    return bool(getattr(request.user, "is_superuser", False))


class UserCreationForm(AdminUserCreationForm):
    class Meta:
        model = User
        fields = ("email",)


class InvitationForm(forms.ModelForm):
    """An account without a password: its owner asks for one by mail."""

    class Meta:
        model = User
        fields = ("email",)

    def save(self, commit: bool = True) -> User:
        self.instance.set_unusable_password()
        user: User = super().save(commit)
        return user


class GrantForm(forms.Form):
    """A tier without payment."""

    tier = forms.ModelChoiceField(label=_("Tier"), queryset=Tier.objects.filter(is_guest=False))
    ends_at = forms.SplitDateTimeField(
        label=_("Until"), required=False, widget=SplitDateTime, help_text=_("UTC; empty = until further notice")
    )
    reason = forms.CharField(label=_("Note"), max_length=200, required=False)

    def clean_ends_at(self) -> Any:
        ends_at = self.cleaned_data["ends_at"]
        if ends_at and ends_at <= timezone.now():
            raise forms.ValidationError(_("That is over already."))
        return ends_at


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(label=_("Reason"), max_length=200)


@admin.register(User)
class UserAdmin(AuditedAdmin, StockUserAdmin):
    person = ""
    change_form_template = "admin/accounts/user/change_form.html"
    list_display = ("email", "name", "is_active", "is_staff", "date_joined", "last_login")
    list_filter = ("is_active", "is_staff", "date_joined")
    search_fields = ("email", "name")
    ordering = ("-pk",)
    readonly_fields = ("date_joined", "last_login", "is_active")
    filter_horizontal = ()  # its script writes inline styles, which our policy refuses
    add_form = UserCreationForm
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        (_("Chat"), {"fields": ("default_model", "brumo", "substitution", "quota_mails", "language")}),
        (_("Rights"), {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        (_("Dates"), {"fields": ("date_joined", "last_login")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "usable_password", "password1", "password2")}),)
    actions = ["sign_out"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The address is a superuser's to change: who can put theirs there can have a new password sent."""
        if _rules(request) or obj is None:
            return self.readonly_fields
        return (*self.readonly_fields, "email", "is_staff", "is_superuser", "groups")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = {"form": InvitationForm} if obj is None and not _rules(request) else {}
        return super().get_form(request, obj, change=change, **{**form, **kwargs})

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_fieldsets(request, obj) if obj is not None or _rules(request) else ((None, {"fields": ("email",)}),)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """A superuser's: who sets a password can sign in with it."""
        if not _rules(request):
            raise PermissionDenied
        return super().user_change_password(request, id, form_url)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return super().formfield_for_manytomany(db_field, request, **{**kwargs, "widget": forms.CheckboxSelectMultiple})

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # it would go past what deletion has to do: triforce.admin_deletion does all of it

    def has_suspend_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(SUSPEND)

    @admin.action(description=_("Sign out everywhere"), permissions=["suspend"])
    def sign_out(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            user.sign_out_everywhere()
        self.message_user(request, _("Signed out everywhere; API keys go on working."), messages.SUCCESS)

    # -- one account ------------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(f"<path:object_id>/{name}/", self.admin_site.admin_view(view), name=f"accounts_user_{name.replace('-', '_')}")
            for name, view in (("grant", self.grant), ("suspend", self.suspend), ("look", self.look))
        ]
        return own + super().get_urls()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        user = self.get_object(request, unquote(object_id))
        context: dict[str, Any] = {}
        if user is not None and self.has_view_permission(request, user):
            buttons = (("grant", GRANT), ("suspend", SUSPEND), ("look", RIGHT), ("forget", FORGET))
            may = {f"may_{name}": request.user.has_perm(right) for name, right in buttons}
            if user.works_here:
                may |= {"may_suspend": _rules(request) and user.pk != request.user.pk, "may_look": False}
            context = {"overview": overview(user), **may}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def chosen(self, request: HttpRequest, object_id: str, right: str) -> User:
        """The account, for somebody with the right to it. Raises PermissionDenied, Http404."""
        if not request.user.has_perm(right):
            raise PermissionDenied
        user = self.get_object(request, unquote(object_id))
        if user is None:
            raise Http404
        return user

    def ask(self, request: HttpRequest, user: User, form: forms.Form | None, **words: Any) -> HttpResponse:
        """A question about the account; without a form it is only told what stands in the way."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": user,
            "form": form,
            "media": self.media + form.media if form else self.media,
            **words,
        }
        return TemplateResponse(request, "admin/accounts/user/ask.html", context)

    def back(self, user: User) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:accounts_user_change", args=[user.pk]))

    def grant(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET, POST …/grant/: a tier from now on, to an end or until further notice."""
        user = self.chosen(request, object_id, GRANT)
        form = GrantForm(request.POST or None)
        if not form.is_valid():
            words = _("It takes the place of earlier grants. What was paid for stays, and the higher tier counts.")
            return self.ask(request, user, form, title=_("Give a tier"), words=words, press=_("Give it"))
        tier, ends_at = form.cleaned_data["tier"], form.cleaned_data["ends_at"]
        before = tier_for(user)
        grant(user, tier, note=form.cleaned_data["reason"], ends_at=ends_at)
        now = tier_for(user)
        given = {"tier": [before.name, now.name], "grant": [None, tier.name], "until": [None, str(ends_at or "")]}
        note(request, user, action="grant", values={**given, "reason": [None, form.cleaned_data["reason"]]})
        if now == tier:
            words = _("%(email)s is on %(tier)s.")
        else:
            words = _("%(email)s stays on %(now)s, which is higher and paid for; %(tier)s was given beside it.")
        values = {"email": user.email, "tier": tier.name, "now": now.name}
        self.message_user(request, words % values, messages.SUCCESS if now == tier else messages.WARNING)
        return self.back(user)

    def suspend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET, POST …/suspend/: close the account, or open it again. One of the staff's is a superuser's to close, and never one's own."""
        user = self.chosen(request, object_id, SUSPEND)
        if (user.works_here and not _rules(request)) or user.pk == request.user.pk:
            raise PermissionDenied
        closes = user.is_active
        form = ReasonForm(request.POST or None)
        if not form.is_valid():
            if closes:
                words = _("Every session, token and key stops at once, and open connections close. Nothing is deleted.")
                return self.ask(request, user, form, title=_("Suspend the account"), words=words, press=_("Suspend"))
            words = _("They can sign in again, and their API keys work again.")
            return self.ask(request, user, form, title=_("Reinstate the account"), words=words, press=_("Reinstate"))
        (suspend if closes else reinstate)(user)
        values: Any = {"is_active": [str(closes), str(not closes)], "reason": [None, form.cleaned_data["reason"]]}
        note(request, user, action="suspend" if closes else "reinstate", values=values)
        self.message_user(request, _("Suspended.") if closes else _("Reinstated."), messages.SUCCESS)
        return self.back(user)

    def look(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET, POST …/look/: see the portal as they do."""
        user = self.chosen(request, object_id, RIGHT)
        form = ReasonForm(request.POST or None)
        if user.works_here:
            raise PermissionDenied
        if not form.is_valid():
            words = _("You see their pages, and can change nothing; their chats stay closed. They read when you looked, and why.")
            ends = _("It ends by itself after %(minutes)d minutes.") % {"minutes": MINUTES}
            return self.ask(request, user, form, title=_("See the portal as they do"), words=f"{words} {ends}", press=_("Look"))
        row = begin(request, user, form.cleaned_data["reason"])
        note(request, user, action="look", values={"reason": [None, row.reason]})
        return HttpResponseRedirect(reverse("dashboard"))
