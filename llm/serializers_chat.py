"""The fields of a chat request: the one description that validates it and that stands in /openapi.json."""

from __future__ import annotations

import math
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from billing.serializers import StrictSerializer

MOST_CHARACTERS = 1024 * 1024
MOST_MESSAGES = 1000
MOST_ATTACHMENTS = 10


class Words(serializers.CharField):
    """Text that is text already: no number becomes one, and spaces alone are none."""

    default_error_messages = {"invalid": _("Not a text."), "blank": _("May not be empty.")}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if not data.strip() and not self.allow_blank:
            self.fail("blank")
        return super().to_internal_value(data)


class Number(serializers.FloatField):
    """A JSON number, and a finite one."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool | str) or not isinstance(data, int | float) or not math.isfinite(data):
            self.fail("invalid")
        return float(data)


class Whole(serializers.IntegerField):
    """A JSON whole number."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class Flag(serializers.BooleanField):
    """true or false, and nothing that only looks like it."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class MessageSerializer(StrictSerializer):
    role = serializers.ChoiceField(choices=["system", "user", "assistant"])
    content = Words(max_length=MOST_CHARACTERS)


class ChatSerializer(StrictSerializer):
    """A chat: `message`, or `messages` with the last from the user."""

    message = Words(max_length=MOST_CHARACTERS, required=False, help_text=_("What you ask"))
    messages = MessageSerializer(many=True, required=False, help_text=_("A whole conversation, in place of `message`"))
    model = Words(max_length=200, required=False, allow_null=True, allow_blank=True, help_text=_("A model id; empty = your default"))
    system_prompt = Words(max_length=MOST_CHARACTERS, required=False, allow_null=True, allow_blank=True)
    temperature = Number(min_value=0, max_value=2, required=False, help_text=_("0 to 2; 0.7 unless given"))
    max_tokens = Whole(min_value=1, required=False, help_text=_("The most tokens of the answer, up to the model's cap; 4096 unless given"))
    stream = Flag(required=False, help_text=_("Server-sent events in place of one JSON object"))
    substitution = serializers.ChoiceField(
        choices=["strict", "family", "any"],
        required=False,
        help_text=_("Which others may answer: none, its own fallback, any"),
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        messages = attrs.get("messages")
        if ("message" in attrs) == bool(messages):
            raise serializers.ValidationError({"message": [_("Send either message or messages.")]})
        if messages and messages[-1]["role"] != "user":
            raise serializers.ValidationError({"messages": [_("The last message must be the user's.")]})
        if messages and len(messages) > MOST_MESSAGES:
            raise serializers.ValidationError({"messages": [_("At most 1000 messages.")]})
        return attrs

    def checked(self, data: Any) -> dict[str, Any]:
        """The valid fields of `data`. Raises ValidationError naming what is wrong."""
        return self.run_validation(data)


class SaidSerializer(MessageSerializer):
    """What was said before in a temporary chat."""

    attachments = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=MOST_ATTACHMENTS)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("attachments") and attrs["role"] != "user":
            raise serializers.ValidationError({"attachments": [_("Only what a user says has files.")]})
        return attrs


class ChatFrameSerializer(ChatSerializer):
    """A chat over the websocket: a turn of a conversation."""

    messages = SaidSerializer(many=True, required=False)
    type = serializers.CharField()
    id = serializers.UUIDField(help_text=_("Yours: asked twice with the same id, it is asked once"))
    conversation = serializers.UUIDField(required=False, allow_null=True)
    parent = serializers.UUIDField(  # type: ignore[assignment]  # a field's own `parent` is its serializer
        required=False, allow_null=True, help_text=_("The turn it goes on from; null = none")
    )
    attachments = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=MOST_ATTACHMENTS)
    group = serializers.UUIDField(required=False, allow_null=True, help_text=_("The same for all turns of a comparison"))
    temporary = Flag(required=False, help_text=_("Nothing is stored"))

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Nothing is stored of a temporary chat, so it brings what was said before: `messages`, then `message`."""
        if "messages" in attrs and not attrs.get("temporary"):
            raise serializers.ValidationError({"messages": [_("Only with temporary; a conversation brings its own.")]})
        return attrs if "message" in attrs and len(attrs.get("messages", ())) <= MOST_MESSAGES else super().validate(attrs)


class TurnFrameSerializer(StrictSerializer):
    """`cancel` and `resume`."""

    type = serializers.CharField()
    id = serializers.UUIDField()
    after = Whole(min_value=0, required=False)


class ChatResponseSerializer(serializers.Serializer[Any]):
    """An answer."""

    response = serializers.CharField()
    model = serializers.CharField(help_text=_("The model that answered"))
    tier = serializers.CharField()
    backend = serializers.CharField(help_text=_("The provider that answered"))
    tokens_used = serializers.IntegerField(help_text=_("What this request was charged"))
    latency_ms = serializers.IntegerField()
    fallback_used = serializers.BooleanField()
    request_id = serializers.CharField()
    finish_reason = serializers.CharField()
    tokens_remaining = serializers.IntegerField(allow_null=True, help_text=_("Left today; null = no limit"))
    warnings = serializers.ListField(child=serializers.CharField())


class ChatEventSerializer(serializers.Serializer[Any]):
    """One event of a streamed answer; `data` is the wire's own name for a field, whatever `Serializer.data` is on instances."""

    event = serializers.ChoiceField(choices=["delta", "done", "error"])
    data = serializers.CharField(help_text=_("JSON: {text}, or the whole answer, or {code, detail}"))  # type: ignore[assignment]


class QuoteSerializer(serializers.Serializer[Any]):
    """What a chat would cost at most."""

    input_tokens = serializers.IntegerField(help_text=_("A fair guess"))
    max_output_tokens = serializers.IntegerField()
    max_charge = serializers.IntegerField(help_text=_("What would be held while it runs"))
    share_of_remaining = serializers.FloatField(allow_null=True, help_text=_("max_charge of what is left today; null = no limit"))
    would_be_admitted = serializers.BooleanField()
    reason = serializers.CharField(allow_null=True, help_text=_("The error code it would be refused with"))
