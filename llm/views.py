"""GET /v1/client/models: which models the caller may use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.permissions import AnyCaller
from billing.errors import InvalidRequest
from billing.models import Tier, UsageClass
from billing.schema import answers
from billing.tiers import all_tiers
from llm.catalogue import ModelEntry, models_for, standing_in
from llm.models import LanguageModel, Status
from llm.serializers import DetailedModelListSerializer, ModelListSerializer, ModelQuerySerializer

LIVE = (Status.HEALTHY, Status.DEGRADED)


class ModelsView(APIView):
    """The caller's models, the twenty that everybody has first."""

    permission_classes = [AnyCaller]

    @extend_schema(
        parameters=[ModelQuerySerializer],
        operation_id="list_models",
        responses=answers(
            PolymorphicProxySerializer(
                component_name="Models", serializers=[ModelListSerializer, DetailedModelListSerializer], resource_type_field_name=None
            ),
            400,
            401,
            403,
        ),
    )
    def get(self, request: Request) -> Response:
        asked = _asked(request)
        tier: Tier = request.auth.tier  # type: ignore[union-attr]
        detail = asked.pop("detail")
        entries = models_for(tier, **asked)
        if detail:
            rows = detailed(entries, tier, narrowed=bool(asked.get("provider") or asked.get("q")), capability=asked["capability"])
            return Response(DetailedModelListSerializer(_body(tier, rows)).data)
        return Response(_body(tier, [entry.model_id for entry in entries]))


def _asked(request: Request) -> dict[str, Any]:
    query = ModelQuerySerializer(data=request.query_params.dict())
    try:
        query.is_valid(raise_exception=True)
    except ValidationError as error:
        field, words = next(iter(query.errors.items()))
        raise InvalidRequest(f"{field}: {words[0]}", field=field) from error
    return dict(query.validated_data)


def _body(tier: Tier, models: list[Any]) -> dict[str, Any]:
    return {
        "tier": tier.slug,
        "tier_name": tier.name,
        "model_count": len(models),
        "models": models,
        "backend": "mixed" if tier.all_models else "ollama",
        "upgrade_available": not tier.all_models and any(other.all_models and other.position > tier.position for other in all_tiers()),
    }


def detailed(entries: list[ModelEntry], tier: Tier, *, narrowed: bool = False, capability: str = "chat") -> list[dict[str, Any]]:
    """The entries as objects with their state; an unnarrowed chat list also has what its provider no longer lists, and, where nothing
    of it is live, the local stand-ins."""
    whole = capability == "chat" and not narrowed
    gone = standing_in(tier, missing=True) if whole else []
    local = standing_in(tier) if whole else []
    rows = _states([*entries, *gone, *local])
    if any(rows[entry.model_id].status in LIVE for entry in entries if entry.model_id in rows):
        local = []
    return [_detail(entry, rows[entry.model_id], tier) for entry in [*entries, *local, *gone] if entry.model_id in rows]


def _states(entries: Iterable[ModelEntry]) -> dict[str, LanguageModel]:
    """Prices and states by id, in one query."""
    wanted = {entry.model_id for entry in entries}
    rows = LanguageModel.objects.select_related("price").only("model_id", "status", "status_since", "ttft_ms", "price")
    rows = rows.filter(model_id__in=wanted) if len(wanted) < 100 else rows.filter(enabled=True)
    return {row.model_id: row for row in rows if row.model_id in wanted}


def _detail(entry: ModelEntry, row: LanguageModel, tier: Tier) -> dict[str, Any]:
    return {
        "id": entry.model_id,
        "name": entry.name,
        "provider": entry.provider.slug,
        "description": entry.description,
        "parameters": entry.parameters,
        "capabilities": entry.capabilities,
        "context_window": entry.context_window,
        "max_output": entry.max_output,
        "min_tier": entry.min_tier_slug,
        "unlimited": not tier.daily_tokens or (tier.ollama_unlimited and entry.provider.usage_class == UsageClass.UNLIMITED),
        "fallback": entry.fallback,
        "price": _price(row),
        "status": row.status,
        "status_since": row.status_since,
        "ttft_ms": row.ttft_ms,
        "listed": entry.listed,
        "missing_since": entry.missing_since,
    }


def _price(row: LanguageModel) -> dict[str, float | None] | None:
    if row.price is None:
        return None
    parts = {name: getattr(row.price, name) for name in ("input", "output", "cached_input", "cache_write")}
    return {name: None if amount is None else float(amount) for name, amount in parts.items()}
