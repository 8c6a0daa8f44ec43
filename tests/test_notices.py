"""The notices at 80, 95 and 100 % of a day: in every answer from there on, by one mail each, in the account's language."""

from __future__ import annotations

from datetime import date

import pytest
from django.utils import translation

from billing import notices
from billing.models import OutboxMail, UsageClass
from billing.quota import Balance, Holder, Reservation

pytestmark = pytest.mark.django_db
HELD = Reservation("req_1", Holder("user:1", 1, "registered", 1000), UsageClass.CLOUD, date(2026, 1, 31), 10, 20)


def told(used: int, charged: int = 100, email: str = "alice@example.org", language: str = "") -> tuple[str, ...]:
    with translation.override("en"):
        return notices.notify(HELD, email, charged, Balance(used, 0, 1000), language=language)


def test_each_step_is_one_mail_and_every_answer_says_it() -> None:
    assert told(700) == ()
    assert told(800) == ("80 % of today's tokens are used.",)
    for used in (850, 950, 990, 1000):
        assert str(used // 10) in told(used)[0]
    assert [mail.subject.split()[0] for mail in OutboxMail.objects.order_by("pk")] == ["80", "95", "100"]
    told(1000)
    assert OutboxMail.objects.count() == 3


def test_who_wants_no_mail_is_told_in_the_answer_alone() -> None:
    assert told(990, email="")
    assert not OutboxMail.objects.exists()


@pytest.mark.parametrize(("language", "words"), [("en", "You have used"), ("de", "Du hast"), ("", "Du hast")])
def test_the_mail_is_in_the_accounts_language_and_leads_to_the_receipts(language: str, words: str) -> None:
    told(1000, language=language)
    body = OutboxMail.objects.get().body
    assert body.startswith(words)
    assert "/receipts" in body
