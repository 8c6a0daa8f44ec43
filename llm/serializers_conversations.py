"""The shapes of conversations, turns and attachments."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from billing import clock
from billing.serializers import StrictSerializer
from llm.conversations import BIN
from llm.models import Attachment, Conversation, Turn
from llm.serializers_chat import MOST_CHARACTERS, Flag, Number, Whole, Words
from llm.sharing import link_of

DAYS = (0, 1, 7, 30)


class ConversationQuery(serializers.Serializer[Any]):
    q = serializers.CharField(max_length=200, required=False, allow_blank=True, help_text=_("Words that all stand in it"))
    folder = serializers.CharField(max_length=60, required=False, allow_blank=True)
    deleted = serializers.BooleanField(required=False, default=False, help_text=_("Those in the bin, in place of the others"))
    cursor = serializers.RegexField(r"^\d{1,6}$", required=False, help_text=_("`next` of the page before"))
    limit = serializers.IntegerField(min_value=1, max_value=100, required=False, default=40)


class TurnsQuery(serializers.Serializer[Any]):
    before = serializers.UUIDField(required=False, help_text=_("Turns before this one; absent = the last"))
    limit = serializers.IntegerField(min_value=1, max_value=100, required=False, default=40)


class ParametersSerializer(StrictSerializer):
    temperature = Number(min_value=0, max_value=2, required=False)
    max_tokens = Whole(min_value=1, max_value=1_000_000, required=False)
    substitution = serializers.ChoiceField(choices=["strict", "family", "any"], required=False)


class ConversationBody(StrictSerializer):
    """What may be changed."""

    title = Words(max_length=120, required=False)
    folder = Words(max_length=60, required=False, allow_blank=True)
    pinned = Flag(required=False)
    model = Words(max_length=200, required=False, allow_blank=True)
    system_prompt = Words(max_length=MOST_CHARACTERS, required=False, allow_blank=True)
    parameters = ParametersSerializer(required=False)
    leaf = serializers.UUIDField(required=False, help_text=_("A turn: the branch through it is shown from now on"))
    settled = serializers.UUIDField(
        required=False, help_text=_("The turn of a comparison that it goes on with: it stands alone from now on")
    )


class ShareBody(StrictSerializer):
    days = serializers.ChoiceField(choices=DAYS, required=False, default=0, help_text=_("How long the link holds; 0 = until it is revoked"))


class AttachmentSerializer(serializers.ModelSerializer[Attachment]):
    url = serializers.SerializerMethodField(help_text=_("Of an image"))

    class Meta:
        model = Attachment
        fields = ("id", "name", "kind", "media_type", "size", "tokens", "url")

    def get_url(self, row: Attachment) -> str | None:
        return f"/v1/attachments/{row.pk}/content" if row.kind == Attachment.Kind.IMAGE else None


class TurnErrorSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()


class TurnSerializer(serializers.ModelSerializer[Turn]):
    """One question and its answer."""

    parent = serializers.UUIDField(source="parent_id", allow_null=True)  # type: ignore[assignment]
    siblings = serializers.SerializerMethodField(help_text=_("All turns after the same one, in order, itself among them"))
    attachments = AttachmentSerializer(many=True)
    seq = serializers.SerializerMethodField(help_text=_("How many pieces of the answer this holds: resume after it"))
    error = serializers.SerializerMethodField()

    class Meta:
        model = Turn
        fields = (
            "id", "parent", "siblings", "group", "prompt", "attachments", "answer", "reasoning", "seq", "model", "requested_model",
            "backend", "state", "error", "finish_reason", "request_id", "tokens_used", "input_tokens", "output_tokens", "latency_ms",
            "fallback_used", "warnings", "created",
        )  # fmt: skip

    def get_siblings(self, turn: Turn) -> list[str]:
        return [str(pk) for pk in self.context["siblings"][turn.parent_id]]

    def get_seq(self, turn: Turn) -> int:
        return len(turn.pieces)

    def get_error(self, turn: Turn) -> dict[str, str] | None:
        return {"code": turn.error_code, "detail": turn.error_sentence} if turn.error_code else None


class ShownTurnSerializer(TurnSerializer):
    """A turn of the branch that is shown; `alternatives` are all turns of its comparison."""

    alternatives = TurnSerializer(many=True)

    class Meta(TurnSerializer.Meta):
        fields = (*TurnSerializer.Meta.fields, "alternatives")  # type: ignore[assignment]


class SummarySerializer(serializers.ModelSerializer[Conversation]):
    """A conversation in a list."""

    running = serializers.BooleanField(help_text=_("An answer is being written"))
    shared = serializers.SerializerMethodField()
    restorable_until = serializers.SerializerMethodField(help_text=_("When it is gone for good; null = it is not in the bin"))
    excerpt = serializers.CharField(required=False, help_text=_("Where a search found it"))

    class Meta:
        model = Conversation
        fields = ("id", "title", "folder", "pinned", "model", "created", "changed", "running", "shared", "restorable_until", "excerpt")

    def get_shared(self, conversation: Conversation) -> bool:
        return link_of(conversation) is not None

    def get_restorable_until(self, conversation: Conversation) -> str | None:
        return None if conversation.deleted is None else clock.stamp(conversation.deleted + BIN)


class SummaryListSerializer(serializers.Serializer[Any]):
    results = SummarySerializer(many=True)
    next = serializers.CharField(allow_null=True)


class LinkSerializer(serializers.Serializer[Any]):
    url = serializers.CharField()
    expires = serializers.DateTimeField(allow_null=True)


class TurnsSerializer(serializers.Serializer[Any]):
    turns = ShownTurnSerializer(many=True)
    before = serializers.UUIDField(allow_null=True, help_text=_("Ask for what came before this turn; null = there is nothing"))


class ConversationSerializer(SummarySerializer):
    """A conversation with the end of the branch that is shown."""

    leaf = serializers.UUIDField(source="leaf_id", allow_null=True)
    share = LinkSerializer(allow_null=True)
    turns = ShownTurnSerializer(many=True)
    before = serializers.UUIDField(allow_null=True)

    class Meta(SummarySerializer.Meta):
        fields = (*SummarySerializer.Meta.fields, "system_prompt", "parameters", "leaf", "share", "turns", "before")  # type: ignore[assignment]


class DeletedSerializer(serializers.Serializer[Any]):
    deleted = serializers.BooleanField()
    restorable_until = serializers.DateTimeField()


class FolderSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    count = serializers.IntegerField()


class FoldersSerializer(serializers.Serializer[Any]):
    folders = FolderSerializer(many=True)


class ImportedSerializer(serializers.Serializer[Any]):
    imported = serializers.IntegerField()
    skipped = serializers.IntegerField(help_text=_("That could not be read"))
    conversations = serializers.ListField(child=serializers.UUIDField())


class FileBody(serializers.Serializer[Any]):
    file = serializers.FileField()


class UploadBody(FileBody):
    temporary = serializers.BooleanField(
        required=False, default=False, help_text=_("For a temporary chat: gone within an hour of its last question")
    )
