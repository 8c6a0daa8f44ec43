"""Tries at guessing a password: counted before the password is looked at, so that parallel tries cannot slip by.

5 failures in 5 minutes an account and address, 10 a minute an address. What is counted knows no accounts, only what was
typed, so it tells nothing about which exist.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from accounts.address import network_of
from accounts.models import normalise_email
from billing import rates

PER_ADDRESS, ADDRESS_SECONDS = 10, 60
PER_ACCOUNT, ACCOUNT_SECONDS = 5, 300


@dataclass(frozen=True)
class Attempt:
    """One try under way; it counts as a failure until it is taken back."""

    keys: tuple[str, ...]

    def take_back(self) -> None:
        """It did not fail."""
        for key in self.keys:
            rates.give_back(key)


def attempt(login: str, address: str) -> Attempt:
    """Count a try to sign in as `login` from that address. Raises RateLimited."""
    network = network_of(address)
    # hashed: what people type here is sometimes their password
    typed = hashlib.sha256(normalise_email(login).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    detail = _("Too many failed sign-ins. Please wait a few minutes.")
    by_address, by_account = f"login:{network}", f"login:{network}:{typed}"
    rates.require(by_address, PER_ADDRESS, ADDRESS_SECONDS, detail=detail)
    rates.require(by_account, PER_ACCOUNT, ACCOUNT_SECONDS, detail=detail)
    return Attempt((by_address, by_account))


def second_factor_attempt(user_id: int) -> Attempt:
    """Count a try at that account's second factor, from wherever. Raises RateLimited."""
    key = f"login-code:{user_id}"
    rates.require(key, PER_ACCOUNT, ACCOUNT_SECONDS, detail=_("Too many failed sign-ins. Please wait a few minutes."))
    return Attempt((key,))
