"""The bodies of the account endpoints."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from accounts.keys import SCOPES
from accounts.models import Substitution, normalise_email
from billing.serializers import PlainJsonField, StrictSerializer, check_storable

LONGEST_PASSWORD = 1024
MOST_LOGS = 100


class PasswordField(serializers.CharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=LONGEST_PASSWORD, trim_whitespace=False, write_only=True, **kwargs)


class LoginBody(StrictSerializer):
    email = serializers.CharField(max_length=254)  # any text: what is no address is simply nobody's
    password = PasswordField()
    code = serializers.CharField(max_length=20, required=False, default="", help_text=_("Of the second factor, where there is one"))


class RegisterBody(StrictSerializer):
    email = serializers.EmailField(max_length=254)
    password = PasswordField()
    name = serializers.CharField(max_length=100, required=False, default="", allow_blank=True)
    beta_code = serializers.CharField(max_length=200, required=False, allow_blank=True, help_text=_("Sent by older apps; gives nothing"))

    def validate_email(self, value: str) -> str:
        return normalise_email(value)


class LogoutBody(StrictSerializer):
    everywhere = serializers.BooleanField(required=False, default=False)


class DeviceTokenBody(StrictSerializer):
    client_id = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    client_secret = serializers.CharField(max_length=200, required=False, default="", allow_blank=True, write_only=True)
    device_name = serializers.CharField(max_length=80, required=False)


class KeyBody(StrictSerializer):
    name = serializers.CharField(max_length=80)
    scopes = serializers.ListField(child=serializers.ChoiceField(SCOPES), required=False, default=list(SCOPES), allow_empty=False)
    models = serializers.ListField(child=serializers.CharField(max_length=200), required=False, default=list, max_length=100)
    daily_token_limit = serializers.IntegerField(min_value=0, max_value=10**15, required=False, default=0, help_text=_("0 = none"))
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)

    def validate_expires_at(self, value: Any) -> Any:
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError(_("This is in the past."))
        return value


class RotateBody(StrictSerializer):
    grace_seconds = serializers.IntegerField(
        min_value=0, max_value=7 * 86_400, required=False, default=0, help_text=_("How long the old key goes on working")
    )


class DeviceBody(StrictSerializer):
    device_name = serializers.CharField(max_length=80)
    device_type = serializers.RegexField(r"^[a-z0-9-]{1,20}\Z", required=False, default="desktop")
    user_id = serializers.CharField(max_length=254, required=False, help_text=_("Sent by clients; the path decides"))


class SettingsBody(StrictSerializer):
    settings = PlainJsonField(max_bytes=65_536)
    merge = serializers.BooleanField(required=False, default=True)

    def validate_settings(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or any(not _is_flat(entry) for entry in value.values()):
            raise serializers.ValidationError(_("Expected a flat object: text, numbers, yes or no, or lists of them."))
        for name in ("brumo", "quota_mails"):
            if not isinstance(value.get(name, True), bool):
                raise serializers.ValidationError(_("%(name)s is true or false.") % {"name": name})
        if value.get("substitution", Substitution.ANY) not in Substitution.values:
            raise serializers.ValidationError(_("substitution is strict, family or any."))
        model = value.get("default_model", "")
        if not isinstance(model, str) or len(model) > 200:
            raise serializers.ValidationError(_("default_model is a model id."))
        return value


class SyncBody(StrictSerializer):
    encrypted_data = serializers.CharField(max_length=1_400_000)
    checksum = serializers.RegexField(r"^[0-9a-fA-F]{16}\Z")
    timestamp = serializers.CharField(max_length=40)
    revision = serializers.IntegerField(min_value=0, max_value=2**31 - 2, required=False, help_text=_("The one last seen"))

    def validate_encrypted_data(self, value: str) -> str:
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise serializers.ValidationError(_("This is not base64.")) from None
        return value


class LogsBody(StrictSerializer):
    logs = PlainJsonField(max_bytes=1_500_000)
    client_info = PlainJsonField(max_bytes=16_384, required=False, default=dict)

    def validate_logs(self, value: Any) -> list[dict[str, Any]]:
        if not isinstance(value, list) or len(value) > MOST_LOGS:
            raise serializers.ValidationError(_("Expected a list of at most %(most)s entries.") % {"most": MOST_LOGS})
        return [_log_entry(entry) for entry in value]

    def validate_client_info(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise serializers.ValidationError(_("Expected an object."))
        return value


def _log_entry(entry: Any) -> dict[str, Any]:
    """An object, or the JSON text of one."""
    if isinstance(entry, str):
        try:
            entry = json.loads(entry)
        except (ValueError, RecursionError):
            raise serializers.ValidationError(_("An entry is neither an object nor the JSON text of one.")) from None
        check_storable(entry)
    if not isinstance(entry, dict):
        raise serializers.ValidationError(_("An entry is neither an object nor the JSON text of one."))
    return entry


def _is_flat(value: Any) -> bool:
    if isinstance(value, list):
        return all(not isinstance(entry, list | dict) for entry in value)
    return not isinstance(value, dict)
