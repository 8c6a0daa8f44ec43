"""GET /v1/client/models/availability, GET /v1/client/ollama/status: what the last background look and the live answers say."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.caller import Caller
from accounts.permissions import AnyCaller
from llm.models import LanguageModel, Provider, Status
from llm.providers import is_on

FRESH_SECONDS = 1.0
STAMP = "%Y-%m-%dT%H:%M:%SZ"  # as everywhere else
UNUSABLE = (Status.OFFLINE, Status.NO_API_KEY)


@dataclass(frozen=True, slots=True)
class ModelState:
    """One model, as far as its status goes."""

    model_id: str
    native_id: str
    provider_id: int
    min_position: int
    excluded: bool
    status: str
    since: datetime | None
    ttft_ms: int | None


@dataclass(frozen=True, slots=True)
class States:
    """All providers and models, at most FRESH_SECONDS old."""

    providers: tuple[Provider, ...]
    models: tuple[ModelState, ...]
    read_at: float


_states: States | None = None


def states() -> States:
    """Read from the database at most once a second, however many ask."""
    global _states
    if _states is None or time.monotonic() - _states.read_at > FRESH_SECONDS:
        providers = tuple(Provider.objects.filter(enabled=True).defer("quirks"))
        asked = [provider.pk for provider in providers if is_on(provider)]
        _states = States(providers, tuple(map(_state, _model_rows(asked))), time.monotonic())
    return _states


def forget_states() -> None:
    """Read again at the next request; between tests."""
    global _states
    _states = None


def _model_rows(provider_ids: list[int]) -> Any:
    fields = ("model_id", "native_id", "provider_id", "min_tier__position", "missing_since", "status", "status_since", "ttft_ms")
    return LanguageModel.objects.filter(enabled=True, provider__in=provider_ids).values_list(*fields)


def _state(row: tuple[Any, ...]) -> ModelState:
    model_id, native_id, provider_id, position, missing_since, status, since, ttft_ms = row
    excluded = missing_since is not None or status in UNUSABLE
    return ModelState(model_id, native_id, provider_id, position, excluded, status, since, ttft_ms)


class ProviderStatusSerializer(serializers.Serializer[Any]):
    provider = serializers.CharField()
    api_key_set = serializers.BooleanField()
    checked_at = serializers.DateTimeField(STAMP, allow_null=True)
    status = serializers.ChoiceField(Status.choices)


class ModelStatusSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(Status.choices)
    since = serializers.DateTimeField(STAMP, allow_null=True, help_text="When it became so.")
    ttft_ms = serializers.IntegerField(allow_null=True, help_text="Milliseconds to the first token, smoothed over the last answers.")


class AvailabilitySerializer(serializers.Serializer[Any]):
    checked_at = serializers.DateTimeField(STAMP, allow_null=True, help_text="The last background check of any provider.")
    excluded_models = serializers.ListField(child=serializers.CharField(), help_text="Those of `models` that cannot answer now.")
    excluded_count = serializers.IntegerField()
    providers = serializers.DictField(child=ProviderStatusSerializer())
    models = serializers.DictField(child=ModelStatusSerializer(), help_text="The models that the caller's tier may use.")


class OllamaStatusSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(["online", "offline"])
    url = serializers.CharField(help_text="A label; the address itself is nobody's business.")
    models_loaded = serializers.IntegerField()
    models = serializers.ListField(child=serializers.CharField(), max_length=20)


class AvailabilityView(APIView):
    """Which models and providers work."""

    permission_classes = [AnyCaller]

    @extend_schema(operation_id="models_availability", responses=AvailabilitySerializer)
    def get(self, request: Request) -> Response:
        known, tier = states(), cast(Caller, request.auth).tier
        models = [model for model in known.models if model.min_position <= tier.position]
        excluded = [model.model_id for model in models if model.excluded]
        answer = {
            "checked_at": max((row.checked_at for row in known.providers if row.checked_at), default=None),
            "excluded_models": excluded,
            "excluded_count": len(excluded),
            "providers": {row.slug: _provider(row) for row in known.providers},
            "models": {model.model_id: {"status": model.status, "since": model.since, "ttft_ms": model.ttft_ms} for model in models},
        }
        return Response(AvailabilitySerializer(answer).data)


def _provider(row: Provider) -> dict[str, Any]:
    key_set = bool(settings.PROVIDER_KEYS.get(row.slug))
    return {"provider": row.slug, "api_key_set": key_set, "checked_at": row.checked_at, "status": row.status}


class OllamaStatusView(APIView):
    """Is there an Ollama, and with which models? Always 200."""

    permission_classes = [AnyCaller]

    @extend_schema(operation_id="ollama_status", responses=OllamaStatusSerializer)
    def get(self, request: Request) -> Response:
        known = states()
        online = [row for row in known.providers if row.wire == Provider.Wire.OLLAMA and row.status in (Status.HEALTHY, Status.DEGRADED)]
        keys = {row.pk for row in online}
        names = [model.native_id for model in known.models if model.provider_id in keys and model.status == Status.HEALTHY]
        label = next((row.name for row in known.providers if row.wire == Provider.Wire.OLLAMA), "Ollama")
        answer = {"status": "online" if online else "offline", "url": label, "models_loaded": len(names), "models": names[:20]}
        return Response(OllamaStatusSerializer(answer).data)
