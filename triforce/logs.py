"""No secret reaches a log: known shapes and the values of our own settings are blacked out on the way."""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import Any

from django.conf import settings

BLACK = "[redacted]"
_FORMATTER = logging.Formatter()

_SHAPES = re.compile(
    r"""
    (?P<keep>
        \bBearer\s+ | \bBasic\s+ |
        ://[^\s:/@]*:(?=[^\s/@]+@) |                                                      # a URL's password
        ["']?\b(?:pass(?:word|wd)?|client[_-]secret|x-api-key|api[_-]?key|secret|cookie|set-cookie)["']?\s*[:=]\s*["']?(?:b["'])? |
        [?&](?:key|token|access_token|code)=
    )
    [^\s"'@,;&]+
    | \btf_live_\w+
    | \b(?:sk|pk|rk|gsk|csk|xai|fw|tgp|AIza|whsec)[-_][\w-]{8,}
    | \bAIza[\w-]{20,}
    | \beyJ[\w-]+\.[\w-]+\.[\w-]+                                                         # a login token
    """,
    re.VERBOSE | re.IGNORECASE,
)


@cache
def _own_secrets() -> re.Pattern[str] | None:
    """The secrets in our settings, the longest first; None where there are none."""
    names = ("SECRET_KEY", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "TRUSTED_PROXY_SECRET", "EMAIL_HOST_PASSWORD")
    values = [str(getattr(settings, name, "") or "") for name in names]
    values += settings.PROVIDER_KEYS.values()
    values.append(str(settings.DATABASES["default"].get("PASSWORD") or ""))
    long_enough = sorted({value for value in values if len(value) >= 6}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, long_enough))) if long_enough else None


def redact(text: str) -> str:
    """The text without credentials, keys and passwords."""
    own = _own_secrets()
    if own is not None:
        text = own.sub(BLACK, text)
    return _SHAPES.sub(lambda found: f"{found['keep'] or ''}{BLACK}", text)


class RedactSecrets(logging.Filter):
    """Redacts a record's message, arguments, exception and stack. Lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = redact(self._message(record))
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = _FORMATTER.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True

    def _message(self, record: logging.LogRecord) -> str:
        try:
            return record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit: the message alone is worth more than nothing
            return _text(record.msg)


def _text(message: Any) -> str:
    return message if isinstance(message, str) else repr(message)
