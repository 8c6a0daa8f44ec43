"""What every JSON body is read with: unknown fields are refused by name, and an error says which field it is about."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that knows all its fields and names the unknown ones. No message of its repeats a value."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = sorted(str(name) for name in data if name not in self.fields)
            if unknown:
                names = ", ".join(name[:40] for name in unknown[:10])
                raise serializers.ValidationError({unknown[0][:40]: [_("Unknown fields: %(names)s.") % {"names": _plain(names)}]})
        return super().to_internal_value(data)

    @classmethod
    def read(cls, data: Any, **context: Any) -> dict[str, Any]:
        """The validated fields of a body. Raises ValidationError, which the door renders as 400 invalid_request with `field`."""
        serializer = cls(data=data, context=context)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


class PlainJsonField(serializers.JSONField):
    """Any JSON that every database can store: no NUL, no lone surrogate, no infinite number, at most `max_bytes` as text."""

    def __init__(self, *, max_bytes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_bytes = max_bytes

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        check_storable(value)
        if len(json.dumps(value, ensure_ascii=False).encode()) > self.max_bytes:
            raise serializers.ValidationError(_("This is larger than %(most)s bytes.") % {"most": self.max_bytes})
        return value


def check_storable(value: Any) -> None:
    """Raises ValidationError where a database could not store this JSON value as text or number."""
    for leaf in _leaves(value):
        if isinstance(leaf, str) and leaf != _plain(leaf):
            raise serializers.ValidationError(_("Null and surrogate characters are not allowed."))
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise serializers.ValidationError(_("Numbers must be finite."))


def _leaves(value: Any) -> Iterable[Any]:
    """Keys and scalars of a JSON value; without recursion, for it may be nested deeply."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, Mapping):
            waiting.extend(found.keys())
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)
        else:
            yield found


def _plain(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "ignore").decode()
