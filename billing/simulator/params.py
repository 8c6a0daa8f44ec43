"""Stripe's form-encoded parameters, nested by brackets: items[0][price]=… . What no handler reads is refused by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from billing.simulator.errors import ApiError

LARGEST = 99_999_999  # cents


def parse(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """{"items": [{"price": "price_…"}]} from [("items[0][price]", "price_…")]. Values stay text."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        first, *rest = re.findall(r"[^\[\]]+|\[\]", name) or [name]
        place = tree
        for key, after in zip([first, *rest], [*rest, None], strict=True):
            key = str(len(place)) if key == "[]" else key
            if after is None:
                place[key] = value
            elif not isinstance(place.setdefault(key, {}), dict):
                raise ApiError(f"'{name}' is given both as a value and as a hash.", param=name)
            else:
                place = place[key]
    return {key: _lists(value) for key, value in tree.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(found) for key, found in value.items()}


class Params:
    """One level of parameters. Reading marks as known; `unknown()` names the rest."""

    def __init__(self, values: dict[str, Any], path: str = "") -> None:
        self.values, self.path = values, path
        self.read: set[str] = set()
        self.children: list[Params] = []

    def __contains__(self, name: str) -> bool:
        self.read.add(name)
        return name in self.values

    def full(self, name: str) -> str:
        return f"{self.path}[{name}]" if self.path else name

    def skip(self, *names: str) -> None:
        """Known to Stripe, and without meaning here."""
        self.read |= set(names)

    def text(self, name: str) -> str | None:
        """The value; an empty one unsets, and reads as None."""
        self.read.add(name)
        value = self.values.get(name)
        if isinstance(value, dict | list):
            raise ApiError(f"Invalid string: {name} must not be a hash or an array.", param=self.full(name))
        return value or None

    def required(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise ApiError(f"Missing required param: {self.full(name)}.", code="parameter_missing", param=self.full(name))
        return value

    def integer(self, name: str, default: int | None = None) -> int | None:
        value = self.text(name)
        if value is None:
            return default
        if not re.fullmatch(r"-?\d{1,12}", value):
            raise ApiError(f"Invalid integer: {value}", code="parameter_invalid_integer", param=self.full(name))
        return int(value)

    def number(self, name: str) -> float | None:
        value = self.text(name)
        try:
            return None if value is None else float(value)
        except ValueError:
            raise ApiError(f"Invalid decimal: {value}", param=self.full(name)) from None

    def boolean(self, name: str, default: bool = False) -> bool:
        value = self.text(name)
        if value is None:
            return default
        if value not in ("true", "false"):
            raise ApiError(f"Invalid boolean: {value}", param=self.full(name))
        return value == "true"

    def choice(self, name: str, *choices: str, default: str = "") -> str:
        value = self.text(name) or default
        if value not in choices:
            raise ApiError(f"Invalid {self.full(name)}: must be one of {', '.join(choices)}", param=self.full(name))
        return value

    def nested(self, name: str) -> Params:
        """The hash below `name`; empty where it is not given."""
        self.read.add(name)
        value = self.values.get(name) or {}
        if not isinstance(value, dict):
            raise ApiError("Invalid object", param=self.full(name))
        return self._child(value, self.full(name))

    def items(self, name: str) -> list[Params]:
        """The hashes of an array."""
        return [
            self._child(value, f"{self.full(name)}[{place}]") for place, value in enumerate(self._array(name)) if isinstance(value, dict)
        ]

    def texts(self, name: str) -> list[str]:
        return [value for value in self._array(name) if isinstance(value, str)]

    def metadata(self, old: dict[str, str] | None = None, name: str = "metadata") -> dict[str, str]:
        """`old` with what is given; an empty value takes a key away."""
        self.read.add(name)
        given = self.values.get(name)
        if given == "":
            return {}
        merged = {**(old or {}), **(given or {})}
        return {key: value for key, value in merged.items() if value != ""}

    def unknown(self) -> list[str]:
        """Full names of what was given and never read."""
        own = [self.full(name) for name in self.values if name not in self.read]
        return own + [name for child in self.children for name in child.unknown()]

    def _array(self, name: str) -> list[Any]:
        self.read.add(name)
        value = self.values.get(name) or []
        if not isinstance(value, list):
            raise ApiError("Invalid array", param=self.full(name))
        return value

    def _child(self, values: dict[str, Any], path: str) -> Params:
        child = Params(values, path)
        self.children.append(child)
        return child
