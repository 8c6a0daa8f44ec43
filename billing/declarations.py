"""Cancellations and withdrawals that somebody declares without signing in: kept, confirmed by mail, and carried out as far as we may."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils.translation import gettext as _

from billing import checkout, clock, outbox
from billing.errors import PaymentUnavailable
from billing.letters import write
from billing.models import Declaration, Subscription
from billing.subscriptions import live_subscriptions

CONFIRMED_A_DAY = 3  # mails to one address, whoever wrote it down; more is kept without one
LONGEST = 200  # characters of what we did
NOTHING_RAN = "no contract was found to run under that address"


def declare(
    kind: str,
    *,
    name: str,
    email: str,
    contract: str,
    reason: str = "",
    extraordinary: bool = False,
    ends_on: date | None = None,
    user: Any = None,
) -> Declaration:
    """Keep the declaration and confirm its receipt by mail. `carry_out_waiting` does the rest, within a minute.

    Not here: by how long the page takes nobody shall tell whose contract runs.
    """
    owner = user or get_user_model().objects.filter(email=email.strip().casefold()).first()
    with transaction.atomic():
        row = Declaration.objects.create(
            kind=kind, name=name, email=email, contract=contract, reason=reason, extraordinary=extraordinary, ends_on=ends_on, user=owner
        )
        if Declaration.objects.filter(email__iexact=email, created__gt=clock.now() - timedelta(days=1)).count() <= CONFIRMED_A_DAY:
            _confirm(row)
    return row


def carry_out_waiting() -> int:
    """Do what was declared, as far as it can be taken back, and what found Stripe away; the number of declarations looked at."""
    waiting = Declaration.objects.filter(done=False, effect="").order_by("pk")
    for row in waiting:
        carry_out(row)
    return len(waiting)


def carry_out(row: Declaration) -> None:
    """The contracts of that account, of the time when it was declared, are not renewed. The operators hear of what is left to do.

    Nobody has proven to be who they say, so money goes back, or a contract ends early, by an operator's hand alone.
    """
    moment = row.created.replace(microsecond=0)
    running = [one for one in live_subscriptions(row.user) if one.starts_at < moment] if row.user else []
    if not running:
        row.effect = NOTHING_RAN
    elif not any(_is_later(row, one) for one in running):
        _end(row, running)
    row.save(update_fields=["effect", "done"])
    if not row.done:
        words = f"{row}\nAdministration: Declarations, number {row.pk}.\n"
        outbox.tell_operators(f"A {row.kind} waits for you", words, f"declared:{row.pk}")


def _is_later(row: Declaration, contract: Subscription) -> bool:
    """Shall it go on beyond the running period? Then it is left alone until the last one."""
    return row.ends_on is not None and contract.period_ends_at is not None and row.ends_on > contract.period_ends_at.date()


def _end(row: Declaration, running: list[Subscription]) -> None:
    """None of them is renewed; nothing is written where Stripe is away."""
    try:
        for contract in running:
            if not contract.cancel_at_period_end:
                checkout.cancel(contract)
                contract.refresh_from_db()
    except PaymentUnavailable:
        return
    row.effect = "; ".join(f"{one.stripe_id}: not renewed, ends {one.ends_at:%Y-%m-%d}" for one in running)[:LONGEST]
    row.done = row.kind == Declaration.Kind.CANCEL and not row.extraordinary and row.ends_on is None


def content(row: Declaration) -> list[tuple[str, str]]:
    """What was declared, line by line, in the active language."""
    lines = [
        (_("Declaration"), str(row.get_kind_display())),
        (_("Name"), row.name),
        (_("E-mail"), row.email),
        (_("Contract"), row.contract),
        (_("Received"), clock.stamp(row.created)),
    ]
    if row.kind == Declaration.Kind.CANCEL:
        lines.append((_("Kind of cancellation"), _("for an important reason") if row.extraordinary else _("ordinary")))
        lines.append((_("Wanted end"), row.ends_on.isoformat() if row.ends_on else _("as soon as possible")))
    if row.reason and row.extraordinary:  # asked for in that case alone
        lines.append((_("Reason"), row.reason))
    return lines


def _confirm(row: Declaration) -> None:
    """At once, to the address given: what arrived, and when. To a stranger it says nothing about any account."""
    is_cancel = row.kind == Declaration.Kind.CANCEL
    write(
        row.email,
        subject=_("Your cancellation has arrived") if is_cancel else _("Your withdrawal has arrived"),
        paragraphs=[
            _("We confirm that this reached us:"),
            "\n".join(f"{name}: {words if words == row.email else _unlinked(words)}" for name, words in content(row)),
            _("A contract of that account is then not renewed, and we write to you when it ends.")
            if is_cancel
            else _("We see to it and write to you. What you paid goes back the way it came, within 14 days."),
        ],
        dedupe=f"declaration:{row.pk}",
    )


def _unlinked(words: str) -> str:
    """Nobody's mail program shall make a link of what a stranger wrote."""
    return re.sub(r"://|\.(?=\w)", lambda found: f"{found[0]} ", words)
