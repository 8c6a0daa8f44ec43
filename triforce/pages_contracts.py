"""The two pages that lead out of a contract without signing in: cancelling, and withdrawing. Each in two steps, as the law asks."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.authentication import address_of_request
from billing import declarations, rates
from billing.models import Declaration

MOST, SECONDS = 10, 3600  # declarations from one network address


class WithdrawForm(forms.Form):
    """Who, and which contract."""

    name = forms.CharField(label=_("Name"), max_length=100, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = forms.EmailField(label=_("E-mail"), help_text=_("The address of the account; the confirmation goes there."))
    contract = forms.CharField(
        label=_("Contract"), max_length=200, initial="TriForce", help_text=_("The plan, or an order or invoice number")
    )


class CancelForm(WithdrawForm):
    """And how it shall end."""

    extraordinary = forms.BooleanField(label=_("For an important reason, at once"), required=False)
    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Only needed in that case"),
    )
    ends_on = forms.DateField(
        label=_("It shall end on"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("Empty = as soon as possible"),
    )

    def clean(self) -> dict[str, Any]:
        asked = super().clean() or {}
        if asked.get("extraordinary") and not asked.get("reason"):
            self.add_error("reason", _("Please say why: an important reason must be named."))
        return asked


FORMS: dict[str, type[WithdrawForm]] = {Declaration.Kind.CANCEL: CancelForm, Declaration.Kind.WITHDRAW: WithdrawForm}


def cancel(request: HttpRequest) -> HttpResponse:
    """GET, POST /contracts/cancel"""
    return _declare(request, Declaration.Kind.CANCEL)


def withdraw(request: HttpRequest) -> HttpResponse:
    """GET, POST /contracts/withdraw"""
    return _declare(request, Declaration.Kind.WITHDRAW)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def _declare(request: HttpRequest, kind: str) -> HttpResponse:
    """The form; then what it says, with the button that declares it; then the confirmation, which is also mailed."""
    user: Any = request.user if request.user.is_authenticated else None
    known = {"name": user.name, "email": user.email} if user else {}
    form = FORMS[kind](request.POST or None, initial=known)
    context = {"kind": kind, "form": form, "step": "form"}
    if request.method == "POST" and form.is_valid():
        asked = dict(form.cleaned_data)
        if "confirmed" not in request.POST:
            context["step"] = "confirm"
        elif not rates.hit(f"declare:{address_of_request(request)}", MOST, SECONDS).allowed:
            form.add_error(None, _("That was too many within the hour. Please write us a mail instead; the imprint has the address."))
        else:
            own = user if user and asked["email"].casefold() == user.email else None
            row = declarations.declare(kind, user=own, **asked)
            context |= {"step": "done", "lines": declarations.content(row)}
    return render(request, "pages/contracts.html", context)
