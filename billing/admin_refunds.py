"""Money given back by the staff: shown before it goes, with a reason, and written down payment by payment as it goes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import refunds
from billing.audited import note
from billing.errors import PaymentUnavailable
from billing.mails import money
from billing.models import Subscription
from billing.refunds import Payment

MOST = 20  # contracts at once: Stripe is asked about each
ACTION = "refund_and_end"


class ReasonForm(forms.Form):
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500, widget=forms.Textarea(attrs={"rows": 3}))


def refund_and_end(admin: Any, request: HttpRequest, queryset: QuerySet[Subscription]) -> HttpResponse | None:
    """First a page that says what would go back to whom; with its reason sent, it goes. What does not run is left out."""
    paid = queryset.filter(source=Subscription.Source.STRIPE).select_related("user", "tier")
    rows = [row for row in paid if row.is_live]
    if not rows or len(rows) > MOST:
        words = _("At most %(most)d rows at once.") % {"most": MOST} if rows else _("None of them runs at Stripe.")
        admin.message_user(request, words, messages.ERROR)
        return None
    form = ReasonForm(request.POST if "confirmed" in request.POST else None)
    if form.is_valid():
        for row in rows:
            _carry_out(admin, request, row, form.cleaned_data["reason"])
        return HttpResponseRedirect(request.get_full_path())
    try:
        sums = [(row, _sum(refunds.refundable(row))) for row in rows]
    except PaymentUnavailable as error:
        admin.message_user(request, str(error), messages.ERROR)
        return None
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": _("Refund and end"),
        "sums": sums,
        "form": form,
        "action": ACTION,
        "checkbox": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/billing/subscription/refund.html", context)


def _carry_out(admin: Any, request: HttpRequest, row: Subscription, reason: str) -> None:
    def told(payment: Payment) -> None:
        note(request, row, action=ACTION, values={"refunded": [None, _sum([payment])], "reason": [None, reason]})

    try:
        back = refunds.refund_and_end(row, told)
    except PaymentUnavailable as error:
        admin.message_user(request, f"{row}: {error}", messages.ERROR)
        return
    note(request, row, action=ACTION, values={"ended": [None, "yes"], "reason": [None, reason]})
    words = {"row": row, "sum": _sum(back)}
    told_words = _("%(row)s: %(sum)s refunded, and ended.") if back else _("%(row)s: ended; nothing was left to refund.")
    admin.message_user(request, told_words % words, messages.SUCCESS)


def _sum(payments: Iterable[Payment]) -> str:
    """18.99 EUR; one sum for each currency."""
    sums: dict[str, Any] = {}
    for payment in payments:
        sums[payment.currency] = sums.get(payment.currency, 0) + payment.left
    return ", ".join(money(amount, currency) for currency, amount in sums.items())
