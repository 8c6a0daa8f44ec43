"""The mails of a subscription. Each follows from how its row changed, so an event that comes twice sends none twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from billing import clock
from billing.entitlements import NEVER_BEGAN, NOT_RUNNING, OVER, RUNNING, UNPAID
from billing.letters import language_of, write
from billing.models import Invoice, Order, Subscription, Tier

PAGE = "/account/billing"
WARN_BEFORE = timedelta(days=1)


def announce(before: Subscription | None, after: Subscription, *, is_discounted: bool = False) -> None:
    """Post what its owner should hear of a change; `before` None = it is new. `is_discounted`: its invoice was less than the price."""
    was = before.status if before else "incomplete"
    with translation.override(language_of(after.user)):
        if was in NEVER_BEGAN and after.status in RUNNING:
            _welcome(after, is_discounted)
        if before and was in RUNNING and after.status in RUNNING and (before.tier_id, before.interval) != (after.tier_id, after.interval):
            _changed(after)
        if was != "past_due" and after.status == "past_due":
            _payment_failed(after)
        if after.cancel_at_period_end and not (before and before.cancel_at_period_end):
            if after.status in RUNNING:
                _ending(after, before.next_tier if before and not after.next_tier else None)
            elif after.status == "past_due":
                _cancelled(after)
        if was not in NOT_RUNNING and after.status in OVER:
            _ended(after)


def receipt(invoice: Invoice) -> None:
    """An invoice was paid."""
    if invoice.user is None or not invoice.amount_paid:
        return
    with translation.override(language_of(invoice.user)):
        values = {
            "number": invoice.number,
            "amount": money(invoice.amount_paid, invoice.currency),
            "tax": money(invoice.tax, invoice.currency),
        }
        words = [_("Thank you. We have received %(amount)s for invoice %(number)s.") % values]
        if invoice.tax:
            words.append(_("VAT on the invoice: %(tax)s.") % values)
        write(
            invoice.user.email,
            subject=_("Invoice %(number)s is paid") % values,
            paragraphs=words,
            label=_("See the invoice"),
            link=invoice.page,
            path=PAGE,
            dedupe=f"paid:{invoice.stripe_id}",
        )


def remind() -> int:
    """Warn those whose grace ends within a day, and tell those whose grace is over; the number of rows looked at."""
    now = clock.now()
    due = Subscription.objects.filter(status__in=UNPAID, ends_at__lte=now + WARN_BEFORE, ends_at__gt=now - 2 * WARN_BEFORE)
    for row in due.select_related("user", "tier"):
        with translation.override(language_of(row.user)):
            if row.ends_at and row.ends_at > now:
                _grace_ending(row)
            else:
                _paused(row)
    return len(due)


def money(amount: Any, currency: str) -> str:
    """18.99 EUR, or 18,99 EUR, as the active language writes it."""
    text = f"{amount:.2f}"
    return f"{text.replace('.', ',') if translation.get_language() == 'de' else text} {currency.upper()}"


def day(moment: datetime | None) -> str:
    return date_format(moment, "DATE_FORMAT") if moment else ""


def _values(row: Subscription) -> dict[str, str]:
    return {
        "tier": row.tier.label,
        "amount": money(row.amount or 0, row.currency),
        "interval": row.get_interval_display(),
        "renews": day(row.period_ends_at),
        "ends": day(row.ends_at),
    }


def _agreed(row: Subscription) -> Sequence[str]:
    """What was agreed to when it was ordered, word by word."""
    order = Order.objects.filter(user=row.user, price__stripe_id=row.price_id).first()
    return [order.consent, *(text["body"] for text in order.texts.values())] if order else ()


def _welcome(row: Subscription, is_discounted: bool) -> None:
    values = _values(row)
    costs = _("It costs %(amount)s (%(interval)s, VAT included), renews on %(renews)s, and you can end it to the end of each period.")
    if row.status == "trialing":
        costs = _(
            "Until %(renews)s it costs nothing. From then on it costs %(amount)s (%(interval)s, VAT included), renews by itself, and you "
            "can end it to the end of each period."
        )
    write(
        row.user.email,
        subject=_("Welcome to %(tier)s") % values,
        paragraphs=[
            _("Your subscription to TriForce %(tier)s has begun; it holds from your next request on.") % values,
            costs % values,
            *([_("Your discount is taken off on the invoice.")] if is_discounted else []),
        ],
        label=_("See your plan"),
        path=PAGE,
        fine_print=_agreed(row),
        dedupe=f"welcome:{row.stripe_id}",
    )


def _changed(row: Subscription) -> None:
    values = _values(row)
    write(
        row.user.email,
        subject=_("Your plan is now %(tier)s, %(interval)s") % values,
        paragraphs=[_("From now on you have TriForce %(tier)s. It costs %(amount)s, %(interval)s, and renews on %(renews)s.") % values],
        label=_("See your plan"),
        path=PAGE,
        fine_print=_agreed(row),
        dedupe=f"changed:{row.stripe_id}:{row.price_id}:{row.period_ends_at:%Y-%m-%d}",
    )


def _payment_failed(row: Subscription) -> None:
    values = _values(row)
    write(
        row.user.email,
        subject=_("Your payment for %(tier)s failed") % values,
        paragraphs=[
            _("Your bank did not let the payment of %(amount)s through.") % values,
            _("Until %(ends)s everything stays as it is. Please choose another card by then; we try again by ourselves.") % values,
        ],
        label=_("Choose another card"),
        path=PAGE,
        dedupe=f"failed:{row.stripe_id}:{row.ends_at:%Y-%m-%d}",
    )


def _grace_ending(row: Subscription) -> None:
    values = _values(row)
    write(
        row.user.email,
        subject=_("%(tier)s pauses tomorrow") % values,
        paragraphs=[_("The payment of %(amount)s is still open. Without it %(tier)s pauses on %(ends)s.") % values],
        label=_("Choose another card"),
        path=PAGE,
        dedupe=f"grace:{row.stripe_id}:{row.ends_at:%Y-%m-%d}",
    )


def _paused(row: Subscription) -> None:
    values = _values(row)
    write(
        row.user.email,
        subject=_("%(tier)s is paused") % values,
        paragraphs=[
            _("The payment of %(amount)s did not arrive, so %(tier)s is paused. Nothing is deleted.") % values,
            _("As soon as it is paid, everything is back.") % values,
        ],
        label=_("Choose another card"),
        path=PAGE,
        dedupe=f"paused:{row.stripe_id}:{row.ends_at:%Y-%m-%d}",
    )


def _ending(row: Subscription, given_up: Tier | None) -> None:
    """`given_up`: what it was to become instead, which cancelling has called off."""
    values = {**_values(row), "next": given_up.name if given_up else ""}
    write(
        row.user.email,
        subject=_("%(tier)s ends on %(ends)s") % values,
        paragraphs=[
            _("Your subscription to TriForce %(tier)s is cancelled. It stays yours until %(ends)s; nothing more is taken from you.")
            % values,
            _("If that was not you, or you think otherwise, one press lets it go on."),
            *([_("Your planned change to %(next)s is called off, too: let it go on, and choose it again.") % values] if given_up else []),
        ],
        label=_("See your plan"),
        path=PAGE,
        dedupe=f"ending:{row.stripe_id}:{_when(row)}",
    )


def _cancelled(row: Subscription) -> None:
    values = _values(row)
    write(
        row.user.email,
        subject=_("%(tier)s is cancelled") % values,
        paragraphs=[
            _("Your subscription to TriForce %(tier)s is cancelled and is not renewed on %(renews)s.") % values,
            _("The payment of %(amount)s that failed is still open; until it is paid, %(tier)s stays until %(ends)s at most.") % values,
        ],
        label=_("See your plan"),
        path=PAGE,
        dedupe=f"ending:{row.stripe_id}:{_when(row)}",
    )


def _when(row: Subscription) -> str:
    """Which of several cancellations it is."""
    return f"{row.cancelled_at or row.ends_at:%Y-%m-%dT%H:%M:%S}"


def _ended(row: Subscription) -> None:
    values = _values(row)
    write(
        row.user.email,
        subject=_("%(tier)s has ended") % values,
        paragraphs=[
            _("Your subscription to TriForce %(tier)s has ended. Your account, chats and keys stay as they are.") % values,
            _("Thank you for having been with us. The door stays open."),
        ],
        label=_("See the tiers"),
        path="/prices",
        dedupe=f"ended:{row.stripe_id}",
    )
