"""allauth's pages under the house's rules: one throttle for every way to sign in, our own addresses in mails."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from accounts.attempts import Attempt, attempt
from accounts.authentication import address_of_request
from accounts.language import tell
from accounts.models import User, normalise_email
from billing.errors import RateLimited

_SITE = SimpleNamespace(name="TriForce", domain=settings.PUBLIC_HOST)  # what a mail calls us, whatever Host it was asked under


class AccountAdapter(DefaultAccountAdapter):
    _attempt: Attempt | None = None

    def clean_email(self, email: str) -> str:
        return normalise_email(email)

    def get_client_ip(self, request: HttpRequest) -> str:
        return address_of_request(request)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """The same count as the login API's, in place of allauth's."""
        try:
            self._attempt = attempt(str(credentials.get("email") or ""), address_of_request(request))
        except RateLimited:
            raise self.validation_error("too_many_login_attempts") from None

    def _rollback_login_failed_rl_usage(self) -> None:
        if self._attempt:
            self._attempt.take_back()

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """An address that meanwhile became another account's stays theirs."""
        if User.objects.filter(email=email_address.email).exclude(pk=email_address.user_id).exists():
            self.add_message(request, messages.ERROR, "account/messages/email_confirmation_failed.txt", {"email": email_address.email})
            return False
        return super().confirm_email(request, email_address)

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        """Somebody who chose a language has it on every browser."""
        response: HttpResponse = super().post_login(request, user, **kwargs)
        return tell(response, user.language) if user.language else response

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        super().send_mail(template_prefix, email, {**context, **_public(context), "current_site": _SITE})


def _public(context: dict[str, Any]) -> dict[str, str]:
    """The links of a mail under PUBLIC_URL: whoever asks for a mail chooses the Host header, not where its links lead."""
    links = {name: value for name, value in context.items() if name.endswith("_url") and isinstance(value, str)}
    return {name: settings.PUBLIC_URL + _path(link) for name, link in links.items() if link.startswith(("http://", "https://"))}


def _path(link: str) -> str:
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
