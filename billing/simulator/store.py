"""What the simulator remembers: objects in memory, written through to one SQLite file, one transaction a request.

Inside a transaction `get` hands out a copy that may be changed; `commit` writes what has changed, `rollback` forgets it.
"""

from __future__ import annotations

import copy
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str]  # kind and id; kinds that start with _ are the simulator's own


class Store:
    """Objects by kind and id, in the order in which they were made."""

    def __init__(self, path: Path | str) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.execute("CREATE TABLE IF NOT EXISTS object (kind TEXT, id TEXT, body TEXT, PRIMARY KEY (kind, id))")
        self.rows: dict[str, dict[str, Object]] = {}
        for kind, id, body in self.db.execute("SELECT kind, id, body FROM object ORDER BY rowid"):
            self.rows.setdefault(kind, {})[id] = json.loads(body)
        self.working: dict[Key, Object | None] = {}

    def get(self, kind: str, id: str) -> Object | None:
        """The object, to be changed at will; None where there is none."""
        if (kind, id) not in self.working:
            row = self.rows.get(kind, {}).get(id)
            if row is None:
                return None
            self.working[kind, id] = copy.deepcopy(row)
        return self.working[kind, id]

    def peek(self, kind: str, id: str) -> Object | None:
        """The object, only to be read."""
        return self.working[kind, id] if (kind, id) in self.working else self.rows.get(kind, {}).get(id)

    def resolve(self, id: str) -> Object | None:
        """The object of whatever kind with this id, only to be read."""
        kinds = {*self.rows, *(kind for kind, _ in self.working)}
        return next((found for kind in kinds if not kind.startswith("_") and (found := self.peek(kind, id))), None)

    def add(self, kind: str, made: Object) -> Object:
        self.working[kind, made["id"]] = made
        return made

    def remove(self, kind: str, id: str) -> None:
        self.working[kind, id] = None

    def all(self, kind: str) -> Iterator[Object]:
        """Every object of the kind, oldest first, only to be read."""
        committed = self.rows.get(kind, {})
        for id in [*committed, *(id for known, id in self.working if known == kind and id not in committed)]:
            if found := self.peek(kind, id):
                yield found

    def where(self, kind: str, **equal: Any) -> list[Object]:
        """Those whose fields are equal, oldest first, only to be read."""
        return [row for row in self.all(kind) if all(row.get(name) == value for name, value in equal.items())]

    def find(self, kind: str, **equal: Any) -> list[Object]:
        """Those whose fields are equal, oldest first, to be changed at will."""
        return [found for row in self.where(kind, **equal) if (found := self.get(kind, row["id"]))]

    def commit(self) -> list[Object]:
        """Keep the transaction. Returns the objects that are new."""
        changed = {key: made for key, made in self.working.items() if made != self.rows.get(key[0], {}).get(key[1])}
        new = [made for (kind, id), made in changed.items() if made and id not in self.rows.get(kind, {})]
        self.db.execute("BEGIN")
        for (kind, id), made in changed.items():
            if made is None:
                self.db.execute("DELETE FROM object WHERE kind = ? AND id = ?", (kind, id))
            else:
                sql = "INSERT INTO object VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body"
                self.db.execute(sql, (kind, id, json.dumps(made)))
        self.db.execute("COMMIT")
        for (kind, id), made in changed.items():
            if made is None:
                self.rows.get(kind, {}).pop(id, None)
            else:
                self.rows.setdefault(kind, {})[id] = made
        self.working = {}
        return new

    def rollback(self) -> None:
        self.working = {}

    @contextmanager
    def preview(self) -> Iterator[None]:
        """What happens inside is forgotten at its end."""
        kept = self.working
        self.working = copy.deepcopy(kept)
        try:
            yield
        finally:
            self.working = kept
