"""Conversations that leave the house or come in, and the files that somebody asks about."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import orjson
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import caller_of
from accounts.errors import NotFound
from accounts.permissions import KeepsChats
from billing import rates
from billing.errors import InvalidRequest
from billing.schema import Refusal, answers
from llm import attachments, sharing, transfer
from llm.conversations import find, own
from llm.models import Attachment
from llm.serializers_conversations import AttachmentSerializer, FileBody, ImportedSerializer, LinkSerializer, ShareBody, UploadBody

UPLOADS_PER_MINUTE = 60
CONTENTS: dict[Any, Any] = {(200, kind): OpenApiTypes.BINARY for kind in attachments.MEDIA_TYPES} | {(200, "text/plain"): OpenApiTypes.STR}
CONTENTS |= dict.fromkeys((401, 403, 404), Refusal)


class ShareView(APIView):
    permission_classes = [KeepsChats]

    @extend_schema(operation_id="share_conversation", request=ShareBody, responses=answers(LinkSerializer, 400, 401, 403, 404))
    def post(self, request: Request, conversation_id: UUID) -> Response:
        """A link with which anybody can read what is shown now. An earlier link is dead."""
        conversation = find(caller_of(request), conversation_id)
        sharing.share(conversation, ShareBody.read(request.data)["days"])
        return Response(sharing.link_of(conversation))

    @extend_schema(operation_id="unshare_conversation", responses=answers(OpenApiTypes.OBJECT, 401, 403, 404))
    def delete(self, request: Request, conversation_id: UUID) -> Response:
        """The link is dead at once."""
        sharing.revoke(find(caller_of(request), conversation_id))
        return Response({"success": True})


class ExportView(APIView):
    permission_classes = [KeepsChats]

    @extend_schema(
        operation_id="export_conversation",
        parameters=[
            OpenApiParameter("as", str, enum=["json", "markdown"], description="json: every branch; markdown: the one that is shown")
        ],
        responses={**answers(OpenApiTypes.OBJECT, 400, 401, 403, 404), (200, "text/markdown"): OpenApiTypes.STR},
    )
    def get(self, request: Request, conversation_id: UUID) -> HttpResponse:
        """One conversation as a file."""
        conversation = find(caller_of(request), conversation_id)
        name = re.sub(r"[^\w-]+", "-", conversation.title, flags=re.ASCII).strip("-")[:60] or "chat"
        kind = request.query_params.get("as", "json")
        if kind == "markdown":
            return _file(transfer.as_markdown(conversation).encode(), "text/markdown; charset=utf-8", f"{name}.md")
        if kind != "json":
            raise InvalidRequest("as: json or markdown.", field="as")
        return _file(orjson.dumps(transfer.as_json([conversation]), option=orjson.OPT_INDENT_2), "application/json", f"{name}.json")


class ExportAllView(APIView):
    permission_classes = [KeepsChats]

    @extend_schema(operation_id="export_conversations", responses=answers(OpenApiTypes.OBJECT, 401, 403))
    def get(self, request: Request) -> HttpResponse:
        """All conversations with every branch, as one file that can be brought in again."""
        return _file(orjson.dumps(transfer.as_json(own(caller_of(request)))), "application/json", "conversations.json")


def _file(content: bytes, media_type: str, name: str) -> HttpResponse:
    return HttpResponse(content, content_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


class ImportView(APIView):
    permission_classes = [KeepsChats]
    parser_classes = [MultiPartParser, JSONParser]

    @extend_schema(
        operation_id="import_conversations",
        request={"multipart/form-data": FileBody, "application/json": OpenApiTypes.OBJECT},
        responses=answers(ImportedSerializer, 400, 401, 403, 413),
    )
    def post(self, request: Request) -> Response:
        """Bring in an export of ours, or ChatGPT's conversations.json: as a file, or as the body."""
        caller = caller_of(request)
        rates.require(f"import:{caller.subject}", 10)
        data = _json_of(request) if "multipart" in (request.content_type or "") else request.data
        made, skipped = transfer.bring_in(caller, data)
        return Response({"imported": len(made), "skipped": skipped, "conversations": [one.pk for one in made]})


def _uploaded(request: Request) -> Any:
    found = request.FILES.get("file")
    if found is None:
        raise InvalidRequest("file: multipart/form-data with the file in this field.", field="file")
    return found


def _json_of(request: Request) -> Any:
    try:
        return orjson.loads(_uploaded(request).read())
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"file: {error}", field="file") from None


class AttachmentsView(APIView):
    permission_classes = [KeepsChats]
    parser_classes = [MultiPartParser]

    @extend_schema(
        operation_id="upload_attachment",
        request={"multipart/form-data": UploadBody},
        responses=answers(AttachmentSerializer, 400, 401, 403, 409, 413, status=201),
    )
    def post(self, request: Request) -> Response:
        """A file to ask about: an image, text, code, PDF, Word, Excel or PowerPoint."""
        caller, uploaded = caller_of(request), _uploaded(request)
        rates.require(f"uploads:{caller.subject}", UPLOADS_PER_MINUTE)
        body = UploadBody(data=request.data)
        body.is_valid(raise_exception=True)
        row = attachments.store(caller, uploaded.name or "", uploaded.read(), temporary=body.validated_data["temporary"])
        return Response(AttachmentSerializer(row).data, status=201)


class AttachmentView(APIView):
    permission_classes = [KeepsChats]

    @extend_schema(operation_id="delete_attachment", responses=answers(OpenApiTypes.OBJECT, 401, 403, 404))
    def delete(self, request: Request, attachment_id: UUID) -> Response:
        """Forget it, also where it was asked about."""
        _own(request, attachment_id).delete()
        return Response({"success": True})


class AttachmentContentView(APIView):
    permission_classes = [KeepsChats]

    @extend_schema(operation_id="get_attachment", responses=CONTENTS)
    def get(self, request: Request, attachment_id: UUID) -> HttpResponse:
        """The image, or the text that a model gets."""
        row = _own(request, attachment_id)
        response = HttpResponse(bytes(row.image)) if row.kind == Attachment.Kind.IMAGE else HttpResponse(row.text)
        response.headers["Content-Type"] = row.media_type if row.kind == Attachment.Kind.IMAGE else "text/plain; charset=utf-8"
        response.headers["Content-Security-Policy"] = "sandbox"
        response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
        return response


def _own(request: Request, attachment_id: UUID) -> Attachment:
    row: Attachment | None = Attachment.objects.of(caller_of(request)).filter(pk=attachment_id).first()
    if row is None:
        raise NotFound
    return row
