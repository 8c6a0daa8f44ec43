"""People's credentials and what else is theirs, for operators. Accounts themselves are in accounts.admin_user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from allauth.account.admin import EmailAddressAdmin as StockEmailAddressAdmin
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import translation
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts import admin_user
from accounts.browsers import browser_of
from accounts.client_logs import LEVELS
from accounts.models import ApiKey, ClientLog, ClientRelease, Device, Impersonation, LoginToken, User
from billing.admin_ledger import BoundedPaginator, one_of
from billing.audited import AuditedAdmin, LedgerAdmin
from billing.letters import language_of, write

__all__ = ["ApiKeyAdmin", "admin_user"]

for model in (SocialAccount, SocialApp, SocialToken):
    admin.site.unregister(model)  # people connect theirs; clients stand in the environment, and no token is kept


class ReadOnlyAdmin(AuditedAdmin):
    """Rows that come from use, not from typing: to be looked at and acted upon."""

    person = "user"
    ordering = ("-pk",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RevocableAdmin(ReadOnlyAdmin):
    actions = ["revoke"]

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(f"accounts.change_{self.opts.model_name}")

    @admin.action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        count = queryset.filter(revoked=False).update(revoked=True)
        self.message_user(request, ngettext("%d was revoked.", "%d were revoked.", count) % count, messages.SUCCESS)


@admin.register(ApiKey)
class ApiKeyAdmin(RevocableAdmin):
    list_display = ("hint", "name", "user", "daily_tokens", "revoked", "expires", "last_used", "created")
    list_filter = ("revoked", "created")
    list_select_related = ("user",)
    search_fields = ("name", "hint", "user__email")
    fields = ("user", "name", "hint", "scopes", "models", "daily_tokens", "revoked", "expires", "last_used", "created")


@admin.register(LoginToken)
class LoginTokenAdmin(RevocableAdmin):
    paginator = BoundedPaginator
    list_display = ("client_id", "user", "revoked", "created", "expires")
    list_filter = ("revoked", "created")
    list_select_related = ("user",)
    search_fields = ("client_id", "user__email")
    fields = ("user", "client_id", "revoked", "created", "expires")


@admin.register(Device)
class DeviceAdmin(ReadOnlyAdmin):
    list_display = ("name", "kind", "user", "created", "last_seen")
    list_filter = ("kind",)
    list_select_related = ("user",)
    search_fields = ("name", "client_id", "user__email")
    fields = ("user", "device_id", "name", "kind", "client_id", "created", "last_seen")


@admin.register(ClientLog)
class ClientLogAdmin(ReadOnlyAdmin):
    unlogged = frozenset({"message", "entry", "client_info"})  # they are its owner's words
    paginator = BoundedPaginator
    list_display = ("received", "level", "user", "message")
    list_filter = (one_of("level", _("level"), lambda: LEVELS), "received")
    list_select_related = ("user",)
    search_fields = ("message", "user__email")


@admin.register(ClientRelease)
class ClientReleaseAdmin(AuditedAdmin):
    list_display = ("version", "platform", "build_date", "filename", "created")
    list_filter = ("platform",)
    search_fields = ("version", "filename")


@admin.register(Impersonation)
class ImpersonationAdmin(LedgerAdmin):
    list_display = ("started", "ended", "operator", "user", "reason")
    list_select_related = ("operator", "user")
    search_fields = ("user__email", "operator__email", "reason")


# allauth's own pages, under the house's rules
for kind in (EmailAddress, Authenticator, UserSession):
    admin.site.unregister(kind)


def column(name: str, label: Any) -> Callable[[Any], Any]:
    """A column of a table that is not ours, whose own name for it is not translated."""

    @admin.display(description=label, ordering=name)
    def shown(row: Any) -> Any:
        return getattr(row, name)

    return shown


WHOSE, BEGAN = column("user", _("account")), column("created_at", _("created"))


@admin.register(EmailAddress)
class EmailAddressAdmin(ReadOnlyAdmin, StockEmailAddressAdmin):
    """An address opens its account: its owner writes it, and the staff can at most vouch that it is theirs."""

    list_select_related = ("user",)

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return ("email",)

    def has_verify_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("account.change_emailaddress")

    @admin.action(description=_("Count as verified"), permissions=["verify"])
    def make_verified(self, request: HttpRequest, queryset: QuerySet[EmailAddress]) -> None:
        anothers = Exists(User.objects.filter(email=OuterRef("email")).exclude(pk=OuterRef("user_id")))
        for address in queryset.filter(anothers):
            self.message_user(request, _("%(email)s is another account's address.") % {"email": address.email}, messages.ERROR)
        super().make_verified(request, queryset.exclude(anothers))


@admin.register(Authenticator)
class AuthenticatorAdmin(ReadOnlyAdmin):
    """A second factor can be taken away where somebody lost it, and they hear of it; its secret is not shown."""

    list_display = (WHOSE, column("type", _("kind")), BEGAN, column("last_used_at", _("last used")))
    list_filter = ("type",)
    list_select_related = ("user",)
    search_fields = ("user__email",)
    fields: ClassVar[Any] = list_display

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: Authenticator) -> None:
        _tell_of_loss(obj)
        super().delete_model(request, obj)

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Authenticator]) -> None:
        for factor in queryset:
            _tell_of_loss(factor)
        super().delete_queryset(request, queryset)


def _tell_of_loss(factor: Authenticator) -> None:
    """Mail its owner that the staff took it away: whoever talked us into that is perhaps not them."""
    with translation.override(language_of(factor.user)):
        words = gettext("The administration has taken a second factor away from your account: %(kind)s.")
        write(
            factor.user.email,
            subject=gettext("A second factor was taken away"),
            paragraphs=[
                words % {"kind": factor.get_type_display()},
                gettext("You did not ask for that? Then set up a new one, change your password, and tell us at once."),
            ],
            label=gettext("See your second factors"),
            path=reverse("mfa_index"),
            dedupe=f"factor-taken:{factor.pk}",
        )


@admin.register(UserSession)
class UserSessionAdmin(ReadOnlyAdmin):
    unlogged = frozenset({"ip", "user_agent", "browser"})  # they would outlive the account
    paginator = BoundedPaginator
    list_display = (WHOSE, BEGAN, column("last_seen_at", _("last seen")), column("ip", _("address")), "browser")
    list_select_related = ("user",)
    search_fields = ("user__email", "ip")
    fields: ClassVar[Any] = list_display  # not its key, which opens it
    actions = ("end",)

    @admin.display(description=_("browser"), ordering="user_agent")
    def browser(self, obj: UserSession) -> str:
        return format_html('<span title="{}">{}</span>', obj.user_agent, browser_of(obj.user_agent))

    @admin.action(description=_("End these sessions"), permissions=["delete"])
    def end(self, request: HttpRequest, queryset: QuerySet[UserSession]) -> None:
        for session in queryset:
            session.end()
        self.message_user(request, _("Ended."), messages.SUCCESS)
