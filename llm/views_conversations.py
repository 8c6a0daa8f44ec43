"""/v1/conversations: somebody's chats. Guests have theirs in their browser."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import caller_of
from accounts.errors import NotFound
from accounts.permissions import KeepsChats
from billing import clock
from billing.schema import answers
from llm import listing
from llm.conversations import BIN, find, in_bin, newest_leaf, own, parents_of
from llm.models import Conversation
from llm.serializers_conversations import (
    ConversationBody,
    ConversationQuery,
    ConversationSerializer,
    DeletedSerializer,
    FoldersSerializer,
    ShownTurnSerializer,
    SummaryListSerializer,
    SummarySerializer,
    TurnsQuery,
    TurnsSerializer,
)
from llm.sharing import link_of


class ConversationsView(APIView):
    permission_classes = [KeepsChats]

    @extend_schema(
        operation_id="list_conversations", parameters=[ConversationQuery], responses=answers(SummaryListSerializer, 400, 401, 403)
    )
    def get(self, request: Request) -> Response:
        """The caller's conversations, pinned ones first, then the newest; or those in the bin."""
        query = ConversationQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        start = int(asked.pop("cursor", 0))
        found, more = listing.summaries(caller_of(request), start=start, **asked)
        return Response({"results": SummarySerializer(found, many=True).data, "next": str(start + len(found)) if more else None})


class FoldersView(APIView):
    permission_classes = [KeepsChats]

    @extend_schema(operation_id="list_folders", responses=answers(FoldersSerializer, 401, 403))
    def get(self, request: Request) -> Response:
        """The folders that have something in them."""
        return Response({"folders": listing.folders(caller_of(request))})


class ConversationView(APIView):
    permission_classes = [KeepsChats]

    @extend_schema(operation_id="get_conversation", responses=answers(ConversationSerializer, 401, 403, 404))
    def get(self, request: Request, conversation_id: UUID) -> Response:
        """A conversation and the last turns of the branch that is shown."""
        return Response(whole(find(caller_of(request), conversation_id)))

    @extend_schema(
        operation_id="change_conversation", request=ConversationBody, responses=answers(ConversationSerializer, 400, 401, 403, 404)
    )
    def patch(self, request: Request, conversation_id: UUID) -> Response:
        """Change what is sent; `leaf` shows the branch through a turn, up to where it was gone on with last."""
        conversation = find(caller_of(request), conversation_id)
        body = ConversationBody.read(request.data)
        if (settled := body.pop("settled", None)) is not None:
            body["leaf"] = settled
            conversation.turns.filter(pk=settled).update(group=None)
        if (shown := body.pop("leaf", None)) is not None:
            parents = parents_of(conversation)
            if shown not in parents:
                raise NotFound
            body["leaf_id"] = newest_leaf(shown, parents)
        if body:  # and nothing else of the row: an answer, another tab or the end of a link may have changed it meanwhile
            Conversation.objects.filter(pk=conversation.pk).update(**body)
        return Response(whole(conversation))

    @extend_schema(operation_id="delete_conversation", responses=answers(DeletedSerializer, 401, 403, 404))
    def delete(self, request: Request, conversation_id: UUID) -> Response:
        """Into the bin, from which it can be brought back for a week. Its link is dead at once."""
        conversation = find(caller_of(request), conversation_id)
        conversation.deleted = clock.now()
        conversation.save(update_fields=["deleted"])
        return Response({"deleted": True, "restorable_until": clock.stamp(conversation.deleted + BIN)})


class RestoreView(APIView):
    permission_classes = [KeepsChats]

    @extend_schema(operation_id="restore_conversation", request=None, responses=answers(SummarySerializer, 401, 403, 404))
    def post(self, request: Request, conversation_id: UUID) -> Response:
        """Out of the bin."""
        caller = caller_of(request)
        if not in_bin(caller).filter(pk=conversation_id).update(deleted=None):
            raise NotFound
        return Response(SummarySerializer(listing.with_state(own(caller)).get(pk=conversation_id)).data)


class TurnsView(APIView):
    permission_classes = [KeepsChats]

    @extend_schema(operation_id="list_turns", parameters=[TurnsQuery], responses=answers(TurnsSerializer, 400, 401, 403, 404))
    def get(self, request: Request, conversation_id: UUID) -> Response:
        """Earlier turns of the branch that is shown."""
        query = TurnsQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        return Response(_end_of(find(caller_of(request), conversation_id), **query.validated_data))


def whole(conversation: Conversation) -> dict[str, Any]:
    """A conversation as ConversationSerializer describes it."""
    row = listing.with_state(Conversation.objects.filter(pk=conversation.pk)).get()
    summary = SummarySerializer(row).data
    return {
        **summary,
        "system_prompt": row.system_prompt,
        "parameters": row.parameters,
        "leaf": None if row.leaf_id is None else str(row.leaf_id),
        "share": link_of(row),
        **_end_of(row),
    }


def _end_of(conversation: Conversation, **asked: Any) -> dict[str, Any]:
    found = listing.branch(conversation, **asked)
    turns = ShownTurnSerializer(found.turns, many=True, context={"siblings": found.siblings}).data
    return {"turns": turns, "before": None if found.before is None else str(found.before)}
