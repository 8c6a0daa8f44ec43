"""The id of a request, which is its receipt's too."""

from __future__ import annotations

import base64
import secrets


def new_request_id() -> str:
    """`req_` and 26 characters of base32: 128 random bits."""
    return f"req_{base64.b32encode(secrets.token_bytes(16))[:26].decode().lower()}"
