"""Bytes into lines and events, exact wherever the network cuts them: also inside a letter or between CR and LF.

Both splitters keep what came before an oversized line and then set `overflow`, so the text before it is not lost.
"""

from __future__ import annotations

LIMIT = 4 * 1024 * 1024  # bytes of one line or event


class LineSplitter:
    """Lines that end with LF (a CR before it is white space to JSON)."""

    __slots__ = ("_parts", "_size", "overflow")

    odd: bytes | None = None

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self.overflow = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their LF."""
        if self.overflow:
            return []
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._parts:
            self._parts.append(lines[0])
            lines[0] = b"".join(self._parts)
        if lines:
            self._parts, self._size = [], 0
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
        return self._checked(lines)

    def _checked(self, lines: list[bytes]) -> list[bytes]:
        for number, line in enumerate(lines):
            if len(line) > LIMIT:
                self.overflow = True
                return lines[:number]
        self.overflow = self._size > LIMIT
        return lines

    def close(self) -> bytes:
        """What stands after the last LF."""
        rest, self._parts, self._size = b"".join(self._parts), [], 0
        return rest


class EventSplitter:
    """The `data` of server-sent events. Comments, names, ids and retry times are left out; they tell nothing the data does not.

    `odd` is the first line that is no field of an event, or None: before any data it means that this is no event stream.
    """

    __slots__ = ("_cr", "_data", "_lines", "_size", "_stray", "odd", "overflow")

    def __init__(self) -> None:
        self._lines = LineSplitter()
        self._data: list[bytes] = []
        self._size = 0
        self._cr = False
        self._stray = True
        self.odd: bytes | None = None
        self.overflow = False

    def feed(self, data: bytes) -> list[bytes]:
        """The events' data that `data` completes."""
        if self._cr and data:
            data = data.removeprefix(b"\n")
            self._cr = False
        if b"\r" in data:
            self._cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        events: list[bytes] = []
        for line in self._lines.feed(data):
            if not self._take(line, events):
                return events
        self.overflow = self.overflow or self._lines.overflow
        return events

    def _take(self, line: bytes, events: list[bytes]) -> bool:
        if line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            self._data.append(value)
            self._size += len(value)
            self._stray = False
            self.overflow = self._size > LIMIT
        elif not line:
            if self._data:
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data, self._size = [], 0
        elif self._stray and not line.startswith((b":", b"event:", b"id:", b"retry:")):
            self.odd = line
            return False
        return not self.overflow

    def close(self) -> bytes:
        """The data of an event that its blank line never followed."""
        events: list[bytes] = []
        if rest := self._lines.close():
            self._take(rest, events)
        rest, self._data = b"\n".join(self._data), []
        return rest
