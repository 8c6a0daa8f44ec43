"""Mails that must survive: posted once, sent once, tried again."""

from __future__ import annotations

import smtplib
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import transaction
from django.utils import timezone

from billing import outbox
from billing.models import OutboxMail

pytestmark = pytest.mark.django_db


def post(dedupe: str = "a", **changes: Any) -> OutboxMail:
    outbox.post(**{"to": "ada@example.com", "subject": "Hello", "body": "A link", "dedupe": dedupe, **changes})
    return OutboxMail.objects.latest("id")


def break_mail(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def send(self: Any) -> None:
        raise error

    monkeypatch.setattr("django.core.mail.EmailMessage.send", send)


def test_it_sends_once_and_then_forgets_the_words() -> None:
    post()
    assert (outbox.send_due(), outbox.send_due()) == (1, 0)
    assert [(message.to, message.subject, message.body) for message in mail.outbox] == [(["ada@example.com"], "Hello", "A link")]
    row = OutboxMail.objects.get()
    assert row.sent_at and row.body == ""


def test_it_forgets_whom_it_wrote_to_where_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    post(forget=True)
    with monkeypatch.context() as broken:
        break_mail(broken, OSError("no route"))
        assert outbox.send_due() == 0
    OutboxMail.objects.update(not_before=timezone.now())
    assert outbox.send_due() == 1
    assert not OutboxMail.objects.exists()


def test_it_drops_a_second_mail_of_the_same_cause() -> None:
    post("limit:5")
    post("limit:5", to="eve@example.com")
    post("limit:5" * 40)
    post("limit:5" * 40)
    assert OutboxMail.objects.count() == 2


def test_it_takes_no_second_header_from_a_subject() -> None:
    assert post(subject="Hello\r\nBcc: eve@example.com").subject == "Hello Bcc: eve@example.com"


def test_it_is_rolled_back_with_its_cause() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        post()
        raise ZeroDivisionError
    assert not OutboxMail.objects.exists()


def test_it_waits_longer_after_each_failure_and_gives_up_after_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    break_mail(monkeypatch, OSError("no route"))
    post()
    waits = []
    for _ in range(12):
        before = timezone.now()
        outbox.send_due()
        waits.append(OutboxMail.objects.get().not_before - before)
        assert outbox.send_due() == 0  # not due yet
        OutboxMail.objects.update(not_before=timezone.now() - timedelta(seconds=1))
    row = OutboxMail.objects.get()
    assert row.attempts == 8 and row.error == "OSError" and row.body
    assert waits[:8] == sorted(waits[:8]) and waits[7] >= timedelta(hours=23)


def test_it_gives_up_at_once_on_an_address_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    break_mail(monkeypatch, smtplib.SMTPRecipientsRefused({"ada@example.com": (550, b"no such user")}))
    post()
    outbox.send_due()
    assert OutboxMail.objects.get().attempts == 8


def test_it_leaves_a_mail_that_another_sender_took() -> None:
    seen = post()
    OutboxMail.objects.update(attempts=1)
    assert not outbox._claim(seen)


def test_it_tells_every_operator_once(settings: Any) -> None:
    settings.OPERATOR_EMAILS = ["a@example.com", "b@example.com"]
    for _ in range(2):
        outbox.tell_operators("Disk is full", "Look at it.", "disk")
    assert sorted(OutboxMail.objects.values_list("to", "subject")) == [
        ("a@example.com", "[TriForce] Disk is full"),
        ("b@example.com", "[TriForce] Disk is full"),
    ]


def test_it_forgets_old_mails() -> None:
    post()
    OutboxMail.objects.update(created=timezone.now() - timedelta(days=31))
    assert outbox.purge() == 1
