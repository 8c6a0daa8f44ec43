"""The page on which a plan is ordered: price, term and rights beside the button, and what was agreed to kept with the order."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from billing.checkout import count_press, start_checkout
from billing.errors import ApiError, InvalidRequest
from billing.models import Order, TierPrice
from billing.offers import price_of
from billing.tiers import get_tier
from triforce.models import Text

TEXTS = ("terms", "withdrawal")  # what an order agrees to
TERMS = gettext_lazy("I have read the terms and the information on my right of withdrawal, and agree to the terms.")
EARLY = gettext_lazy(
    "I ask for the service to begin before the withdrawal period is over. If I withdraw then, I pay for what had been provided until then."
)


class OrderForm(forms.Form):
    """Two sentences to agree to. `order` comes with the page: pressed twice, it is one order."""

    order = forms.UUIDField(widget=forms.HiddenInput)
    terms = forms.BooleanField(label=TERMS)
    early = forms.BooleanField(label=EARLY)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def order(request: HttpRequest, slug: str, interval: str) -> HttpResponse:
    """GET, POST /order/<tier>/<month or year>. Posted, it leads to Stripe's page that takes the money."""
    price = _price(slug, interval)
    if not _is_reachable(request):
        messages.info(request, _("First confirm your e-mail address: your rights, the contract and invoices hang on it."))
        return redirect("account_email")
    form = OrderForm(request.POST or None, initial={"order": uuid.uuid4()})
    if request.method == "POST" and form.is_valid():
        try:
            count_press(request.user)
            return redirect(start_checkout(_order(request, form.cleaned_data["order"], price)))
        except ApiError as error:
            form.add_error(None, str(error))
    context = {"price": price, "form": form, "trial_days": settings.STRIPE_TRIAL_DAYS, "texts_shown": _texts()}
    return render(request, "pages/order.html", context)


def _price(slug: str, interval: str) -> TierPrice:
    try:
        found = price_of(get_tier(slug), interval)
    except InvalidRequest:
        raise Http404 from None
    if found is None:
        raise Http404
    return found


def _is_reachable(request: HttpRequest) -> bool:
    """An unproven address counts as a guest: it must not pay for rights that it would not have."""
    user: Any = request.user
    return not settings.EMAIL_IS_REAL or user.email_is_verified


def _order(request: HttpRequest, number: uuid.UUID, price: TierPrice) -> Order:
    """The order of that number, kept the first time that the button is pressed. Raises InvalidRequest for another's."""
    texts = {text.slug: {"title": text.title, "language": text.language, "version": _version(text), "body": text.body} for text in _texts()}
    agreed = {"user": request.user, "price": price, "consent": f"{TERMS}\n{EARLY}", "texts": texts}
    found, _made = Order.objects.select_related("price", "user").get_or_create(pk=number, defaults=agreed)
    if found.user != request.user or found.price != price:
        raise InvalidRequest(_("This page is too old. Load it anew and order again."))
    return found


def _texts() -> list[Text]:
    """The legal texts in the visitor's language, else in the house's."""
    rows = {(text.slug, text.language): text for text in Text.objects.filter(slug__in=TEXTS)}
    found = [rows.get((slug, get_language() or "")) or rows.get((slug, settings.LANGUAGE_CODE)) for slug in TEXTS]
    return [text for text in found if text is not None]


def _version(text: Text) -> str:
    return hashlib.sha256(text.body.encode()).hexdigest()[:16]
