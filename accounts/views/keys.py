"""API keys. Only their owner in person manages them."""

from __future__ import annotations

from datetime import timedelta

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import keys, replies, serializers
from accounts.errors import NotFound
from accounts.models import ApiKey
from accounts.permissions import IsOwner
from accounts.views.base import user_of
from billing.schema import answers


class KeysView(APIView):
    permission_classes = [IsOwner]

    @extend_schema(operation_id="list_keys", responses=answers(replies.KeysReply, 400, 401, 403))
    def get(self, request: Request) -> Response:
        """The account's keys that still work, newest first."""
        found = [replies.key_json(key) for key in keys.live_keys(user_of(request))]
        return Response({"keys": found, "count": len(found)})

    @extend_schema(
        operation_id="create_key", request=serializers.KeyBody, responses=answers(replies.NewKeyReply, 400, 401, 403, 409, status=201)
    )
    def post(self, request: Request) -> Response:
        """A new key, shown this once."""
        body = serializers.KeyBody.read(request.data)
        key, plain = keys.create_key(
            user_of(request),
            name=body["name"],
            scopes=body["scopes"],
            models=body["models"],
            daily_tokens=body["daily_token_limit"],
            expires=body["expires_at"],
        )
        return Response({**replies.key_json(key), "key": plain}, status=201)


class KeyView(APIView):
    permission_classes = [IsOwner]

    @extend_schema(operation_id="revoke_key", responses=answers(replies.SuccessReply, 400, 401, 403, 404))
    def delete(self, request: Request, key_id: int) -> Response:
        """Revoke a key: dead at the next request."""
        keys.revoke(_own(request, key_id))
        return Response({"success": True})


class RotateKeyView(APIView):
    permission_classes = [IsOwner]

    @extend_schema(
        operation_id="rotate_key",
        request=serializers.RotateBody,
        responses=answers(replies.NewKeyReply, 400, 401, 403, 404, 409, status=201),
    )
    def post(self, request: Request, key_id: int) -> Response:
        """A successor with the same rights; the old key goes on working for `grace_seconds`."""
        key = _own(request, key_id)
        grace = timedelta(seconds=serializers.RotateBody.read(request.data)["grace_seconds"])
        successor, plain = keys.rotate(key, grace=grace)
        return Response({**replies.key_json(successor), "key": plain}, status=201)


def _own(request: Request, key_id: int) -> ApiKey:
    key = keys.live_keys(user_of(request)).filter(pk=key_id).first() if key_id < 2**63 else None
    if key is None:
        raise NotFound
    return key
