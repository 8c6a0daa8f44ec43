"""Guests in a browser: the signed cookie, and what goes along when they sign in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from accounts.models import User
from accounts.visitors import COOKIE, signed, visitor_of
from billing import clock, quota
from billing.models import UsageDay, UsageEvent
from billing.quota import Holder, Settlement
from billing.visitors import carry_over

VISITOR = "cd" * 16
GUEST = Holder("guest:here", None, "guest", 50_000, visitor=VISITOR)


def used(charged: int, holder: Holder = GUEST) -> UsageEvent:
    asked = {"usage_class": "cloud", "input_bound": 500, "output": 500, "entry_point": "t", "model": "m"}
    held = quota.reserve(request_id=f"{charged}_{holder.visitor}", holder=holder, **asked)
    quota.settle(held.request_id, Settlement(state="settled", rule="answered", charged=charged))
    return UsageEvent.objects.get(request_id=held.request_id)


def test_only_a_cookie_that_we_signed_says_who() -> None:
    assert visitor_of({COOKIE: signed(VISITOR)}) == VISITOR
    for forged in ("", VISITOR, f"{VISITOR}:x", signed(VISITOR)[:-1], signed(VISITOR).replace("c", "d", 1)):
        assert visitor_of({COOKIE: forged}) == ""
    assert visitor_of({}) == ""


@pytest.mark.django_db
def test_a_guests_day_goes_along_once(make_user: Callable[..., User]) -> None:
    user = make_user()
    used(300), used(200), used(70, Holder("guest:here", None, "guest", 50_000, visitor="ef" * 16))
    UsageEvent.objects.filter(charged=200).update(day=clock.now().date() - timedelta(days=1))
    assert carry_over(VISITOR, account_id=user.pk, subject=user.subject, tier="registered") == 300
    assert carry_over(VISITOR, account_id=user.pk, subject=user.subject, tier="registered") == 0
    day = UsageDay.objects.get(subject=user.subject)
    assert (day.used, day.reserved) == (300, 0)
    receipt = UsageEvent.objects.get(rule="carried_over")
    assert (receipt.account, receipt.charged, receipt.state) == (user, 300, "settled")
    assert UsageDay.objects.get(subject="guest:here").used == 570  # others may be behind that address
    assert set(UsageEvent.objects.filter(account=user).exclude(pk=receipt.pk).values_list("charged", flat=True)) == {300, 200}


@pytest.mark.django_db
def test_what_still_runs_is_not_carried(make_user: Callable[..., User]) -> None:
    user = make_user()
    quota.reserve(request_id="open", holder=GUEST, usage_class="cloud", input_bound=1, output=9, entry_point="t", model="m")
    assert carry_over(VISITOR, account_id=user.pk, subject=user.subject, tier="registered") == 0
    assert UsageEvent.objects.get().visitor == VISITOR
