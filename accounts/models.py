"""People and what they sign in with."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

LANGUAGES = settings.LANGUAGES


def normalise_email(email: str) -> str:
    """The one spelling an address is stored and compared in: trimmed and casefolded."""
    return email.strip().casefold()


def mailbox_of(email: str) -> str:
    """The mailbox behind the spellings of an address: no plus tag, no dots where Gmail ignores them. For finding duplicates only."""
    local, _at, domain = normalise_email(email).rpartition("@")
    local = local.partition("+")[0] or local
    if domain in ("gmail.com", "googlemail.com"):
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"


class UserManager(BaseUserManager["User"]):
    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Make an account; `password=None` makes one that cannot sign in by password."""
        user = self.model(email=normalise_email(email), **fields)
        user.set_password(password)
        user.save()
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Make an operator. Who can do this has the machine, so the address counts as verified."""
        user = self.create_user(email, password, **{**fields, "is_staff": True, "is_superuser": True})
        user.trust_email()
        return user

    def with_mailbox(self, email: str) -> User | None:
        """The account of that address or of another spelling of it."""
        same = self.filter(models.Q(email=normalise_email(email)) | models.Q(mailbox=mailbox_of(email)))
        return same.order_by("pk").first()

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """Django's own hook: forms clean an address by it."""
        return normalise_email(email or "")

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=normalise_email(username or ""))


class Substitution(models.TextChoices):
    """Who may answer in place of the model asked for, where a request does not say."""

    ANY = "any", _("any other that works")
    FAMILY = "family", _("only the same model elsewhere, or its own stand-in")
    STRICT = "strict", _("nobody: rather no answer than another's")


class User(AbstractUser):
    """An account; it signs in by e-mail address."""

    username = None  # type: ignore[assignment]
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    email = models.EmailField(_("e-mail address"), unique=True, max_length=254)
    mailbox = models.CharField(max_length=254, db_index=True, editable=False, default="", help_text=_("Set from the address"))
    name = models.CharField(_("name"), max_length=100, blank=True)
    default_model = models.CharField(_("default model"), max_length=200, blank=True, help_text=_("Used where a chat names no model"))
    brumo = models.BooleanField(_("Brumo"), default=True, help_text=_("Brumo's persona where a chat brings no system prompt"))
    substitution = models.CharField(
        _("substitution"), max_length=6, choices=Substitution, default=Substitution.ANY, db_default=Substitution.ANY
    )
    quota_mails = models.BooleanField(
        _("quota mails"), default=True, db_default=True, help_text=_("A mail at 80, 95 and 100 % of the day's tokens")
    )
    language = models.CharField(_("language"), max_length=5, choices=LANGUAGES, blank=True, default="", db_default="")

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []
    objects = UserManager()  # type: ignore[assignment,misc]

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        permissions = [
            ("suspend_user", "Can suspend accounts and sign them out"),
            ("impersonate_user", "Can look at the portal as somebody else"),
            ("forget_user", "Can delete accounts with all that is theirs"),
        ]

    def __str__(self) -> str:
        return self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        fields = kwargs.get("update_fields")
        if fields is None or "email" in fields:
            self.email = normalise_email(self.email)
            self.mailbox = mailbox_of(self.email)
            if fields is not None:
                kwargs["update_fields"] = {*fields, "mailbox"}
        password_changed = getattr(self, "_password", None) is not None and self.pk is not None  # also the admin's and the shell's change
        super().save(*args, **kwargs)
        if password_changed:
            self.end_logins()

    def get_full_name(self) -> str:
        """Django's and Stripe's name for it."""
        return self.name

    @property
    def subject(self) -> str:
        """The meter's name for this account."""
        return f"user:{self.pk}"

    @property
    def works_here(self) -> bool:
        """Are they of the staff?"""
        return self.is_staff or self.is_superuser

    @property
    def email_is_verified(self) -> bool:
        """Has the address they have now been proven?"""
        from allauth.account.models import EmailAddress  # its models need this one first

        return EmailAddress.objects.filter(user=self, email=self.email, verified=True).exists()

    def end_logins(self) -> None:
        """Revoke every login token, and what makes new ones without a password: the devices' credentials. API keys stay."""
        self.login_tokens.filter(revoked=False).update(revoked=True)
        self.devices.all().delete()

    def sign_out_everywhere(self) -> None:
        """End every login and every session."""
        from allauth.usersessions.models import UserSession  # its models need this one first

        self.end_logins()
        for session in UserSession.objects.filter(user=self):
            session.end()

    def trust_email(self) -> None:
        """Count the address as verified: an operator vouches for it."""
        from allauth.account.models import EmailAddress  # its models need this one first

        EmailAddress.objects.update_or_create(user=self, email=self.email, defaults={"verified": True, "primary": True})


class LoginToken(models.Model):
    """One login of a desktop client or an API user: the `jti` of a JWT. Revoked = dead at the next request."""

    jti = models.CharField(max_length=32, unique=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="login_tokens", verbose_name=_("account"))
    client_id = models.CharField(_("program"), max_length=60)
    created = models.DateTimeField(_("created"), default=timezone.now)
    expires = models.DateTimeField(_("expires"))
    revoked = models.BooleanField(_("revoked"), default=False)

    class Meta:
        verbose_name = _("login of a program")
        verbose_name_plural = _("logins of programs")

    def __str__(self) -> str:
        return self.client_id


class ApiKey(models.Model):
    """A key `tf_live_…`, of which only the SHA-256 is stored. It never gives more than its owner has now."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys", verbose_name=_("account"))
    name = models.CharField(_("name"), max_length=80)
    digest = models.CharField(max_length=64, unique=True)
    hint = models.CharField(_("hint"), max_length=20, help_text=_("First and last characters, to recognise it by"))
    scopes = models.JSONField(_("scopes"), default=list, help_text=_("Of: chat, mcp, memory, usage"))
    daily_tokens = models.PositiveBigIntegerField(_("daily tokens"), default=0, help_text=_("A daily limit of its own; 0 = none"))
    expires = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked = models.BooleanField(_("revoked"), default=False)
    last_used = models.DateTimeField(_("last used"), null=True, blank=True)
    created = models.DateTimeField(_("created"), default=timezone.now)
    # last: from here on the name hides the module
    models = models.JSONField(_("models"), default=list, blank=True, help_text=_("Model ids it may use; empty = all of the owner's"))

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["-created"]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint})"


class Device(models.Model):
    """A device with client credentials of its own (`POST /v1/auth/token`)."""

    device_id = models.UUIDField(_("device ID"), default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="devices", verbose_name=_("account"))
    name = models.CharField(_("name"), max_length=80)
    kind = models.CharField(_("kind"), max_length=20, default="desktop")
    client_id = models.CharField(_("program"), max_length=80, unique=True)
    secret_digest = models.CharField(max_length=64)
    created = models.DateTimeField(_("created"), default=timezone.now)
    last_seen = models.DateTimeField(_("last seen"), null=True, blank=True)

    class Meta:
        verbose_name = _("device")
        verbose_name_plural = _("devices")
        ordering = ["-created"]

    def __str__(self) -> str:
        return self.name


class UserSettings(models.Model):
    """A client's flat settings, and its end-to-end encrypted copy, which we cannot read."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="settings")
    values = models.JSONField(default=dict, blank=True)
    encrypted_data = models.TextField(blank=True)
    checksum = models.CharField(max_length=16, blank=True)
    timestamp = models.CharField(max_length=40, blank=True)
    revision = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"settings of {self.user}"


class Impersonation(models.Model):
    """Somebody of the staff looks at the portal as an account: its pages, nothing of its chats, no changes. Its owner sees the row."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="impersonations", verbose_name=_("account"))
    operator = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", verbose_name=_("operator"))
    reason = models.CharField(_("reason"), max_length=200, help_text=_("The account's owner reads it."))
    started = models.DateTimeField(_("from"), default=timezone.now)
    ended = models.DateTimeField(_("until"), null=True)

    class Meta:
        ordering = ["-started"]
        verbose_name = _("look at an account")
        verbose_name_plural = _("looks at accounts")

    def __str__(self) -> str:
        return f"{self.user}: {self.reason}"


class ClientLog(models.Model):
    """One log entry a desktop client sent; kept 30 days."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="client_logs", verbose_name=_("account"))
    level = models.CharField(_("level"), max_length=10)
    message = models.TextField(_("message"))
    entry = models.JSONField(_("entry"))
    client_info = models.JSONField(_("program's details"), default=dict)
    received = models.DateTimeField(_("received"), default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("log of a program")
        verbose_name_plural = _("logs of programs")
        ordering = ["-received"]

    def __str__(self) -> str:
        return self.message[:80]


class ClientRelease(models.Model):
    """A published desktop client; the newest of a platform is what clients update to."""

    version = models.CharField(_("version"), max_length=20)
    platform = models.CharField(_("platform"), max_length=20, default="linux")
    build_date = models.DateField(_("build date"))
    checksum = models.CharField(_("checksum"), max_length=64, help_text=_("SHA-256 of the file"))
    download_url = models.URLField(_("download URL"))
    filename = models.CharField(_("filename"), max_length=120)
    changelog = models.TextField(_("changelog"), blank=True)
    created = models.DateTimeField(_("created"), default=timezone.now)

    class Meta:
        verbose_name = _("client's release")
        verbose_name_plural = _("clients' releases")
        ordering = ["-created"]
        constraints = [models.UniqueConstraint(fields=["version", "platform"], name="client_release_once")]

    def __str__(self) -> str:
        return f"{self.platform} {self.version}"
