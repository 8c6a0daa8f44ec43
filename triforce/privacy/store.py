"""One place that holds something of a person, and the two usual ways to find their rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, QuerySet

from accounts.models import User

Rows = QuerySet[Any]


@dataclass(frozen=True)
class Store:
    """The rows of one table that are about one person.

    secret: columns that open something, or that only say whose row it is; they are in no export.
    blur: takes the person out of rows that must stay, given a name that leads nowhere; without it rows are deleted.
    """

    name: str
    what: Any  # for people
    model: type[Model]
    of: Callable[[User], Rows]
    secret: frozenset[str] = frozenset()
    blur: Callable[[Rows, str], object] | None = None

    @property
    def columns(self) -> list[str]:
        """What an export shows."""
        return [field.attname for field in self.model._meta.concrete_fields if field.name not in self.secret]

    @property
    def stays(self) -> bool:
        """Is only the person taken out of its rows?"""
        return self.blur is not None

    def forget(self, user: User, alias: str) -> None:
        """Delete the rows, or take the person out of them."""
        rows = self.of(user)
        if self.blur:
            self.blur(rows, alias)
        else:
            rows.delete()


def owned(name: str, what: Any, model: type[Model], *secret: str, by: str = "user") -> Store:
    """Rows that point at the account, straight or over other tables; deleted with it."""
    return Store(name, what, model, lambda user: model._base_manager.filter(**{by: user}), frozenset({by, *secret}))


def named(name: str, what: Any, model: type[Model], *secret: str, by: str = "subject") -> Store:
    """Rows that name the account as the meter does, "user:5"; deleted with it."""
    return Store(name, what, model, lambda user: model._base_manager.filter(**{by: user.subject}), frozenset({by, *secret}))
