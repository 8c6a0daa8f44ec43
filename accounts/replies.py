"""What the account endpoints answer with, for the OpenAPI document, and the functions that make it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.models import ApiKey, ClientRelease, Device
from billing.clock import stamp

Reply = serializers.Serializer[Any]


class LoginReply(Reply):
    user_id = serializers.EmailField(help_text="The e-mail address.")
    token = serializers.CharField(help_text="A bearer token for 30 days.")
    tier = serializers.CharField()
    client_id = serializers.CharField()


class RegisterReply(Reply):
    success = serializers.BooleanField()
    message = serializers.CharField()
    tier = serializers.CharField()
    email = serializers.EmailField()


class SuccessReply(Reply):
    success = serializers.BooleanField()


class DeviceTokenReply(Reply):
    token = serializers.CharField()
    user_id = serializers.EmailField()
    tier = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")


class MeReply(Reply):
    user_id = serializers.EmailField()
    id = serializers.IntegerField()
    email = serializers.EmailField()
    name = serializers.CharField()
    tier = serializers.CharField()
    tier_name = serializers.CharField()
    email_verified = serializers.BooleanField()
    carrier = serializers.CharField(help_text="token, key, session or proxy.")
    scopes = serializers.ListField(child=serializers.CharField(), help_text="What this credential opens.")
    created = serializers.CharField()


class KeyReply(Reply):
    id = serializers.IntegerField()
    name = serializers.CharField()
    hint = serializers.CharField(help_text="The key's first and last characters.")
    scopes = serializers.ListField(child=serializers.CharField())
    models = serializers.ListField(child=serializers.CharField(), help_text="Empty = all of the owner's.")
    daily_token_limit = serializers.IntegerField(help_text="0 = none of its own.")
    created = serializers.CharField()
    expires_at = serializers.CharField(allow_null=True)
    last_used_at = serializers.CharField(allow_null=True)
    revoked = serializers.BooleanField()


class NewKeyReply(KeyReply):
    key = serializers.CharField(help_text="The key itself; shown this once.")


class KeysReply(Reply):
    keys = KeyReply(many=True)
    count = serializers.IntegerField()


class DeviceReply(Reply):
    device_id = serializers.UUIDField()
    device_name = serializers.CharField()
    device_type = serializers.CharField()
    client_id = serializers.CharField()
    created_at = serializers.CharField()
    last_seen = serializers.CharField(allow_null=True)
    is_active = serializers.BooleanField()


class DevicesReply(Reply):
    devices = DeviceReply(many=True)
    count = serializers.IntegerField()


class NewDeviceReply(Reply):
    device_id = serializers.UUIDField()
    client_id = serializers.CharField()
    client_secret = serializers.CharField(help_text="Shown this once.")


class DeviceGoneReply(Reply):
    success = serializers.BooleanField()
    device_id = serializers.UUIDField()


class SyncedReply(Reply):
    success = serializers.BooleanField()
    revision = serializers.IntegerField()


class SyncReply(Reply):
    encrypted_data = serializers.CharField()
    checksum = serializers.CharField()
    timestamp = serializers.CharField()
    revision = serializers.IntegerField(help_text="0 = nothing stored yet.")


class LogsReply(Reply):
    status = serializers.CharField()
    received = serializers.IntegerField()


class ReleaseReply(Reply):
    version = serializers.CharField()
    build_date = serializers.DateField()
    checksum = serializers.CharField()
    download_url = serializers.URLField()
    changelog = serializers.CharField()
    filename = serializers.CharField()
    platform = serializers.CharField()


def key_json(key: ApiKey) -> dict[str, Any]:
    """KeyReply."""
    return {
        "id": key.pk,
        "name": key.name,
        "hint": key.hint,
        "scopes": key.scopes,
        "models": key.models,
        "daily_token_limit": key.daily_tokens,
        "created": stamp(key.created),
        "expires_at": key.expires and stamp(key.expires),
        "last_used_at": key.last_used and stamp(key.last_used),
        "revoked": key.revoked,
    }


def device_json(device: Device) -> dict[str, Any]:
    """DeviceReply. A device without its credentials is gone, so each one listed is active."""
    return {
        "device_id": str(device.device_id),
        "device_name": device.name,
        "device_type": device.kind,
        "client_id": device.client_id,
        "created_at": stamp(device.created),
        "last_seen": device.last_seen and stamp(device.last_seen),
        "is_active": True,
    }


def release_json(release: ClientRelease) -> dict[str, Any]:
    """ReleaseReply."""
    return {
        "version": release.version,
        "build_date": release.build_date.isoformat(),
        "checksum": release.checksum,
        "download_url": release.download_url,
        "changelog": release.changelog,
        "filename": release.filename,
        "platform": release.platform,
    }
