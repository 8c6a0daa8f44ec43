"""An invoice as a small PDF: one page of text, written by hand, for it has no other form."""

from __future__ import annotations

from collections.abc import Iterable

WIDTH, HEIGHT, MARGIN, LEADING = 595, 842, 56, 16  # points, A4


def document(title: str, left_and_right: Iterable[tuple[str, str]]) -> bytes:
    """A PDF with a title and lines of two columns; what does not fit on the page is left out."""
    place = HEIGHT - MARGIN
    commands = [_text(MARGIN, place, title, size=18, bold=True)]
    place -= 2 * LEADING
    for left, right in left_and_right:
        place -= LEADING
        if place < MARGIN:
            break
        commands += [_text(MARGIN, place, left), _text(WIDTH - MARGIN - 5.2 * len(right), place, right)]
    stream = "\n".join(commands).encode("cp1252", "replace")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 6 0 R /Resources << /Font << /F1 4 0 R /F2 5 0 R >> >> >>"
        % (WIDTH, HEIGHT),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    return _file(objects)


def _text(x: float, y: float, text: str, size: int = 10, bold: bool = False) -> str:
    escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return f"BT /F{2 if bold else 1} {size} Tf {x:.1f} {y:.1f} Td ({escaped}) Tj ET"


def _file(objects: list[bytes]) -> bytes:
    body, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return body + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        size,
        table,
        size,
        len(body),
    )
