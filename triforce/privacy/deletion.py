"""Forgetting a person: every store emptied in one transaction, checked, and reported. Sums stay, without anybody in them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.conf import settings
from django.core.signing import Signer
from django.db import OperationalError, transaction
from django.utils.translation import gettext as _
from djstripe.models import Customer

from accounts.models import User
from billing import checkout, clock, outbox, subscriptions
from billing.models import Subscription
from billing.subscriptions import live_subscription
from billing.tiers import in_force
from triforce.privacy.staff_log import FORMER_STAFF
from triforce.privacy.store import Store
from triforce.privacy.stores import STORES, lock_meter

TRIES = 3  # others lock in orders that nobody can foresee
DEADLOCK = "40P01"  # PostgreSQL's code
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
    if user.works_here:
        return _("This account administers TriForce. Another administrator must take that right away first.")
    if user.email == FORMER_STAFF:
        return _("This account keeps the log of those who worked here.")
    paid = Subscription.objects.filter(in_force(), user=user, source=Subscription.Source.STRIPE, cancel_at_period_end=False)
    if paid.exists():
        return _("A paid subscription is running. End it first, so that nothing more is taken from you.")
    if not settings.STRIPE_SECRET_KEY and live_subscription(user):
        return _(
            "A paid subscription is running, and the payment service cannot be told here. Please write to us; the imprint has the address."
        )
    return ""


def holdings(user: User) -> tuple[Line, ...]:
    """What is stored at the moment; empty stores too."""
    return tuple(Line(store.name, str(store.what), store.of(user).count(), store.stays) for store in STORES)


def delete_account(user: User) -> Report:
    """Forget them everywhere. Raises ValueError where obstacle() says why not, PaymentUnavailable where Stripe cannot be told; then nothing
    has changed."""
    if why := obstacle(user):
        raise ValueError(why)
    checkout.forget_customer(user)  # first: what fails after it can be tried again, and finds nobody there
    for tries_left in reversed(range(TRIES)):
        try:
            return _forget(user)
        except OperationalError as error:
            if not tries_left or getattr(error.__cause__, "sqlstate", "") != DEADLOCK:
                raise
    raise AssertionError("the last try returns or raises")


def _forget(user: User) -> Report:
    with transaction.atomic():
        theirs = subscriptions.customers_of(user)
        subscriptions.lock(*theirs)  # an event at work is waited for
        Customer.objects.filter(id__in=theirs).update(subscriber=user)  # dj-stripe lets go of one whose end Stripe has told already
        lock_meter(user)  # before the account, which a request locks last
        user = User.objects.select_for_update().get(pk=user.pk)  # a row that would point here waits, and then finds nobody
        lock_meter(user)  # and what came in between
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
