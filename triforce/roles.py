"""The staff's groups and what each may do. They are set anew after every migrate; for another cut make a group of your own.

What none of them may: make staff, change staff or hand out rights. That is a superuser's.
"""

from __future__ import annotations

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission

_SEEN_BY_ALL = (
    "accounts.view_user billing.view_tier billing.view_subscription billing.view_usageday billing.view_usageevent "
    "llm.view_provider llm.view_languagemodel triforce.view_announcement triforce.view_text"
)
SUPPORT = (
    f"{_SEEN_BY_ALL} accounts.view_apikey accounts.change_apikey accounts.view_logintoken accounts.change_logintoken accounts.view_device "
    "accounts.view_clientlog accounts.view_clientrelease accounts.view_impersonation accounts.impersonate_user accounts.suspend_user "
    "account.view_emailaddress usersessions.view_usersession billing.view_outboxmail"
)
BILLING = (
    f"{_SEEN_BY_ALL} billing.view_figures billing.add_subscription billing.change_subscription billing.view_price billing.add_price "
    "billing.export_usageevent billing.view_tierprice billing.view_order billing.view_invoice billing.view_declaration "
    "billing.change_declaration billing.refund_subscription djstripe.view_webhookeventtrigger"
)
_OPERATORS_APPS = ("accounts", "billing", "llm", "triforce")
_OPERATORS = "account.view_emailaddress account.change_emailaddress usersessions.view_usersession usersessions.delete_usersession "
_OPERATORS += "mfa.view_authenticator mfa.delete_authenticator admin.view_logentry djstripe.view_webhookeventtrigger"


def rights_of(role: str) -> set[str]:
    """`app.codename` of each right of the role."""
    if role == "support":
        return set(SUPPORT.split())
    if role == "billing":
        return set(BILLING.split())
    own = Permission.objects.filter(content_type__app_label__in=_OPERATORS_APPS)
    return {f"{app}.{name}" for app, name in own.values_list("content_type__app_label", "codename")} | set(_OPERATORS.split())


ROLES = ("support", "billing", "operator")


def seed() -> None:
    """Make the groups, and give each exactly its rights. Raises LookupError where one of them is not there."""
    for app in apps.get_app_configs():
        create_permissions(app, verbosity=0)
    known = {f"{app}.{name}": pk for pk, app, name in Permission.objects.values_list("pk", "content_type__app_label", "codename")}
    for role in ROLES:
        wanted = rights_of(role)
        if unknown := wanted - known.keys():
            raise LookupError(f"The role {role} has rights that no table knows: {', '.join(sorted(unknown))}")
        Group.objects.get_or_create(name=role)[0].permissions.set(known[name] for name in wanted)
