"""Files that somebody asks about: images go to a model that can see, of anything else the text does."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.db.models import Sum
from django.utils.translation import gettext as _

from accounts.caller import Caller
from accounts.errors import Conflict
from billing import clock
from billing.errors import InvalidRequest
from billing.estimate import IMAGE_TOKENS, guess
from llm.extract import MOST_CHARACTERS, Unreadable, extract
from llm.models import Attachment

MOST_BYTES = 10 * 1024 * 1024
MOST_BYTES_OF_ALL = {True: 50 * 1024 * 1024, False: 500 * 1024 * 1024}  # of a guest's, of an account's
TEMPORARY = timedelta(minutes=50)  # past its last question; the sweep, which comes every five minutes, is done within the hour
UNUSED = timedelta(days=2)  # what was uploaded and never sent
IMAGES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF87a": "image/gif", b"GIF89a": "image/gif"}
MEDIA_TYPES = sorted({*IMAGES.values(), "image/webp"})
OFFICE = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}


def store(caller: Caller, name: str, content: bytes, *, temporary: bool = False) -> Attachment:
    """Keep a file; that of a temporary chat for less than an hour past its last question.

    Raises InvalidRequest where it cannot be read, Conflict where the caller's room is used up.
    """
    if not content:
        raise InvalidRequest(_("The file is empty."), field="file")
    if len(content) > MOST_BYTES:
        raise InvalidRequest(_("A file has at most %(most)d MB.") % {"most": MOST_BYTES // 1024**2}, field="file")
    kept = Attachment.objects.of(caller).aggregate(sum=Sum("size"))["sum"] or 0
    if kept + len(content) > MOST_BYTES_OF_ALL[caller.is_guest]:
        raise Conflict(_("Your room for files is used up. Delete chats that have some."))
    row = Attachment(
        user_id=caller.user_id, visitor=caller.visitor if caller.is_guest else "", name=_clean(name), size=len(content), created=clock.now()
    )
    row.expires = row.created + TEMPORARY if temporary else None
    row.media_type = _image_type(content)
    if row.media_type:
        row.kind, row.image, row.tokens = Attachment.Kind.IMAGE, content, IMAGE_TOKENS
    else:
        row.kind = Attachment.Kind.TEXT
        row.media_type, row.text = _text_of(name, content)
        row.tokens = guess(row.text)
    row.save()
    return row


def put_off(caller: Caller, ids: Collection[UUID]) -> None:
    """These are asked about in a temporary chat: they expire later."""
    Attachment.objects.of(caller).filter(pk__in=ids, expires__isnull=False).update(expires=clock.now() + TEMPORARY)


def purge_expired() -> int:
    """Forget what was uploaded for temporary chats that are over. Returns how many."""
    return Attachment.objects.filter(expires__lt=clock.now()).delete()[0]


def purge_unused() -> int:
    """Forget what was never sent. Returns how many."""
    return Attachment.objects.filter(turns=None, created__lt=clock.now() - UNUSED).delete()[0]


def _clean(name: str) -> str:
    """A file's name without its path, and without what would make two lines or other directions of one."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    plain = "".join(character for character in base if unicodedata.category(character)[0] != "C").replace('"', "'")
    return plain[-200:] or "file"


def _image_type(content: bytes) -> str:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((media_type for start, media_type in IMAGES.items() if content.startswith(start)), "")


def _text_of(name: str, content: bytes) -> tuple[str, str]:
    """(media type, text)"""
    extension = name.rsplit(".", 1)[-1].lower()
    try:
        if content.startswith(b"%PDF-"):
            media_type, text = "application/pdf", extract("pdf", content)
        elif content.startswith(b"PK\x03\x04") and extension in OFFICE:
            media_type, text = OFFICE[extension], extract(extension, content)
        else:
            media_type, text = "text/plain", _decoded(content)
    except Unreadable:
        raise InvalidRequest(_("This file cannot be read: it is broken, locked by a password, or of another kind."), field="file") from None
    text = text.replace("\x00", "")
    if not text.strip():
        raise InvalidRequest(_("There is no text in this file; a scan would have to be sent as images."), field="file")
    if len(text) > MOST_CHARACTERS:
        raise InvalidRequest(_("A file may hold at most %(most)d characters of text.") % {"most": MOST_CHARACTERS}, field="file")
    return media_type, text


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    if b"\x00" in content[:8192]:
        raise Unreadable
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")
