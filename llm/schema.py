"""How the chat doors stand in /openapi.json: they are no REST framework views, so each has one beside it that is only read."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.views import APIView

from accounts.permissions import AnyCaller
from billing.schema import answers
from llm.serializers_chat import ChatEventSerializer, ChatResponseSerializer, ChatSerializer, QuoteSerializer

REFUSALS = (400, 401, 403, 404, 409, 413, 415, 422, 502, 503, 504)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="1 to 255 printable characters: the same answer again, asked and charged once",
)


class ChatSchema(APIView):
    permission_classes = [AnyCaller]

    @extend_schema(
        operation_id="client_chat",
        description=(
            "Ask a model. With `stream` the answer is server-sent events: `delta` {text}, `done` (this object), `error` {code, detail}."
        ),
        request=ChatSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={**answers(ChatResponseSerializer, *REFUSALS), (200, "text/event-stream"): ChatEventSerializer},
    )
    def post(self, request: Any) -> None: ...


class QuoteSchema(APIView):
    permission_classes = [AnyCaller]

    @extend_schema(
        operation_id="quote",
        description="What a chat would cost at most. Nothing is asked or held.",
        request=ChatSerializer,
        responses=answers(QuoteSerializer, 404),
    )
    def post(self, request: Any) -> None: ...
