"""Static files: hashed names that also hold inside JavaScript modules, a first load that stays small, and clients that leave."""

from __future__ import annotations

import asyncio
import gzip
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from triforce import static_files
from triforce.asgi import application

FIRST_LOAD = 200_000  # bytes, compressed
LATER = ("highlight", "katex")  # loaded where an answer has code or formulas


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from django.test import override_settings

    folder = tmp_path_factory.mktemp("static")
    storages: dict[str, Any] = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "triforce.static_files.ModuleStorage"},
    }
    with override_settings(STATIC_ROOT=folder, STORAGES=storages):
        call_command("collectstatic", interactive=False, verbosity=0)
    return folder


def hashed(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.js") if re.search(r"\.[0-9a-f]{12}\.js$", path.name)]


def test_an_import_leads_to_the_version_it_was_written_for(collected: Path) -> None:
    modules = hashed(collected / "chat")
    assert len(modules) > 30
    imports = [(path, found) for path in modules for found in re.findall(r'(?:from|import)\s*\(?"(\.[^"]+)"', path.read_text())]
    assert len(imports) > 60
    for path, name in imports:
        assert re.search(r"\.[0-9a-f]{12}\.js$", name), f"{path.name} imports {name}"
        assert (path.parent / name).resolve().exists()


def test_the_first_load_of_the_chat_is_small(collected: Path) -> None:
    files = hashed(collected / "chat") + [path for path in hashed(collected / "vendor") if not any(one in str(path) for one in LATER)]
    files += [path for path in collected.rglob("*.css") if re.search(r"(chat|base|tokens)\.[0-9a-f]{12}\.css$", path.name)]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < FIRST_LOAD


CSS = "/static/triforce/base.css"


async def ask(
    method: str = "GET", headers: dict[str, str] | None = None, leave: threading.Event | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Ask the application for a file, by a client that goes away once `leave` is set."""
    sent: list[Any] = []
    requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        if request := next(requests, None):
            return request
        await (asyncio.to_thread(leave.wait) if leave else asyncio.Event().wait())
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    named = [(name.lower().encode(), value.encode()) for name, value in {"Host": "localhost", **(headers or {})}.items()]
    scope = {"type": "http", "http_version": "1.1", "method": method, "path": CSS, "query_string": b"", "headers": named}
    await application(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}, body


def test_a_file_is_sent_whole_in_part_or_not_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_files, "PIECE", 1000)
    whole = (settings.BASE_DIR / "triforce/static/triforce/base.css").read_bytes()

    status, headers, body = asyncio.run(ask())
    assert (status, body) == (200, whole)
    assert headers["content-type"].startswith("text/css") and headers["content-length"] == str(len(whole))

    status, ranged, body = asyncio.run(ask(headers={"Range": "bytes=500-2499"}))
    assert (status, body, ranged["content-range"]) == (206, whole[500:2500], f"bytes 500-2499/{len(whole)}")
    assert asyncio.run(ask(headers={"Range": "bytes=-7"}))[2] == whole[-7:]
    assert asyncio.run(ask(headers={"Range": f"bytes={len(whole)}-"}))[::2] == (416, b"")

    status, headers, body = asyncio.run(ask("HEAD"))
    assert (status, headers["content-length"], body) == (200, str(len(whole)), b"")
    assert asyncio.run(ask(headers={"If-None-Match": headers["etag"]}))[::2] == (304, b"")
    assert asyncio.run(ask("POST"))[0] == 405


@pytest.mark.parametrize("at", [1, 2])
def test_a_client_may_leave_while_a_piece_is_read(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    leave = threading.Event()

    def slowly(*where: Any) -> Any:
        if len(opened) + 1 == at:
            leave.set()
            time.sleep(0.1)  # the answer is cancelled before the file is open
        file = open(*where)  # noqa: SIM115
        opened.append(file)
        return file

    monkeypatch.setattr(static_files, "PIECE", 1000)
    monkeypatch.setattr(static_files, "open", slowly, raising=False)
    _status, headers, body = asyncio.run(ask(leave=leave))
    assert len(body) < int(headers["content-length"])
    assert len(opened) >= at
    assert all(file.closed for file in opened)
