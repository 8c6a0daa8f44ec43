"""Reference data (tiers, catalogue) read on every chat, kept in memory, at most a second behind the database.

Each process looks once a second whether the data's revision number moved, and reloads only then: one tiny query a second
instead of several a request, and a change made in any process holds in every other within 2 s.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db import models, transaction
from django.db.models import F

T = TypeVar("T")
CHECK_SECONDS = 1.0


class Revision(models.Model):
    """How often the reference data called `name` has changed."""

    name = models.CharField(max_length=32, primary_key=True)
    number = models.BigIntegerField(default=0)

    class Meta:
        app_label = "billing"

    @classmethod
    def bump(cls, name: str) -> None:
        """Tell every process that the data called `name` changed; in the transaction that changes it."""
        if not cls.objects.filter(name=name).update(number=F("number") + 1):
            cls.objects.get_or_create(name=name)
            cls.objects.filter(name=name).update(number=F("number") + 1)
        Snapshot.forget(name)
        transaction.on_commit(lambda: Snapshot.forget(name))  # another thread may have loaded the old rows meanwhile


class RevisedQuerySet(models.QuerySet[Any]):
    """Bumps the model's revision on every bulk write, which no save() sees."""

    def _bumped(self, result: Any) -> Any:
        Revision.bump(self.model.revision)
        return result

    def update(self, **kwargs: Any) -> int:
        return self._bumped(super().update(**kwargs))

    def delete(self) -> tuple[int, dict[str, int]]:
        return self._bumped(super().delete())

    def bulk_create(self, *args: Any, **kwargs: Any) -> list[Any]:
        return self._bumped(super().bulk_create(*args, **kwargs))

    def bulk_update(self, *args: Any, **kwargs: Any) -> int:
        return self._bumped(super().bulk_update(*args, **kwargs))


class Revised(models.Model):
    """Reference data whose every change bumps `revision`."""

    revision: str = ""
    objects = RevisedQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        Revision.bump(self.revision)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        result = super().delete(*args, **kwargs)
        Revision.bump(self.revision)
        return result


class Snapshot(Generic[T]):
    """The value of `load()`, reloaded when the revision called `name` moved. Synchronous: call it in a database hop."""

    _all: list[Snapshot[Any]] = []

    def __init__(self, name: str, load: Callable[[], T]) -> None:
        self.name = name
        self.load = load
        self._lock = threading.Lock()
        self._number: int | None = None
        self._checked = float("-inf")
        self._forgotten = 0
        self._value: T | None = None
        Snapshot._all.append(self)

    def get(self) -> T:
        """The current value; at most CHECK_SECONDS behind another process, never behind our own commits."""
        now = time.monotonic()
        if self._value is not None and now - self._checked < CHECK_SECONDS:
            return self._value
        with self._lock:
            forgotten = self._forgotten
            number = Revision.objects.filter(name=self.name).values_list("number", flat=True).first() or 0
            if self._value is None or number != self._number:
                self._value = self.load()
                self._number = number
            self._checked = now
            if forgotten != self._forgotten:  # a commit came while we loaded: what we hold may be older than it
                self._checked = float("-inf")
            return self._value

    @classmethod
    def forget(cls, name: str | None = None) -> None:
        """Make the next get() look at the database again, whatever it holds."""
        for snapshot in cls._all:
            if name is None or snapshot.name == name:
                snapshot._forgotten += 1
                snapshot._number = None
                snapshot._checked = float("-inf")
