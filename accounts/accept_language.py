"""In which language somebody is answered."""

from __future__ import annotations

from django.utils.translation.trans_real import parse_accept_lang_header


def api_language(accept_language: str) -> str:
    """English, unless the header prefers German."""
    for name, quality in parse_accept_lang_header(accept_language.lower()):
        language = name.partition("-")[0]
        if language in ("de", "en") and quality > 0:
            return language
    return "en"
