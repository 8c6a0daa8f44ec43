"""The text of a file, in a process of its own: what is uploaded may be made to crash, to hang or to fill the memory.

As a program: python -I extract.py pdf|docx|xlsx|pptx < file > text. Imports nothing of ours.
"""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator

CPU_SECONDS = 20
MEMORY_BYTES = 1024 * 1024 * 1024
MOST_UNPACKED = 200 * 1024 * 1024
MOST_CHARACTERS = 1_000_000  # a little more is given, so that the caller sees that it is too much


class Unreadable(Exception):
    """The file is broken, encrypted, too large or not what it says it is."""


def extract(kind: str, content: bytes) -> str:
    """The text of a PDF or Office file. Raises Unreadable."""
    try:
        done = subprocess.run([sys.executable, "-I", __file__, kind], input=content, capture_output=True, timeout=2 * CPU_SECONDS)
    except subprocess.TimeoutExpired:
        raise Unreadable from None
    if done.returncode:
        raise Unreadable
    return done.stdout.decode("utf-8", "replace").strip()


def _pdf(content: bytes) -> Iterator[str]:
    from pypdf import PdfReader

    for page in PdfReader(io.BytesIO(content)).pages:
        yield page.extract_text()


def _docx(content: bytes) -> Iterator[str]:
    from docx import Document
    from docx.table import Table

    for block in Document(io.BytesIO(content)).iter_inner_content():
        if isinstance(block, Table):
            for row in block.rows:
                yield "\t".join(cell.text for cell in row.cells)
        else:
            yield block.text


def _xlsx(content: bytes) -> Iterator[str]:
    from openpyxl import load_workbook

    for sheet in load_workbook(io.BytesIO(content), read_only=True, data_only=True).worksheets:
        yield f"# {sheet.title}"
        for row in sheet.iter_rows(values_only=True):
            if any(value is not None for value in row):
                yield "\t".join("" if value is None else str(value) for value in row)


def _pptx(content: bytes) -> Iterator[str]:
    from pptx import Presentation

    for number, slide in enumerate(Presentation(io.BytesIO(content)).slides, start=1):
        yield f"# {number}"
        for shape in slide.shapes:
            if shape.has_text_frame:
                yield shape.text_frame.text


READERS: dict[str, Callable[[bytes], Iterator[str]]] = {"pdf": _pdf, "docx": _docx, "xlsx": _xlsx, "pptx": _pptx}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    kind, content = sys.argv[1], sys.stdin.buffer.read()
    if kind != "pdf" and sum(part.file_size for part in zipfile.ZipFile(io.BytesIO(content)).infolist()) > MOST_UNPACKED:
        sys.exit(1)
    left = MOST_CHARACTERS + 1
    for text in READERS[kind](content):
        sys.stdout.buffer.write((text[:left] + "\n").encode("utf-8", "replace"))
        left -= len(text)
        if left <= 0:
            break


if __name__ == "__main__":
    main()
