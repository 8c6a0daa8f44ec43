"""Every place that holds something of a person. A new table of theirs is one line in STORES; a test fails until it stands there."""

from __future__ import annotations

from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db.models import Case, Q, Value, When
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, ClientLog, Device, Impersonation, LoginToken, User, UserSettings
from billing.contracts import declared_by
from billing.models import Declaration, Invoice, Order, OutboxMail, Subscription, TierDay, UsageDay, UsageEvent
from llm.models import Attachment, Conversation, IdempotentAnswer, Turn
from triforce.privacy.staff_log import Told, hand_over, told_of
from triforce.privacy.store import Rows, Store, named, owned
from triforce.privacy.stripe_stores import STRIPE_IMPERSONAL, STRIPE_STORES


def _key_days(user: User) -> Rows:
    keys = {*user.api_keys.values_list("pk", flat=True), *_receipts(user).exclude(key_id=None).values_list("key_id", flat=True)}
    return UsageDay.objects.filter(subject__in=[f"key:{key}" for key in keys])


def _receipts(user: User) -> Rows:
    return UsageEvent.objects.filter(Q(account=user) | Q(subject=user.subject))


def _unless_guests(alias: str) -> Case:
    """What was counted for a network's guests stays with their counter, which says nothing of a person."""
    return Case(When(subject__startswith="guest:", then="subject"), default=Value(alias))


def _mails(user: User) -> Rows:
    return OutboxMail.objects.filter(to__in={user.email, *EmailAddress.objects.filter(user=user).values_list("email", flat=True)})


def _sessions(user: User) -> Rows:
    return Session.objects.filter(session_key__in=UserSession.objects.filter(user=user).values("session_key"))


def lock_meter(user: User) -> None:
    """Wait for the requests that are at work on their receipts and counters, in the order in which the meter takes these."""
    list(_receipts(user).select_for_update().order_by("request_id").values_list("pk"))
    days = UsageDay.objects.filter(subject=user.subject) | _key_days(user)
    list(days.select_for_update().order_by("-subject", "day", "usage_class").values_list("pk"))


# In the order in which they are emptied: what hangs on another row, or is found by it, comes first.
STORES = (
    Store("key_days", _("The meter's days of your API keys"), UsageDay, _key_days),
    Store("receipts", _("Receipts"), UsageEvent, _receipts, frozenset({"account", "subject"}),
          blur=lambda rows, alias: rows.update(account=None, subject=_unless_guests(alias), key_id=None, visitor="")),
    Store("days", _("The meter's days"), UsageDay, lambda user: UsageDay.objects.filter(subject=user.subject), frozenset({"subject"}),
          blur=lambda rows, alias: rows.update(subject=alias)),
    named("tier_days", _("What you used by tier and day"), TierDay),
    owned("turn_files", _("Which files you asked about"), Turn.attachments.through, by="turn__conversation__user"),
    owned("turns", _("What you asked and what was answered"), Turn, by="conversation__user"),
    owned("conversations", _("Conversations"), Conversation, "share_token"),
    owned("files", _("Files you asked about"), Attachment),
    named("stored_answers", _("Answers kept for a repeated request"), IdempotentAnswer),
    Store("mails", _("Mails to you"), OutboxMail, _mails, frozenset({"body", "dedupe"})),
    Told("administration_log", _("What the administration noted about you"), LogEntry, told_of, frozenset({"user"})),
    Store("administration", _("What you did in the administration"), LogEntry, lambda user: LogEntry.objects.filter(user=user),
          frozenset({"user"}), blur=hand_over),
    owned("impersonations", _("When the administration looked at your account"), Impersonation, "operator"),
    owned("api_keys", _("API keys"), ApiKey, "digest"),
    owned("login_tokens", _("Logins of programs"), LoginToken, "jti"),
    owned("devices", _("Devices"), Device, "secret_digest"),
    owned("client_logs", _("Logs that your programs sent"), ClientLog),
    owned("client_settings", _("Settings of your programs"), UserSettings),
    *STRIPE_STORES,
    Store("declarations", _("Cancellations and withdrawals"), Declaration, lambda user: Declaration.objects.filter(declared_by(user)),
          frozenset({"user"})),
    Store("invoices", _("Invoices; tax law has their sums kept, without you"), Invoice, lambda user: Invoice.objects.filter(user=user),
          frozenset({"user"}), blur=lambda rows, alias: rows.update(user=None, page="", pdf="")),
    owned("orders", _("Orders, and what you agreed to"), Order),
    owned("subscriptions", _("Subscriptions and grants"), Subscription, "schedule_id"),
    Store("session_data", _("Data of sessions"), Session, _sessions, frozenset({"session_key", "session_data"})),
    owned("sessions", _("Sessions"), UserSession, "session_key"),
    owned("second_factors", _("Second factors and passkeys"), Authenticator, "data"),
    owned("tokens_elsewhere", _("Tokens of your accounts elsewhere"), SocialToken, "token", "token_secret", by="account__user"),
    owned("accounts_elsewhere", _("Accounts elsewhere that sign you in"), SocialAccount),
    owned("confirmations", _("Mails that asked to confirm an address"), EmailConfirmation, "key", by="email_address__user"),
    owned("email_addresses", _("E-mail addresses"), EmailAddress),
    owned("groups", _("Groups"), User.groups.through),
    owned("permissions", _("Permissions"), User.user_permissions.through),
    Store("account", _("The account"), User, lambda user: User.objects.filter(pk=user.pk), frozenset({"password"})),
)  # fmt: skip

# Tables that hold nothing of a person.
IMPERSONAL = frozenset({
    "accounts.ClientRelease", "auth.Group", "auth.Group_permissions", "auth.Permission", "billing.Figures", "billing.Mark", "billing.Price",
    "billing.Revision", "billing.Tier", "billing.TierPrice", "contenttypes.ContentType", "llm.LanguageModel", "llm.ModelDay",
    "llm.Provider", "llm.ProviderDay", "socialaccount.SocialApp", "triforce.Announcement", "triforce.Announcement_tiers",
    "triforce.TaskState", "triforce.Text",
}) | STRIPE_IMPERSONAL  # fmt: skip
