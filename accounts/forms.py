"""allauth's sign-up form over our own sign-up."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import SignupForm as StockSignupForm
from allauth.core.internal.httpkit import headed_redirect_response
from allauth.core.ratelimit import respond_429
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from accounts.signup import sign_up
from billing.errors import RateLimited


class SignupForm(StockSignupForm):
    """Ends the same way for a new and for a taken address: at the sign-in page, with a mail on its way."""

    def validate_unique_email(self, value: str) -> str:
        return value

    def try_save(self, request: HttpRequest) -> tuple[None, HttpResponse]:
        data: dict[str, Any] = self.cleaned_data
        try:
            sign_up(request, email=data["email"], password=data["password1"])
        except RateLimited:
            return None, respond_429(request)
        messages.info(request, _("We have sent you an e-mail. You can sign in now."))
        return None, headed_redirect_response("account_login")
