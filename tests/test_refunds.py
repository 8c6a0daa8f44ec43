"""Money that goes back: all of a period's payments, by a hand that sees the sums first, and what broke off can be finished."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry

from accounts.models import User
from billing import refunds
from billing.models import Subscription, Tier
from billing.stripe_api import client, plain
from billing.tiers import tier_for
from tests.fakes.stripe import Simulator
from tests.simulated import simulator
from tests.staff import staff_client
from tests.test_subscriptions import press, subscribe

__all__ = ["simulator"]
PAGE = "/admin/billing/subscription/"


def charges() -> list[dict[str, Any]]:
    """Oldest first."""
    return [plain(one) for one in client().charges.list({"limit": 100})][::-1]


@pytest.fixture
def upgraded(simulator: Simulator, make_user: Callable[..., User]) -> Subscription:
    """Two payments within one period: 18.99 and about 41."""
    user = make_user()
    subscribe(simulator, user)
    return press(simulator, user, "enterprise", "month")


def test_a_withdrawal_after_an_upgrade_gives_all_of_it_back(upgraded: Subscription) -> None:
    owed = [payment.left for payment in refunds.refundable(upgraded)]
    assert sum(owed) == pytest.approx(Decimal("59.99"), abs=Decimal("0.02")) and len(owed) == 2
    told: list[Decimal] = []
    back = refunds.refund_and_end(upgraded, lambda payment: told.append(payment.left))
    assert [payment.left for payment in back] == told == owed
    assert all(charge["refunded"] for charge in charges())
    assert refunds.refund_and_end(upgraded) == []
    assert tier_for(upgraded.user).slug == "registered"


def test_a_goodwill_refund_of_the_upgrade_alone_ends_nothing(simulator: Simulator, upgraded: Subscription) -> None:
    first, second = (charge["id"] for charge in charges())
    simulator.control("refund", charge=second)
    simulator.settle()
    upgraded.refresh_from_db()
    assert upgraded.status == "active"
    simulator.control("refund", charge=first)
    simulator.settle()
    upgraded.refresh_from_db()
    assert upgraded.status == "canceled"


def test_after_the_withdrawal_time_only_the_running_period_goes_back(simulator: Simulator, make_user: Callable[..., User]) -> None:
    row = subscribe(simulator, make_user())
    simulator.move_clock(past_period_end=True)
    simulator.settle()
    assert len(refunds.refund_and_end(row)) == 1
    assert [charge["refunded"] for charge in charges()] == [False, True]


def test_what_broke_off_is_finished_by_asking_once_more(
    simulator: Simulator, upgraded: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator.mode("drop")
    client().refunds.create({"charge": charges()[0]["id"]})  # at Stripe, by hand
    monkeypatch.setattr(refunds, "_payments", lambda *found: iter(_as_if_unpaid(list(_was(*found)))))
    assert len(refunds.refund_and_end(upgraded)) == 1
    upgraded.refresh_from_db()
    assert upgraded.status == "canceled" and all(charge["refunded"] for charge in charges())


_was = refunds._payments


def _as_if_unpaid(payments: list[refunds.Payment]) -> list[refunds.Payment]:
    """As they stood before somebody else refunded one."""
    return [refunds.Payment(payment.intent, Decimal("18.99"), payment.currency) for payment in payments]


# -- the page of the administration -------------------------------------------------------------------------------------


def asked(row: Subscription, **more: str) -> dict[str, str]:
    return {"action": "refund_and_end", "_selected_action": str(row.pk), "index": "0", **more}


def shown(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def test_the_sums_are_shown_and_a_reason_asked_for_before_anything_goes(upgraded: Subscription) -> None:
    browser = staff_client("billing")
    page = shown(browser.post(PAGE, asked(upgraded), headers={"accept-language": "en"}))
    assert "59.99 EUR" in page or "60.00 EUR" in page or "59.98 EUR" in page
    assert 'name="reason"' in shown(browser.post(PAGE, asked(upgraded, confirmed="yes", reason="")))
    assert not any(charge["refunded"] for charge in charges()) and not LogEntry.objects.filter(change_message__contains="refunded").exists()
    answer = browser.post(PAGE, asked(upgraded, confirmed="yes", reason="They withdrew."), follow=True, headers={"accept-language": "en"})
    assert "refunded, and ended" in shown(answer)
    noted = " ".join(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))
    assert noted.count('"refunded"') >= 2 and "They withdrew." in noted and "18.99 EUR" in noted
    assert all(charge["refunded"] for charge in charges())


def test_what_has_ended_is_left_alone(upgraded: Subscription) -> None:
    client().subscriptions.cancel(upgraded.stripe_id)
    Subscription.objects.update(status="canceled")
    page = shown(
        staff_client("billing").post(PAGE, asked(upgraded, confirmed="yes", reason="x"), follow=True, headers={"accept-language": "en"})
    )
    assert "None of them runs at Stripe" in page
    assert not any(charge["refunded"] for charge in charges())


@pytest.mark.django_db
def test_who_may_refund(make_user: Callable[..., User]) -> None:
    Subscription.objects.create(user=make_user(), tier=Tier.objects.get(slug="pro"))
    may = {role for role in ("support", "billing", "operator") if 'value="refund_and_end"' in shown(staff_client(role).get(PAGE))}
    assert may == {"billing", "operator"}
