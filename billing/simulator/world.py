"""The simulated Stripe account: its objects, its clock, and the events that tell of each change."""

from __future__ import annotations

import copy
import secrets
import string
import time
from typing import Any

from billing.simulator.errors import ApiError, missing
from billing.simulator.store import Object, Store

API_VERSION = "2026-08-26.dahlia"
ALPHABET = string.ascii_letters + string.digits
SETTINGS: Object = {
    "id": "settings",
    "offset": 0,  # seconds that the clock is ahead of the wall's
    "mode": "normal",
    "delay": 0.0,  # seconds
    "faults": [],  # of the next API calls
    "charges": [],  # outcomes of the next charges
    "dunning_ends": "cancel",  # or unpaid, past_due
    "expired_keys": [],  # that the API takes no longer
}


def new_id(prefix: str, length: int = 24) -> str:
    return f"{prefix}_{''.join(secrets.choice(ALPHABET) for _ in range(length))}"


def listing(data: list[Object], url: str, **more: Any) -> Object:
    """Stripe's list object, complete in one page."""
    return {"object": "list", "data": data, "has_more": False, "url": url, **more}


def render(value: Any) -> Any:
    """A copy without what the simulator keeps to itself: names that start with _."""
    if isinstance(value, dict):
        return {name: render(found) for name, found in value.items() if not name.startswith("_")}
    return [render(found) for found in value] if isinstance(value, list) else value


def no_request() -> Object:
    """What an event names as its cause when no call of the API was."""
    return {"id": None, "idempotency_key": None}


class World:
    """All state, and nothing of HTTP. `origin` is where the pages are, like http://127.0.0.1:9001."""

    def __init__(self, store: Store, origin: str, webhook_secret: str = "", return_origin: str = "") -> None:
        self.store, self.origin, self.webhook_secret, self.return_origin = store, origin, webhook_secret, return_origin
        self.moment: int | None = None  # the time that a due job belongs to
        self.request = no_request()
        if not store.peek("_settings", "settings"):
            store.add("_settings", copy.deepcopy(SETTINGS))
        if not next(store.all("account"), None):
            store.add("account", _account(self.now()))
        store.commit()

    @property
    def settings(self) -> Object:
        found = self.store.get("_settings", "settings")
        assert found
        return found

    @property
    def account(self) -> Object:
        return next(self.store.all("account"))

    def now(self, customer: str | None = None) -> int:
        """The simulated time in Unix seconds; a customer of a test clock has that clock's."""
        if self.moment is not None:
            return self.moment
        owner = self.store.peek("customer", customer) if customer else None
        if owner and owner["test_clock"]:
            return int(self.get("test_helpers.test_clock", owner["test_clock"])["frozen_time"])
        return int(time.time()) + int((self.store.peek("_settings", "settings") or SETTINGS)["offset"])

    def get(self, kind: str, id: str, param: str = "id") -> Object:
        """The object, to be changed at will. Raises ApiError resource_missing."""
        if found := self.store.get(kind, id):
            return found
        raise missing(kind, id, param)

    def add(self, made: Object) -> Object:
        return self.store.add(made["object"], made)

    def emit(self, kind: str, about: Object, previous: Object | None = None) -> None:
        """Note an event of this type, with the object as it is now."""
        data = {"object": render(about)}
        if previous is not None:
            data["previous_attributes"] = render(previous)
        self.add(
            {
                "id": new_id("evt"),
                "object": "event",
                "api_version": API_VERSION,
                "created": self.now(about.get("customer") if isinstance(about.get("customer"), str) else None),
                "data": data,
                "livemode": False,
                "pending_webhooks": len(self.store.where("webhook_endpoint", status="enabled")),
                "request": self.request,
                "type": kind,
            }
        )

    def changed(self, kind: str, about: Object, before: Object) -> None:
        """Note an update with the former values of what differs; nothing where nothing does."""
        old, new = render(before), render(about)
        previous = {name: old.get(name) for name in new if old.get(name) != new[name]}
        if previous:
            self.emit(kind, about, previous)

    def check_return(self, url: str, param: str) -> str:
        """The address that a page goes back to. Raises ApiError where it is none, or not the application's."""
        if not url.startswith(("http://", "https://")):
            raise ApiError("Not a valid URL", code="url_invalid", param=param)
        if self.return_origin and not f"{url}/".startswith(f"{self.return_origin}/"):
            raise ApiError(f"The simulator only leads back to {self.return_origin}, not to {url}.", code="url_invalid", param=param)
        return url


def _account(created: int) -> Object:
    return {
        "id": new_id("acct", 16),
        "object": "account",
        "business_profile": {"name": "TriForce (simulated)", "support_email": None, "url": None, "mcc": None},
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "country": "DE",
        "created": created,
        "default_currency": "eur",
        "details_submitted": True,
        "email": None,
        "metadata": {},
        "payouts_enabled": True,
        "settings": {
            "branding": {"icon": None, "logo": None, "primary_color": None},
            "dashboard": {"display_name": "TriForce (simulated)", "timezone": "Etc/UTC"},
        },
        "type": "standard",
    }
