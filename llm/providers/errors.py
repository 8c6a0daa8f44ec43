"""What goes wrong upstream, as one kind of error.

UpstreamError           any failure of a provider: `code` says which, `retryable` whether asking again may help
├── IncompleteAnswer    the stream ended before its terminal event
└── InvalidAnswer       what came is not what this wire format says
UnsupportedRequest      a request that this wire format cannot carry; nothing was sent
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import orjson

MESSAGE_LENGTH = 200
LONGEST_WAIT = 86_400.0
RETRYABLE = frozenset({429, 502, 503, 504})

CODES = {
    400: "upstream_error",
    401: "unauthorized",
    402: "unauthorized",
    403: "unauthorized",
    404: "not_found",
    408: "timeout",
    410: "not_found",
    413: "context_length",
    429: "rate_limited",
    504: "timeout",
    524: "timeout",
}
SENTENCES = {
    "connect": "The provider cannot be reached.",
    "timeout": "The provider took too long.",
    "rate_limited": "The provider takes no more requests right now.",
    "unauthorized": "The provider did not accept our account.",
    "not_found": "The provider does not know this model.",
    "upstream_error": "The provider failed.",
    "invalid_answer": "The provider's answer makes no sense.",
    "incomplete": "The provider's answer broke off.",
    "content_filter": "The provider's content filter refused this request.",
    "context_length": "The request is too long for this model.",
}
NAMED = {  # what providers call the same thing inside a body
    "overloaded_error": 529,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "authentication_error": 401,
    "permission_error": 403,
    "billing_error": 402,
    "not_found_error": 404,
    "request_too_large": 413,
    "timeout_error": 504,
    "invalid_request_error": 400,
    "api_error": 500,
    "server_error": 500,
    "insufficient_quota": 429,
}
# Only asked where the status leaves it open. Ollama Cloud reports a full account in words alone.
WORDS = (
    ("rate_limited", re.compile(r"concurren\w* request|request slot|maximum pending requests|rate.?limit|too many requests", re.I)),
    ("context_length", re.compile(r"context.?(length|window|size)|maximum context|prompt is too long|too many (input )?tokens", re.I)),
    ("content_filter", re.compile(r"content.?filter|content.?policy|content management policy|responsible ai", re.I)),
)
SECRET = re.compile(
    r"(?i:bearer)\s+\S+"
    r"|(?i:[?&](?:key|api_?key|token|access_token)=)[^&\s]+"
    r"|\b(?:sk|pk|rk|gsk|csk|xai|fw|tgp|or|tf_live|ghp)[-_][\w*.-]{6,}"
    r"|\bAIza[\w-]{10,}"
    r"|\b(?=\w*\d)(?=\w*[A-Za-z])\w{32,}"
)
MARKUP = re.compile(r"<(script|style|head)\b.*?(?:</\1\s*>|\Z)|<!--.*?-->|<[^<>]*>", re.I | re.S)


class UpstreamError(Exception):
    """A provider's failure. `status` is its HTTP status, 0 where none came; `retry_after` in seconds.

    `message` is at most 200 characters, without markup and without anything that looks like a key.
    """

    code = "upstream_error"

    def __init__(
        self, code: str = "", message: str = "", *, status: int = 0, retry_after: float | None = None, retryable: bool | None = None
    ) -> None:
        self.code = code or self.code
        self.message = message[:MESSAGE_LENGTH] or SENTENCES.get(self.code, SENTENCES["upstream_error"])
        self.status = status
        self.retry_after = retry_after
        self.retryable = status in RETRYABLE if retryable is None else retryable
        super().__init__(self.message)


class IncompleteAnswer(UpstreamError):
    """The stream ended without its terminal event: what came is not the whole answer."""

    code = "incomplete"

    def __init__(self, message: str = "", *, status: int = 200) -> None:
        super().__init__(message=message, status=status)


class InvalidAnswer(UpstreamError):
    """A 200 that holds HTML, nothing, or anything else but an answer."""

    code = "invalid_answer"

    def __init__(self, message: str = "", *, status: int = 200) -> None:
        super().__init__(message=message, status=status)


class UnsupportedRequest(ValueError):
    """This wire format cannot say what the request asks; `field` names it. Another route may be able to."""

    code = "unsupported_request"

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


def classify(
    status: int, body: bytes | str = b"", headers: Mapping[str, str] | None = None, *, secrets: Iterable[str] = ()
) -> UpstreamError:
    """The error that an HTTP status with this body means. The status decides; the text only where it leaves it open.

    `secrets` are cut out of the message to the letter, besides whatever looks like a key.
    """
    return _error(status, _said(body), headers or {}, secrets)


def reported(error: Any, status: int = 200) -> UpstreamError:
    """The error that a provider reported inside its stream: a sentence, or {message, type, code}."""
    kind = error if isinstance(error, dict) else {}
    for name in (kind.get("code"), kind.get("status"), kind.get("type")):
        if isinstance(name, int) and 400 <= name <= 599:
            status = int(name)
            break
        if isinstance(name, str) and name in NAMED:
            status = NAMED[name]
            break
    return _error(status, _words(error), {}, ())


def _error(status: int, text: str, headers: Mapping[str, str], secrets: Iterable[str]) -> UpstreamError:
    code = CODES.get(status, "upstream_error")
    if code == "upstream_error":
        code = next((meant for meant, words in WORDS if words.search(text)), code)
    message = clean(text, secrets) or (f"The provider answered with HTTP {status}." if status >= 300 else "")
    retryable = status in RETRYABLE or code == "rate_limited"
    return UpstreamError(code, message, status=status, retry_after=retry_after(headers), retryable=retryable)


def _said(body: bytes | str) -> str:
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "replace")
    try:
        return _words(orjson.loads(raw))
    except orjson.JSONDecodeError:
        return raw[:4_096].decode("utf-8", "replace")


def _words(payload: Any) -> str:
    """The sentence in an error body, its code in front (`context_length_exceeded` says more than many a message)."""
    for _depth in range(4):
        if isinstance(payload, list) and payload:
            payload = payload[0]
        elif isinstance(payload, dict) and payload.get("error"):
            payload = payload["error"]
    if isinstance(payload, str):
        return payload
    if not isinstance(payload, dict):
        return ""
    words = payload.get("message") or payload.get("detail") or ""
    code = payload.get("code")
    text = words if isinstance(words, str) else ""
    return f"{code}: {text}" if isinstance(code, str) and code not in text else text


def clean(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` as one short line: no markup, no control characters, no secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[secret]")
    text = html.unescape(MARKUP.sub(" ", text[:4_096]))
    text = SECRET.sub("[secret]", MARKUP.sub(" ", text))
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= MESSAGE_LENGTH else text[: MESSAGE_LENGTH - 1] + "…"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as the provider's headers say, from 0 to a day; None where they say nothing usable."""
    milliseconds, value = headers.get("retry-after-ms"), headers.get("retry-after") or headers.get("Retry-After")
    try:
        if milliseconds:
            seconds = float(milliseconds) / 1000
        elif not value:
            return None
        elif value.strip()[:1].isalpha():
            seconds = parsedate_to_datetime(value).timestamp() - time()
        else:
            seconds = float(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT) if seconds == seconds else None
