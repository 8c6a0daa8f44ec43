"""allauth's sign-up form over our own sign-up."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import SignupForm as StockSignupForm
from allauth.account.models import EmailAddress
from allauth.account.utils import get_next_redirect_url
from allauth.core.internal.httpkit import headed_redirect_response
from allauth.core.ratelimit import respond_429
from allauth.socialaccount.forms import SignupForm as StockSocialSignupForm
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.signup import ask_to_verify, count_sign_up, sign_up, tell_owner
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
        return None, to_sign_in(request)


class SocialSignupForm(StockSocialSignupForm):
    """Asks for the address that an account elsewhere did not vouch for; ends like the sign-up form, whoever has it."""

    def validate_unique_email(self, value: str) -> str:
        return value

    def try_save(self, request: HttpRequest) -> tuple[None, HttpResponse]:
        try:
            count_sign_up(request)
        except RateLimited:
            return None, respond_429(request)
        owner = User.objects.with_mailbox(self.cleaned_data["email"])
        if owner:
            tell_owner(owner)
        else:
            user = self.save(request)
            ask_to_verify(request, EmailAddress.objects.get(user=user, email=user.email))
        return None, to_sign_in(request)


def to_sign_in(request: HttpRequest) -> HttpResponse:
    """The one end of every sign-up whose address nobody has vouched for yet; who signs in then is led back to where they came from."""
    messages.info(request, _("We have sent you an e-mail. You can sign in now."))
    back = get_next_redirect_url(request)  # None where it leads elsewhere
    return headed_redirect_response("account_login", query={REDIRECT_FIELD_NAME: back} if back else None)
