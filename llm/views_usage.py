"""What a caller has: the tier, what is left of the day, and the receipts."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import make_aware
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.caller import Caller
from accounts.errors import NotFound
from accounts.models import User
from accounts.permissions import AnyCaller, HasScope
from billing import clock, quota
from billing.errors import InvalidRequest
from billing.models import Tier, UsageClass, UsageEvent
from billing.offers import as_sold
from billing.schema import answers
from billing.tiers import all_tiers
from llm.admission import holder
from llm.catalogue import models_for
from llm.serializers_usage import ReceiptListSerializer, ReceiptSerializer, TierSerializer, UsageSerializer, YourTierSerializer

PAGE = 50
LONGEST_PAGE = 500


def tier_body(tier: Tier) -> dict[str, Any]:
    """A tier as every endpoint shows it. Prices are numbers in EUR a month and a year, VAT included."""
    return {
        "tier": tier.slug,
        "name": tier.name,
        "tier_name": tier.name,
        "price_monthly": _number(tier.price_monthly),
        "price_yearly": _number(tier.price_yearly),
        "features": tier.features,
        "model_count": "all" if tier.all_models else len(models_for(tier)),
        "mcp_access": tier.mcp_access,
        "cli_agents": tier.cli_agents,
        "local_cli_agents": tier.local_cli_agents,
        "priority_queue": tier.priority_queue,
        "support_level": tier.support_level,
        "daily_token_limit": tier.daily_tokens,
        "ollama_unlimited": tier.ollama_unlimited,
    }


def _number(price: Decimal) -> float:
    return float(price)


class TiersView(APIView):
    """All tiers, the lowest first."""

    permission_classes = [AnyCaller]

    @extend_schema(operation_id="list_tiers", responses=TierSerializer(many=True))
    def get(self, request: Request) -> Response:
        return Response([tier_body(tier) for tier in as_sold(all_tiers())])


class YourTierView(APIView):
    """The caller's tier, and what is left of today."""

    permission_classes = [AnyCaller]

    @extend_schema(operation_id="your_tier", responses=YourTierSerializer)
    def get(self, request: Request) -> Response:
        caller, day = cast(Caller, request.auth), clock.now().date()
        today, remaining = quota.counted(holder(caller), UsageClass.CLOUD, day)
        created = None if caller.is_guest else clock.stamp(cast(User, request.user).date_joined)
        return Response(
            {
                **tier_body(*as_sold([caller.tier])),
                "tokens_today": today.used,
                "tokens_used_today": today.used,
                "token_limit": caller.tier.daily_tokens,
                "tokens_remaining": remaining,
                "resets_at": clock.stamp(clock.resets_at(day)),
                "created": created,
            }
        )


class TokensView(APIView):
    """Today's counters."""

    permission_classes = [AnyCaller]

    @extend_schema(operation_id="tokens_today", responses=UsageSerializer)
    def get(self, request: Request) -> Response:
        caller, day = cast(Caller, request.auth), clock.now().date()
        today, remaining = quota.counted(holder(caller), UsageClass.CLOUD, day)
        unlimited = quota.balance(caller.subject, UsageClass.UNLIMITED, day, None)
        return Response(
            {
                "user_id": caller.email or "guest",
                "tier": caller.tier.slug,
                "date": day.isoformat(),
                "used_today": today.used,
                "reserved": today.reserved,
                "limit": caller.tier.daily_tokens,
                "remaining": remaining,
                "unlimited": caller.tier.enforced_tokens is None,
                "ollama_unlimited": caller.tier.ollama_unlimited,
                "used_unlimited_today": unlimited.used,
                "resets_at": clock.stamp(clock.resets_at(day)),
            }
        )


class ReceiptsView(APIView):
    """The caller's receipts, newest first."""

    permission_classes = [HasScope("usage")]

    @extend_schema(
        operation_id="list_receipts",
        responses=ReceiptListSerializer,
        parameters=[
            OpenApiParameter("from", str, description="The first moment: a date or an ISO 8601 time (UTC)"),
            OpenApiParameter("to", str, description="The moment before which to stop"),
            OpenApiParameter("model", str, description="Receipts of the requests for, or answered by, this model id"),
            OpenApiParameter("limit", int, description="Receipts a page, 1 to 500"),
            OpenApiParameter("cursor", str, description="`next` of the page before"),
        ],
    )
    def get(self, request: Request) -> Response:
        asked = request.query_params
        limit = _whole(asked.get("limit"), "limit", PAGE, LONGEST_PAGE)
        receipts = UsageEvent.objects.filter(account_id=cast(Caller, request.auth).user_id).order_by("-id")
        if asked.get("from"):
            receipts = receipts.filter(created__gte=_moment(asked["from"], "from"))
        if asked.get("to"):
            receipts = receipts.filter(created__lt=_moment(asked["to"], "to"))
        if asked.get("model"):
            receipts = receipts.filter(requested_model=asked["model"]) | receipts.filter(served_model=asked["model"])
        if asked.get("cursor"):
            receipts = receipts.filter(id__lt=_whole(asked["cursor"], "cursor", 0, 2**62))
        page = list(receipts[: limit + 1])
        more = len(page) > limit
        return Response({"results": ReceiptSerializer(page[:limit], many=True).data, "next": str(page[limit - 1].pk) if more else None})


class ReceiptView(APIView):
    """One receipt in full."""

    permission_classes = [HasScope("usage")]

    @extend_schema(operation_id="get_receipt", responses=answers(ReceiptSerializer, 404))
    def get(self, request: Request, request_id: str) -> Response:
        receipt = UsageEvent.objects.filter(account_id=cast(Caller, request.auth).user_id, request_id=request_id).first()
        if receipt is None:
            raise NotFound
        return Response(ReceiptSerializer(receipt).data)


def _whole(value: str | None, field: str, default: int, most: int) -> int:
    if value is None:
        return default
    if not value.isascii() or not value.isdecimal() or not 1 <= int(value[:20]) <= most:
        raise InvalidRequest(_("%(field)s must be a whole number from 1 to %(most)d.") % {"field": field, "most": most}, field=field)
    return int(value)


def _moment(value: str, field: str) -> datetime:
    try:
        moment = parse_datetime(value)
        if moment is None and (day := parse_date(value)) is not None:
            moment = datetime(day.year, day.month, day.day)
    except ValueError:
        moment = None
    if moment is None:
        raise InvalidRequest(_("%(field)s must be a date or a time like 2026-01-31T12:00:00Z.") % {"field": field}, field=field)
    return moment if moment.tzinfo else make_aware(moment)
