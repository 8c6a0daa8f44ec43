"""Mails that survive a crash: written where their cause is written, sent by a task, at most once a dedupe key.

A row is claimed by a conditional update that also sets when the next try is due, so that no two senders take the same one.
"""

from __future__ import annotations

import hashlib
import logging
import smtplib
from datetime import timedelta

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db.models import F

from billing import clock
from billing.models import OutboxMail

log = logging.getLogger(__name__)
BACK_OFF = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 15, 60, 180, 720, 1440))
MOST_TRIES = len(BACK_OFF)
BATCH = 50
KEPT = timedelta(days=30)


def post(to: str, subject: str, body: str, dedupe: str, *, html: str = "", forget: bool = False) -> None:
    """Leave a mail to be sent. A second one with the same `dedupe` is dropped. Commits and rolls back with the caller's transaction.

    `html` says the same as `body`. `forget` deletes it as soon as it is sent, and with it who it went to.
    """
    mail = OutboxMail(dedupe=_key(dedupe), to=to, subject=" ".join(subject.split())[:200], body=body, html=html, forget=forget)
    OutboxMail.objects.bulk_create([mail], ignore_conflicts=True)


def tell_operators(subject: str, body: str, dedupe: str) -> None:
    """A mail to each of OPERATOR_EMAILS; the log has its subject in any case."""
    log.warning("For the operators: %s", subject)
    for address in settings.OPERATOR_EMAILS:
        post(address, f"[TriForce] {subject}", body, f"{dedupe}:{address}")


def send_due() -> int:
    """Send what is due, oldest first; the number sent. One that fails is tried again later, MOST_TRIES times in all."""
    due = OutboxMail.objects.filter(sent_at=None, attempts__lt=MOST_TRIES, not_before__lte=clock.now()).order_by("created")[:BATCH]
    return sum(_claim(mail) and _send(mail) for mail in due)


def purge() -> int:
    """Forget mails older than KEPT, sent or given up; the number forgotten."""
    return OutboxMail.objects.filter(created__lt=clock.now() - KEPT).delete()[0]


def _key(dedupe: str) -> str:
    return dedupe if len(dedupe) <= 120 else hashlib.sha256(dedupe.encode()).hexdigest()


def _claim(mail: OutboxMail) -> bool:
    mine = OutboxMail.objects.filter(pk=mail.pk, sent_at=None, attempts=mail.attempts)
    return bool(mine.update(attempts=F("attempts") + 1, not_before=clock.now() + BACK_OFF[mail.attempts]))


def _send(mail: OutboxMail) -> bool:
    row = OutboxMail.objects.filter(pk=mail.pk)
    try:
        message = EmailMultiAlternatives(mail.subject, mail.body, to=[mail.to])
        if mail.html:
            message.attach_alternative(mail.html, "text/html")
        message.send()
    except (OSError, smtplib.SMTPException) as error:
        tries = MOST_TRIES if _is_final(error) else mail.attempts + 1
        row.update(attempts=tries, error=type(error).__name__)
        log.warning("Mail %s was not sent (%s), try %s of %s.", mail.pk, type(error).__name__, tries, MOST_TRIES)
        return False
    if mail.forget:
        row.delete()
        return True
    row.update(sent_at=clock.now(), error="", body="", html="")  # a mail can hold a link that signs in: it is kept no longer than needed
    return True


def _is_final(error: Exception) -> bool:
    """The server said no for good: such an address does not exist."""
    return isinstance(error, smtplib.SMTPRecipientsRefused) and all(code >= 500 for code, _ in error.recipients.values())
