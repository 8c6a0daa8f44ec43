"""The mails of a subscription: what is written follows from how its row changed, once, as text and as HTML."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail

from accounts.models import User
from billing import clock, letters, mails, outbox
from billing.models import Invoice, OutboxMail, Subscription, Tier

pytestmark = pytest.mark.django_db


@dataclasses.dataclass
class Life:
    """A subscription that changes, step by step."""

    row: Subscription

    def becomes(self, **changes: Any) -> list[str]:
        """The subjects of the mails that a change posts; the same change twice posts none the second time."""
        known = set(OutboxMail.objects.values_list("pk", flat=True))
        before = Subscription.objects.filter(pk=self.row.pk).first()
        for name, value in changes.items():
            setattr(self.row, name, value)
        self.row.save()
        for _twice in range(2):
            mails.announce(before, self.row)
        mails.announce(self.row, self.row)
        return list(OutboxMail.objects.exclude(pk__in=known).order_by("pk").values_list("subject", flat=True))


@pytest.fixture
def life(make_user: Callable[..., User]) -> Life:
    ends = clock.now() + timedelta(days=30)
    row = Subscription(
        user=make_user(language="en"), tier=Tier.objects.get(slug="pro"), source=Subscription.Source.STRIPE, stripe_id="sub_1",
        interval="month", amount=Decimal("18.99"), currency="eur", period_ends_at=ends, ends_at=ends, price_id="price_1",
    )  # fmt: skip
    return Life(row)


def test_each_turn_is_told_once(life: Life) -> None:
    assert life.becomes(status="active") == ["Welcome to Pro"]
    assert "nothing" not in OutboxMail.objects.get().body and "discount" not in OutboxMail.objects.get().body
    assert life.becomes(status="past_due") == ["Your payment for Pro failed"]
    assert life.becomes(status="active") == []
    assert life.becomes(tier=Tier.objects.get(slug="enterprise"), interval="year") == ["Your plan is now Unlimited, yearly"]
    assert [subject[:18] for subject in life.becomes(cancel_at_period_end=True)] == ["Unlimited ends on "]
    assert life.becomes(cancel_at_period_end=False) == []
    again = life.becomes(cancel_at_period_end=True, cancelled_at=clock.now())
    assert [subject[:18] for subject in again] == ["Unlimited ends on "]
    assert life.becomes(status="canceled") == ["Unlimited has ended"]


def test_what_never_began_is_not_mourned(life: Life) -> None:
    assert life.becomes(status="incomplete") == []
    assert life.becomes(status="incomplete_expired") == []


def test_a_cancellation_while_a_payment_is_missing_is_told_too(life: Life) -> None:
    life.becomes(status="past_due")
    assert life.becomes(cancel_at_period_end=True) == ["Pro is cancelled"]
    assert "still open" in OutboxMail.objects.get(subject="Pro is cancelled").body


def test_the_welcome_says_what_a_trial_and_a_discount_change(life: Life) -> None:
    life.becomes(status="trialing")
    assert "it costs nothing" in OutboxMail.objects.get().body
    OutboxMail.objects.all().delete()
    life.row.status = "active"
    mails.announce(None, life.row, is_discounted=True)
    assert "Your discount" in OutboxMail.objects.get().body


def test_a_mail_says_the_same_as_text_and_as_html(life: Life) -> None:
    life.becomes(status="active")
    assert outbox.send_due() == 1
    message: Any = mail.outbox[0]
    html, kind = message.alternatives[0]
    assert kind == "text/html" and '<html lang="en">' in html
    for words in ("has begun", "18.99 EUR", "monthly", "/account/billing"):
        assert words in message.body and words in html
    sent = OutboxMail.objects.get()
    assert (sent.body, sent.html) == ("", "")


def test_what_stands_in_a_mail_is_text(make_user: Callable[..., User]) -> None:
    letters.write("a@example.org", subject="<b>", paragraphs=["<script>alert(1)</script>"], fine_print=["<i>"], dedupe="x")
    html = OutboxMail.objects.get().html
    assert "<script>" not in html and "&lt;script&gt;" in html and "<i>" not in html


def test_a_receipt_names_the_vat(make_user: Callable[..., User]) -> None:
    user = make_user(language="en")
    paid = Invoice.objects.create(
        stripe_id="in_1", user=user, number="F-1", status="paid", total=Decimal("18.99"), tax=Decimal("3.03"), currency="eur",
        amount_paid=Decimal("15.00"), created=clock.now(), page="https://pay.example/i",
    )  # fmt: skip
    for _twice in range(2):
        mails.receipt(paid)
    body = OutboxMail.objects.get().body
    assert "15.00 EUR" in body and "18.99" not in body and "3.03 EUR" in body and "F-1" in body and "https://pay.example/i" in body
    for total in (0, Decimal("-5.00"), Decimal("18.99")):  # nothing to pay, a credit, and what a credit paid
        mails.receipt(Invoice(stripe_id="in_2", user=user, total=total, currency="eur"))
    assert OutboxMail.objects.count() == 1
