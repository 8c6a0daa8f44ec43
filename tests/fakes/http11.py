"""As much of HTTP/1.1 as a provider needs: requests out of a buffer, heads of responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class Request:
    """`headers` by their names in lower case; `path` without the query."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    content: bytes


def take(buffer: bytearray) -> Request | None:
    """The first request, removed from the buffer; None while it is not whole. Raises ValueError for what is no HTTP."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = buffer[:end].decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    method, target, _ = first.split(" ")
    found = _content(buffer, end + 4, headers)
    if found is None:
        return None
    content, used = found
    del buffer[:used]
    path, _, query = target.partition("?")
    return Request(method, path, query, headers, content)


def _content(buffer: bytearray, start: int, headers: Mapping[str, str]) -> tuple[bytes, int] | None:
    """The body and where it ends."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _dechunked(buffer, start)
    end = start + int(headers.get("content-length", 0))
    return (bytes(buffer[start:end]), end) if len(buffer) >= end else None


def _dechunked(buffer: bytearray, place: int) -> tuple[bytes, int] | None:
    content = bytearray()
    while (end := buffer.find(b"\r\n", place)) >= 0:
        size = int(buffer[place:end].split(b";")[0], 16)
        place = end + 2 + size + 2
        if len(buffer) < place:
            return None
        if not size:
            return bytes(content), place
        content += buffer[end + 2 : end + 2 + size]
    return None


def response_head(status: int, content_type: str, length: int | None, headers: Mapping[str, str]) -> bytes:
    """Up to the empty line. No length means chunked; `headers` win."""
    framing = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    fields = {"Content-Type": content_type, **framing, **headers}
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode()
