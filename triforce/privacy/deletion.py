"""Forgetting a person: every store emptied in one transaction, checked, and reported. Sums stay, without anybody in them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.core.signing import Signer
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from billing import clock, outbox
from billing.models import Subscription
from billing.tiers import in_force
from triforce.privacy.stores import STORES, Store

_signer = Signer(salt="deletion report")


@dataclass(frozen=True)
class Line:
    """One store: what it held, and whether that is gone or only without a name now."""

    store: str
    what: str
    count: int
    stays: bool

    def __str__(self) -> str:
        return f"{self.store}: {self.count} {'anonymised' if self.stays else 'deleted'}"


@dataclass(frozen=True)
class Report:
    """What was done. It is kept nowhere: its owner has it, and its signature shows that it is ours."""

    number: str
    email: str
    when: str
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """In a form that can be signed, mailed and checked again."""
        words = (f"TriForce deletion report {self.number}", f"Account: {self.email}", f"Completed: {self.when}", *map(str, self.lines))
        body = "\n".join(words)
        return f"{body}\nSignature: {_signer.signature(body)}\n"


def is_ours(text: str) -> bool:
    """Is it a report that we signed, unchanged? Spaces at the ends of lines do not matter."""
    lines = [line.strip() for line in text.strip().splitlines()]
    body, signature = "\n".join(lines[:-1]), lines[-1].removeprefix("Signature: ") if lines else ""
    return secrets.compare_digest(_signer.signature(body).encode(), signature.encode())


def obstacle(user: User) -> str:
    """Why this account cannot be deleted now; "" where it can."""
    if user.is_staff or user.is_superuser:
        return _("This account administers TriForce. Another administrator must take that right away first.")
    if Subscription.objects.filter(in_force(), user=user, source=Subscription.Source.STRIPE).exists():
        return _("A paid subscription is running. End it first, so that nothing more is taken from you.")
    return ""


def holdings(user: User) -> tuple[Line, ...]:
    """What is stored at the moment; empty stores too."""
    return tuple(Line(store.name, str(store.what), store.of(user).count(), store.blur is not None) for store in STORES)


def delete_account(user: User) -> Report:
    """Forget them everywhere. Raises ValueError where obstacle() says why not; then nothing has changed."""
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user.pk)  # a row that would point here waits, and then finds nobody
        if why := obstacle(user):
            raise ValueError(why)
        held, email = holdings(user), user.email
        alias = f"gone:{secrets.token_hex(16)}"
        for store in STORES:
            store.forget(user, alias)
        left = [store.name for store in STORES if _holds(store, user)]
        if left:
            raise RuntimeError(f"Not everything could be forgotten: {', '.join(left)}")
        report = Report(secrets.token_hex(8), email, clock.stamp(clock.now()), held)
        outbox.post(to=email, subject=_("Your account is deleted"), body=_farewell(report), dedupe=f"gone:{report.number}", forget=True)
    return report


def _holds(store: Store, user: User) -> bool:
    return store.of(user).exists()


def _farewell(report: Report) -> str:
    words = _(
        "Your account and all that was stored about it are deleted. Receipts and counters stay as mere sums, with nobody in them.\n"
        "Backups are overwritten within their own keeping time. This mail is forgotten here as soon as it is sent.\n"
    )
    return f"{words}\n{report.text}"
