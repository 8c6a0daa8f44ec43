"""A mail in both forms: text for every reader, HTML for those that show it. Both say the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation

from billing import outbox


def language_of(user: Any) -> str:
    """The language that somebody's mails are in."""
    return user.language or settings.LANGUAGE_CODE


def write(
    to: str,
    *,
    subject: str,
    paragraphs: Sequence[str],
    dedupe: str,
    label: str = "",
    path: str = "",
    link: str = "",
    fine_print: Sequence[str] = (),
) -> None:
    """Post a mail in the language that is active. `label` stands on the button that leads to `link`, or to our own page at `path`."""
    link = link or (settings.PUBLIC_URL + path if path else "")
    told = [*paragraphs, *([f"{label}: {link}"] if link else []), *(f"--\n{words}" for words in fine_print)]
    context = {
        "language": translation.get_language(),
        "subject": subject,
        "paragraphs": paragraphs,
        "label": label,
        "link": link,
        "fine_print": fine_print,
    }
    outbox.post(to, subject, "\n\n".join(told) + "\n", dedupe, html=render_to_string("mail/letter.html", context))
