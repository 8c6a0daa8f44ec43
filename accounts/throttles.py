"""How often one caller may read. Model requests have a limit of their own, in llm."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.caller import Caller
from billing import rates


class ReadThrottle(BaseThrottle):
    """The tier's reads_per_minute, shared over all processes. Raises RateLimited."""

    def allow_request(self, request: Request, view: Any) -> bool:
        caller = request.auth
        if isinstance(caller, Caller):
            rates.require(f"reads:{caller.subject}", caller.tier.reads_per_minute)
        return True
