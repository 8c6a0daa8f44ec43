"""A person's settings and devices."""

from __future__ import annotations

import uuid

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import replies, serializers
from accounts.devices import add_device, remove_device
from accounts.errors import NotFound
from accounts.models import Device, UserSettings
from accounts.permissions import IsOwner
from accounts.sync import change_settings, settings_of, store_encrypted
from accounts.views.base import OwnView, user_of
from billing.schema import answers


class SettingsView(OwnView):
    permission_classes = [IsOwner]

    @extend_schema(operation_id="get_settings", responses=answers(OpenApiTypes.OBJECT, 400, 401, 403, 404))
    def get(self, request: Request, me: str) -> Response:
        """All settings, as one flat object."""
        return Response(settings_of(user_of(request)))

    @extend_schema(
        operation_id="set_settings", request=serializers.SettingsBody, responses=answers(OpenApiTypes.OBJECT, 400, 401, 403, 404)
    )
    def post(self, request: Request, me: str) -> Response:
        """Merge in, or replace by, what is sent; answers with all of them. The server reads `default_model`, `brumo`, `substitution` and
        `quota_mails`."""
        body = serializers.SettingsBody.read(request.data)
        return Response(change_settings(user_of(request), body["settings"], merge=body["merge"]))


class SyncView(APIView):
    permission_classes = [IsOwner]

    @extend_schema(operation_id="get_synced_settings", responses=answers(replies.SyncReply, 400, 401, 403))
    def get(self, request: Request) -> Response:
        """The end-to-end encrypted settings as last stored."""
        stored = UserSettings.objects.filter(user=user_of(request)).first() or UserSettings()
        fields = ("encrypted_data", "checksum", "timestamp", "revision")
        return Response({name: getattr(stored, name) for name in fields})

    @extend_schema(operation_id="sync_settings", request=serializers.SyncBody, responses=answers(replies.SyncedReply, 400, 401, 403, 409))
    def post(self, request: Request) -> Response:
        """Store them. With `revision`, only if nobody has stored newer ones since: else 409 with the newer revision."""
        body = serializers.SyncBody.read(request.data)
        body.setdefault("revision", None)
        return Response({"success": True, "revision": store_encrypted(user_of(request), **body)})


class DevicesView(OwnView):
    permission_classes = [IsOwner]

    @extend_schema(operation_id="list_devices", responses=answers(replies.DevicesReply, 400, 401, 403, 404))
    def get(self, request: Request, me: str) -> Response:
        """The account's devices, newest first."""
        found = [replies.device_json(device) for device in user_of(request).devices.all()]
        return Response({"devices": found, "count": len(found)})

    @extend_schema(
        operation_id="add_device",
        request=serializers.DeviceBody,
        responses=answers(replies.NewDeviceReply, 400, 401, 403, 404, 409, status=201),
    )
    def post(self, request: Request, me: str) -> Response:
        """A new device and its client credentials, whose secret is shown this once."""
        body = serializers.DeviceBody.read(request.data)
        device, secret = add_device(user_of(request), name=body["device_name"], kind=body["device_type"])
        return Response({"device_id": str(device.device_id), "client_id": device.client_id, "client_secret": secret}, status=201)


class DeviceView(OwnView):
    permission_classes = [IsOwner]

    @extend_schema(operation_id="remove_device", responses=answers(replies.DeviceGoneReply, 400, 401, 403, 404))
    def delete(self, request: Request, me: str, device_id: uuid.UUID) -> Response:
        """Remove it, with the logins it made."""
        device = Device.objects.select_related("user").filter(user=user_of(request), device_id=device_id).first()
        if device is None:
            raise NotFound
        remove_device(device)
        return Response({"success": True, "device_id": str(device_id)})
