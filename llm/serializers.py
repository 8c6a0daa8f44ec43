"""The shapes of the model lists."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from llm.models import Status


class ModelQuerySerializer(serializers.Serializer[Any]):
    """What a list may be narrowed by."""

    capability = serializers.CharField(
        max_length=20, required=False, default="chat", help_text="chat, vision, tools, reasoning, embedding, …"
    )
    provider = serializers.CharField(max_length=30, required=False, help_text="A provider's name, as in front of its models' ids")
    q = serializers.CharField(max_length=100, required=False, allow_blank=True, help_text="A part of the id or name")
    detail = serializers.BooleanField(required=False, default=False, help_text="1: objects instead of ids")


class ModelSerializer(serializers.Serializer[Any]):
    """A model in detail. null = unknown."""

    id = serializers.CharField()
    name = serializers.CharField()
    provider = serializers.CharField()
    description = serializers.CharField()
    parameters = serializers.CharField(help_text="As people say it: 671B")
    capabilities = serializers.ListField(child=serializers.CharField(), help_text="Empty = unknown")
    context_window = serializers.IntegerField(allow_null=True, help_text="Tokens")
    max_output = serializers.IntegerField(allow_null=True, help_text="Tokens")
    min_tier = serializers.CharField(help_text="The lowest tier that may use it")
    unlimited = serializers.BooleanField(help_text="Does not count against the caller's daily tokens")
    fallback = serializers.ListField(child=serializers.CharField(), help_text="Who answers in its place, in this order")
    price = serializers.DictField(
        allow_null=True, help_text="The provider's, in USD per million tokens: input, output, cached_input, cache_write"
    )
    status = serializers.ChoiceField(Status.choices)
    status_since = serializers.DateTimeField(allow_null=True)
    ttft_ms = serializers.IntegerField(allow_null=True, help_text="Time to the first token")
    listed = serializers.BooleanField(help_text="false: a local stand-in, shown because nothing else is live")
    missing_since = serializers.DateTimeField(allow_null=True, help_text="Its provider no longer lists it")


class ModelListSerializer(serializers.Serializer[Any]):
    """The caller's models: ids, or with `detail=1` objects."""

    tier = serializers.CharField()
    tier_name = serializers.CharField()
    model_count = serializers.IntegerField(help_text="How many `models` are shown")
    models = serializers.ListField(child=serializers.CharField())
    backend = serializers.ChoiceField(["ollama", "mixed"])
    upgrade_available = serializers.BooleanField(help_text="A higher tier has more models")


class DetailedModelListSerializer(ModelListSerializer):
    models = ModelSerializer(many=True)  # type: ignore[assignment]
