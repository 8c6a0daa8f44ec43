"""Every place that holds something of a person. A new table of theirs is one line in STORES; a test fails until it stands there."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, ClientLog, Device, LoginToken, User, UserSettings
from billing.models import OutboxMail, Subscription, UsageDay, UsageEvent
from llm.models import Attachment, Conversation, IdempotentAnswer, Turn

Rows = QuerySet[Any]


@dataclass(frozen=True)
class Store:
    """The rows of one table that are about one person.

    secret: columns that open something, or that only say whose row it is; they are in no export.
    blur: takes the person out of rows that must stay, given a name that leads nowhere; without it rows are deleted.
    """

    name: str
    what: Any  # for people
    model: type[Model]
    of: Callable[[User], Rows]
    secret: frozenset[str] = frozenset()
    blur: Callable[[Rows, str], object] | None = None

    @property
    def columns(self) -> list[str]:
        """What an export shows."""
        return [field.attname for field in self.model._meta.concrete_fields if field.name not in self.secret]

    def forget(self, user: User, alias: str) -> None:
        """Delete the rows, or take the person out of them."""
        rows = self.of(user)
        if self.blur:
            self.blur(rows, alias)
        else:
            rows.delete()


def owned(name: str, what: Any, model: type[Model], *secret: str, by: str = "user") -> Store:
    """Rows that point at the account, straight or over other tables; deleted with it."""
    return Store(name, what, model, lambda user: model._base_manager.filter(**{by: user}), frozenset({by, *secret}))


def named(name: str, what: Any, model: type[Model], *secret: str, by: str = "subject") -> Store:
    """Rows that name the account as the meter does, "user:5"; deleted with it."""
    return Store(name, what, model, lambda user: model._base_manager.filter(**{by: user.subject}), frozenset({by, *secret}))


def _key_days(user: User) -> Rows:
    keys = {*user.api_keys.values_list("pk", flat=True), *_receipts(user).exclude(key_id=None).values_list("key_id", flat=True)}
    return UsageDay.objects.filter(subject__in=[f"key:{key}" for key in keys])


def _receipts(user: User) -> Rows:
    return UsageEvent.objects.filter(Q(account=user) | Q(subject=user.subject))


def _mails(user: User) -> Rows:
    return OutboxMail.objects.filter(to__in={user.email, *EmailAddress.objects.filter(user=user).values_list("email", flat=True)})


def _sessions(user: User) -> Rows:
    return Session.objects.filter(session_key__in=UserSession.objects.filter(user=user).values("session_key"))


def _told_of(user: User) -> Rows:
    """What the log of the administration says about them: entries name what they are about."""
    themselves = Q(content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk))
    address = rf"(^|[^a-z0-9._%+-]){re.escape(user.email)}($|[^a-z0-9._-])"  # whole: max@b.org is not x@b.org
    return LogEntry.objects.filter(themselves | Q(object_repr__iregex=address) | Q(change_message__iregex=address))


# In the order in which they are emptied: what hangs on another row, or is found by it, comes first.
STORES = (
    Store("key_days", _("The meter's days of your API keys"), UsageDay, _key_days),
    Store("receipts", _("Receipts"), UsageEvent, _receipts, frozenset({"account", "subject"}),
          blur=lambda rows, alias: rows.update(account=None, subject=alias, key_id=None, visitor="")),
    Store("days", _("The meter's days"), UsageDay, lambda user: UsageDay.objects.filter(subject=user.subject), frozenset({"subject"}),
          blur=lambda rows, alias: rows.update(subject=alias)),
    owned("turn_files", _("Which files you asked about"), Turn.attachments.through, by="turn__conversation__user"),
    owned("turns", _("What you asked and what was answered"), Turn, by="conversation__user"),
    owned("conversations", _("Conversations"), Conversation, "share_token"),
    owned("files", _("Files you asked about"), Attachment),
    named("stored_answers", _("Answers kept for a repeated request"), IdempotentAnswer),
    Store("mails", _("Mails to you"), OutboxMail, _mails, frozenset({"body", "dedupe"})),
    Store("administration_log", _("What the administration noted about you"), LogEntry, _told_of, frozenset({"user"}),
          blur=lambda rows, alias: rows.update(object_id=None, object_repr=alias, change_message="")),
    owned("administration", _("What you did in the administration"), LogEntry),
    owned("api_keys", _("API keys"), ApiKey, "digest"),
    owned("login_tokens", _("Logins of programs"), LoginToken, "jti"),
    owned("devices", _("Devices"), Device, "secret_digest"),
    owned("client_logs", _("Logs that your programs sent"), ClientLog),
    owned("client_settings", _("Settings of your programs"), UserSettings),
    owned("subscriptions", _("Subscriptions and grants"), Subscription),
    Store("session_data", _("Data of sessions"), Session, _sessions, frozenset({"session_key", "session_data"})),
    owned("sessions", _("Sessions"), UserSession, "session_key"),
    owned("second_factors", _("Second factors and passkeys"), Authenticator, "data"),
    owned("confirmations", _("Mails that asked to confirm an address"), EmailConfirmation, "key", by="email_address__user"),
    owned("email_addresses", _("E-mail addresses"), EmailAddress),
    owned("groups", _("Groups"), User.groups.through),
    owned("permissions", _("Permissions"), User.user_permissions.through),
    Store("account", _("The account"), User, lambda user: User.objects.filter(pk=user.pk), frozenset({"password"})),
)  # fmt: skip

# Tables that hold nothing of a person.
IMPERSONAL = frozenset({
    "accounts.ClientRelease", "auth.Group", "auth.Group_permissions", "auth.Permission", "billing.Price", "billing.Revision",
    "billing.Tier", "contenttypes.ContentType", "llm.LanguageModel", "llm.Provider", "llm.ProviderDay", "triforce.Text",
})  # fmt: skip
