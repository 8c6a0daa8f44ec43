"""Telling people how much of the day is used: at 80, 95 and 100 %, in the answer and by one mail each."""

from __future__ import annotations

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from billing import clock
from billing.letters import write
from billing.quota import Balance, Reservation

STEPS = (80, 95, 100)


def notify(reservation: Reservation, email: str, charged: int, balance: Balance, *, language: str = "") -> tuple[str, ...]:
    """The sentence for this answer, where a step is reached; a mail to an account that crossed it just now, unless `email` is empty."""
    if not balance.limit:
        return ()
    percent = 100 * balance.used // balance.limit
    reached = [step for step in STEPS if percent >= step]
    if not reached:
        return ()
    step = reached[-1]
    before = 100 * (balance.used - charged) // balance.limit
    if before < step and email:
        _mail(reservation, email, step, balance, language or settings.LANGUAGE_CODE)
    return (_("%(percent)d %% of today's tokens are used.") % {"percent": min(percent, 100)},)


def _mail(reservation: Reservation, email: str, step: int, balance: Balance, language: str) -> None:
    reset = clock.stamp(clock.resets_at(reservation.day))
    with translation.override(language):
        write(
            email,
            subject=_("%(step)d %% of today's tokens are used") % {"step": step},
            paragraphs=[
                _("You have used %(used)d of your %(limit)d tokens today. The count starts anew at %(reset)s.")
                % {"used": balance.used, "limit": balance.limit, "reset": reset}
            ],
            label=_("Every request and what it was charged"),
            path="/receipts",
            dedupe=f"quota:{reservation.holder.subject}:{reservation.day}:{step}",
        )
