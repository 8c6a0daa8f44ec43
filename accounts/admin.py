"""People and their credentials, for operators."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.db.models import QuerySet, URLField
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.models import ApiKey, ClientLog, ClientRelease, Device, LoginToken, User


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that come from use, not from typing: to be looked at and acted upon."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RevocableAdmin(ReadOnlyAdmin):
    actions = ["revoke"]

    @admin.action(description=_("Revoke"), permissions=["delete"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        count = queryset.filter(revoked=False).update(revoked=True)
        self.message_user(request, ngettext("%d was revoked.", "%d were revoked.", count) % count, messages.SUCCESS)


class UserCreationForm(AdminUserCreationForm):
    class Meta:
        model = User
        fields = ("email",)


@admin.register(User)
class UserAdmin(StockUserAdmin):
    list_display = ("email", "name", "is_active", "is_staff", "date_joined", "last_login")
    list_filter = ("is_active", "is_staff", "subscriptions__tier", "date_joined")
    search_fields = ("email", "name")
    ordering = ("-date_joined",)
    readonly_fields = ("date_joined", "last_login")
    add_form = UserCreationForm
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        (_("Chat"), {"fields": ("default_model", "brumo", "substitution", "quota_mails", "language")}),
        (_("Rights"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (_("Dates"), {"fields": ("date_joined", "last_login")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "usable_password", "password1", "password2")}),)
    actions = ["sign_out"]

    @admin.action(description=_("Sign out everywhere"), permissions=["change"])
    def sign_out(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            user.sign_out_everywhere()
        self.message_user(request, _("Signed out everywhere; API keys go on working."), messages.SUCCESS)


@admin.register(ApiKey)
class ApiKeyAdmin(RevocableAdmin):
    list_display = ("hint", "name", "user", "daily_tokens", "revoked", "expires", "last_used", "created")
    list_filter = ("revoked", "created")
    list_select_related = ("user",)
    search_fields = ("name", "hint", "user__email")
    fields = ("user", "name", "hint", "scopes", "models", "daily_tokens", "revoked", "expires", "last_used", "created")


@admin.register(LoginToken)
class LoginTokenAdmin(RevocableAdmin):
    list_display = ("client_id", "user", "revoked", "created", "expires")
    list_filter = ("revoked", "created")
    list_select_related = ("user",)
    search_fields = ("client_id", "user__email")


@admin.register(Device)
class DeviceAdmin(ReadOnlyAdmin):
    list_display = ("name", "kind", "user", "created", "last_seen")
    list_filter = ("kind",)
    list_select_related = ("user",)
    search_fields = ("name", "client_id", "user__email")
    fields = ("user", "device_id", "name", "kind", "client_id", "created", "last_seen")


@admin.register(ClientLog)
class ClientLogAdmin(ReadOnlyAdmin):
    list_display = ("received", "level", "user", "message")
    list_filter = ("level", "received")
    list_select_related = ("user",)
    search_fields = ("message", "user__email")


@admin.register(ClientRelease)
class ClientReleaseAdmin(admin.ModelAdmin):
    formfield_overrides = {URLField: {"assume_scheme": "https"}}
    list_display = ("version", "platform", "build_date", "filename", "created")
    list_filter = ("platform",)
    search_fields = ("version", "filename")
