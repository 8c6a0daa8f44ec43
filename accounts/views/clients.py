"""What desktop clients send home and look for: their logs, their newer version."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import replies, serializers
from accounts.client_logs import store_logs
from accounts.errors import NotFound
from accounts.models import ClientRelease
from accounts.permissions import AnyCaller, IsUser
from accounts.views.base import user_of
from billing.schema import answers


class LogsView(APIView):
    """Store a client's log entries, at most 100 an upload, for 30 days."""

    permission_classes = [IsUser]

    @extend_schema(operation_id="send_logs", request=serializers.LogsBody, responses=answers(replies.LogsReply, 400, 401, 403, status=202))
    def post(self, request: Request) -> Response:
        body = serializers.LogsBody.read(request.data)
        received = store_logs(user_of(request), body["logs"], body["client_info"])
        return Response({"status": "accepted", "received": received}, status=202)


class UpdateView(APIView):
    """The newest release of the desktop client."""

    permission_classes = [AnyCaller]

    @extend_schema(
        operation_id="newest_client",
        parameters=[OpenApiParameter("platform", str, description="linux, where it is not named")],
        responses=answers(replies.ReleaseReply, 400, 401, 404),
    )
    def get(self, request: Request) -> Response:
        platform = request.query_params.get("platform", "linux").replace("\x00", "")
        release = ClientRelease.objects.filter(platform=platform).first()
        if release is None:
            raise NotFound(_("There is no release for this platform."))
        return Response(replies.release_json(release))
