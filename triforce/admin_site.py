"""The administration: who gets in, and its front page."""

from __future__ import annotations

from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib.admin import AdminSite
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

SECTIONS: tuple[tuple[Any, str], ...] = (
    (_("People"), "accounts.User accounts.ApiKey accounts.LoginToken accounts.Device usersessions.UserSession mfa.Authenticator "
                  "account.EmailAddress accounts.ClientLog accounts.Impersonation"),
    (_("Tiers and money"), "billing.Tier billing.Subscription billing.UsageEvent billing.UsageDay billing.Price billing.TierPrice "
                           "billing.Order billing.Invoice billing.Declaration djstripe.WebhookEventTrigger"),
    (_("Models"), "llm.Provider llm.LanguageModel"),
    (_("The house"), "triforce.Announcement triforce.Text accounts.ClientRelease billing.OutboxMail triforce.TaskState admin.LogEntry "
                     "auth.Group"),
)  # fmt: skip
CALLED = {  # what others have named for programmers
    "usersessions.UserSession": _("Sessions"), "mfa.Authenticator": _("Second factors"), "account.EmailAddress": _("E-mail addresses"),
    "djstripe.WebhookEventTrigger": _("Stripe's events"),
    "admin.LogEntry": _("Log of the staff"), "auth.Group": _("Roles"),
}  # fmt: skip


class Site(AdminSite):
    site_title = site_header = "TriForce"
    index_title = _("Is all well?")
    index_template = "admin/front.html"

    def has_permission(self, request: HttpRequest) -> bool:
        """Staff, with a second factor outside development."""
        from triforce.second_factor import is_proven

        return super().has_permission(request) and is_proven(request)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Signing in is the portal's page; who is signed in and lacks the second factor is led to it."""
        return secure_admin_login(never_cache(self._enter))(request)

    def _enter(self, request: HttpRequest) -> HttpResponse:
        from triforce.second_factor import lead_to_it

        back = request.GET.get(REDIRECT_FIELD_NAME, "")
        if not url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure()):
            back = reverse("admin:index")
        return HttpResponseRedirect(back) if self.has_permission(request) else lead_to_it(request, back)

    def get_urls(self) -> list[Any]:
        """The pages of lower apps' tables that need a higher one stand here."""
        from triforce.admin_deletion import forget

        return [path("accounts/user/<path:object_id>/forget/", self.admin_view(forget), name="accounts_user_forget"), *super().get_urls()]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """By SECTIONS, for the front page and the side; what is in none stands under its own app."""
        apps: list[Any] = super().get_app_list(request, app_label)
        if app_label is not None:
            return apps
        known = {model["model"]._meta.label: model for app in apps for model in app["models"]}
        for label in CALLED.keys() & known:
            known[label]["name"] = CALLED[label]
        sections = []
        for number, (name, models) in enumerate(SECTIONS):
            rows = [known.pop(label) for label in models.split() if label in known]
            if rows:
                sections.append(
                    {"name": name, "app_label": f"section-{number}", "app_url": f"#{number}", "has_module_perms": True, "models": rows}
                )
        others = [{**app, "models": [row for row in app["models"] if row["model"]._meta.label in known]} for app in apps]
        return sections + [app for app in others if app["models"]]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from triforce.front import front

        return super().index(request, {**front(request), **(extra_context or {})})
