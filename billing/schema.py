"""What the OpenAPI document says of answers: the success, and every refusal in the one shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework import serializers
from rest_framework.views import APIView

Door = Callable[..., Any]


class RefusalDetail(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="A stable word for programs.")
    message = serializers.CharField(help_text="The sentence again. What else helps stands beside it.")
    field = serializers.CharField(required=False, help_text="Where in the body, for 400.")


class Refusal(serializers.Serializer[Any]):
    """Every refusal."""

    detail = serializers.CharField(help_text="A sentence for people.")
    error = RefusalDetail()


def answers(success: Any, *refusals: int, status: int = 200) -> dict[int, Any]:
    """For `extend_schema(responses=…)`: the success and the refusals, of which 429 and 503 are always possible."""
    return {status: success, **dict.fromkeys((*refusals, 429, 503), Refusal)}


def documented(door: Door, schema: type[APIView]) -> Door:
    """The view, which is none of REST framework's, and which drf-spectacular takes for one of the class beside it that is only read."""
    door.cls = schema  # type: ignore[attr-defined]
    door.initkwargs = {}  # type: ignore[attr-defined]
    return door
