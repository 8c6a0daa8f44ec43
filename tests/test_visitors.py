"""Guests in a browser: the signed cookie, and what goes along when they sign in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from accounts.models import User
from accounts.visitors import COOKIE, signed, visitor_of
from billing import clock, quota
from billing.audit import differences
from billing.models import Tier, UsageDay, UsageEvent
from billing.quota import Holder, Settlement
from billing.visitors import carry_over
from llm.adoption import adopt

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
@pytest.mark.parametrize(("tier", "counted"), [("registered", {"cloud": 300}), ("pro", {"cloud": 100, "unlimited": 200})])
def test_what_the_tier_does_not_limit_goes_along_without_a_limit(
    make_user: Callable[..., User], tier: str, counted: dict[str, int]
) -> None:
    user = make_user(tier)
    used(100), used(200)
    UsageEvent.objects.filter(charged=100).update(served_model="openai/gpt-test")
    UsageEvent.objects.filter(charged=200).update(served_model="ollama/gpt-oss:120b-cloud")
    adopt(VISITOR, user)
    assert {row.usage_class: row.used for row in UsageDay.objects.filter(subject=user.subject)} == counted
    assert differences(clock.now().date()) == []


@pytest.mark.django_db
def test_what_goes_along_passes_no_limit(make_user: Callable[..., User]) -> None:
    user, limit = make_user(), Tier.objects.get(slug="registered").daily_tokens
    quota.reserve(
        request_id="own", holder=Holder(user.subject, user.pk, "registered", limit), usage_class="cloud", input_bound=1, output=limit - 201,
        entry_point="t", model="m",
    )  # fmt: skip
    used(300)
    assert carry_over(VISITOR, account_id=user.pk, subject=user.subject, tier="registered") == 200
    day, receipt = UsageDay.objects.get(subject=user.subject), UsageEvent.objects.get(rule="carried_over")
    assert (day.used + day.reserved, receipt.reserved, receipt.charged) == (limit, 300, 200)


@pytest.mark.django_db
def test_an_account_that_is_proven_counts_itself_from_then_on(make_user: Callable[..., User]) -> None:
    user = make_user()
    used(300, Holder("guest:here", user.pk, "guest", 50_000, visitor=user.subject))
    user.trust_email()
    assert UsageDay.objects.get(subject=user.subject).used == 300
    user.trust_email()
    assert UsageDay.objects.get(subject=user.subject).used == 300


@pytest.mark.django_db
def test_what_still_runs_is_not_carried(make_user: Callable[..., User]) -> None:
    user = make_user()
    quota.reserve(request_id="open", holder=GUEST, usage_class="cloud", input_bound=1, output=9, entry_point="t", model="m")
    assert carry_over(VISITOR, account_id=user.pk, subject=user.subject, tier="registered") == 0
    assert UsageEvent.objects.get().visitor == VISITOR
