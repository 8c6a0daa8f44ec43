"""Everything of a person in one ZIP of JSON files, made while it is sent: nothing of it is ever whole in memory or on disk."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import zipfile
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
from django.db import models
from django.db.models.functions import Cast, Coalesce, Length
from django.utils.translation import gettext as _

from accounts.models import User
from billing import clock
from billing.db import in_database
from triforce.privacy.store import Rows, Store
from triforce.privacy.stores import STORES

FORMAT, VERSION = "triforce-export", 1
ROWS = 500  # a page, one short hop into the database each; fewer where their texts and files together are more than
BYTES = 4 * 1024 * 1024
LONG = (models.TextField, models.BinaryField, models.JSONField)


async def export(user: User) -> AsyncIterator[bytes]:
    """The ZIP, piece by piece."""
    pipe = _Pipe()
    archive = zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED)
    archive.writestr("README.md", _readme())
    files = []
    for store in STORES:
        count = 0
        with archive.open(f"{store.name}.json", "w", force_zip64=True) as file:
            file.write(b"[")
            async for rows in _pages(store, user):
                await asyncio.to_thread(file.write, _lines(rows, first=count == 0))
                count += len(rows)
                yield pipe.take()
            file.write(b"\n]\n")
        files.append({"file": f"{store.name}.json", "what": str(store.what), "rows": count})
    manifest = {"format": FORMAT, "version": VERSION, "made": clock.stamp(clock.now()), "account": user.email, "files": files}
    archive.writestr("manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    archive.close()
    yield pipe.take()


class _Pipe(io.RawIOBase):
    """Takes what the archive writes until somebody fetches it. It cannot seek, so sizes stand behind each file."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken


async def _pages(store: Store, user: User) -> AsyncIterator[list[dict[str, Any]]]:
    after: Any = None
    while rows := await in_database(_page, store, user, after):
        after = rows[-1].pop("pk")
        for row in rows[:-1]:
            del row["pk"]
        yield rows


def _page(store: Store, user: User, after: Any) -> list[dict[str, Any]]:
    rows = (store.of(user) if after is None else store.of(user).filter(pk__gt=after)).order_by("pk")
    long = [field for field in store.model._meta.concrete_fields if isinstance(field, LONG) and field.attname in store.columns]
    if long:
        rows = rows.filter(pk__in=_light(rows, long))
    return list(rows.values("pk", *store.columns)[:ROWS])


def _light(rows: Rows, long: Sequence[models.Field[Any, Any]]) -> list[Any]:
    """The keys of the first rows that hold no more than BYTES in these columns; of one at least."""
    lengths = [Length(Cast(field.name, models.TextField()) if isinstance(field, models.JSONField) else field.name) for field in long]
    size = sum((Coalesce(length, 0) for length in lengths), start=models.Value(0))
    keys: list[Any] = []
    room = BYTES
    for pk, weight in rows.annotate(page_weight=size).values_list("pk", "page_weight")[:ROWS]:
        room -= weight
        if keys and room < 0:
            break
        keys.append(pk)
    return keys


def _lines(rows: list[dict[str, Any]], *, first: bool) -> bytes:
    lines = b",\n".join(orjson.dumps(row, default=_plain, option=orjson.OPT_NON_STR_KEYS) for row in rows)
    return (b"\n" if first else b",\n") + lines


def _plain(value: Any) -> str:
    """Amounts as text, so that none is rounded; bytes in base64."""
    return base64.b64encode(bytes(value)).decode() if isinstance(value, bytes | memoryview) else str(value)


def _readme() -> str:
    words = _(
        "All that is stored about your account. Each file is one table: a JSON list with an object a row, in UTF-8.\n"
        "Times are UTC, amounts of money are text, binary data is base64. `manifest.json` counts the rows and says what each file is.\n\n"
        "Left out is what would open something for whoever finds this file: passwords, keys, tokens and second factors, "
        "and what stood in mails to you.\n"
    )
    return f"# TriForce · {FORMAT} {VERSION}\n\n{words}"
