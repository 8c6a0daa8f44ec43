"""The shapes of tiers, counters and receipts."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.models import UsageEvent


@extend_schema_field({"oneOf": [{"type": "integer"}, {"type": "string", "enum": ["all"]}]})
class Count(serializers.JSONField):
    """How many, or "all"."""


class TierSerializer(serializers.Serializer[Any]):
    tier = serializers.CharField()
    name = serializers.CharField()
    tier_name = serializers.CharField()
    price_monthly = serializers.FloatField(help_text="EUR, VAT included")
    price_yearly = serializers.FloatField(help_text="EUR, VAT included")
    features = serializers.ListField(child=serializers.CharField())
    model_count = Count(help_text='A number, or "all"')
    mcp_access = serializers.BooleanField()
    cli_agents = serializers.BooleanField()
    local_cli_agents = serializers.BooleanField()
    priority_queue = serializers.BooleanField()
    support_level = serializers.CharField()
    daily_token_limit = serializers.IntegerField(help_text="0 = no limit")
    ollama_unlimited = serializers.BooleanField()


class YourTierSerializer(TierSerializer):
    tokens_today = serializers.IntegerField()
    tokens_used_today = serializers.IntegerField()
    token_limit = serializers.IntegerField(help_text="0 = no limit")
    tokens_remaining = serializers.IntegerField(allow_null=True, help_text="null = no limit")
    resets_at = serializers.DateTimeField()
    created = serializers.DateTimeField(allow_null=True)


class UsageSerializer(serializers.Serializer[Any]):
    user_id = serializers.CharField()
    tier = serializers.CharField()
    date = serializers.DateField(help_text="UTC")
    used_today = serializers.IntegerField(help_text="Of the limited class")
    reserved = serializers.IntegerField(help_text="Held by requests that run now")
    limit = serializers.IntegerField(help_text="0 = no limit")
    remaining = serializers.IntegerField(allow_null=True, help_text="null = no limit")
    unlimited = serializers.BooleanField()
    ollama_unlimited = serializers.BooleanField()
    used_unlimited_today = serializers.IntegerField(help_text="Of the class without a limit")
    resets_at = serializers.DateTimeField()


class ReceiptSerializer(serializers.ModelSerializer[UsageEvent]):
    """One request: what was asked, who answered, what it cost and why."""

    class Meta:
        model = UsageEvent
        fields = [
            "request_id", "created", "closed", "state", "entry_point", "tier", "key_id", "day", "usage_class", "requested_model",
            "served_model", "attempts", "streamed", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens",
            "reasoning_tokens", "estimated", "reserved", "charged", "rule", "price_version", "latency_ms", "ttft_ms",
            "finish_reason", "error_code",
        ]  # fmt: skip
        read_only_fields = fields


class ReceiptListSerializer(serializers.Serializer[Any]):
    results = ReceiptSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Pass it as `cursor` for the next page; null = the last")
