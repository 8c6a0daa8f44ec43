"""How static files are named, compressed and sent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from django.http import HttpRequest
from servestatic.middleware import AsyncServeStaticFileResponse, ServeStaticMiddleware
from servestatic.responders import Redirect, StaticFile
from servestatic.storage import CompressedManifestStaticFilesStorage

PIECE = 256 * 1024  # bytes read at once: all but a few files in one go


class ModuleStorage(CompressedManifestStaticFilesStorage):
    """Hashed names inside JavaScript modules, too: an import leads to the version it was written for."""

    support_js_module_import_aggregation = True
    max_post_process_passes = 20  # a pass settles one step of a chain of imports


class StaticFilesMiddleware(ServeStaticMiddleware):
    """ServeStatic, reading so that a client may leave at any moment.

    ServeStatic holds a file open from piece to piece and closes it in a thread of its own. A browser that goes to the next page
    cancels the answer, and the file then stays open until it is collected, with an error in the log.
    """

    @staticmethod
    async def aserve(static_file: StaticFile | Redirect, request: HttpRequest) -> AsyncServeStaticFileResponse:
        response = await ServeStaticMiddleware.aserve(static_file, request)
        if request.method == "GET" and response.status_code in (200, 206) and isinstance(static_file, StaticFile):
            path, _headers = static_file.get_path_and_headers(request.META)
            part = re.match(r"bytes (\d+)-", response.get("Content-Range", ""))
            start = int(part[1]) if part else 0
            response.streaming_content = pieces(path, start, start + int(response["Content-Length"]))
        return response


async def pieces(path: str, start: int, end: int) -> AsyncIterator[bytes]:
    """The bytes of a file from `start` up to `end`. The file is open only while a thread reads a piece."""
    while start < end and (piece := await asyncio.to_thread(_read, path, start, min(PIECE, end - start))):
        start += len(piece)
        yield piece


def _read(path: str, start: int, size: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(start)
        return file.read(size)
