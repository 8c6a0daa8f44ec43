"""Signing in with an account elsewhere: its clients stand in the environment, and an address counts if the other side verified it."""

from __future__ import annotations

from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.ratelimit import respond_429
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, _build_apps_from_settings
from allauth.socialaccount.models import SocialApp, SocialLogin
from django.http import HttpRequest

from accounts.forms import to_sign_in
from accounts.models import User
from accounts.signup import count_sign_up, tell_owner
from billing.errors import RateLimited


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def list_apps(self, request: HttpRequest, provider: str | None = None, client_id: str | None = None) -> list[SocialApp]:
        """Those of the environment; a secret is kept in no table."""
        found = _build_apps_from_settings(provider=provider, client_id=client_id)
        return [app for apps in found.values() for app in apps]

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """The mailbox's owner comes by another way for the first time: what a squatter made with the address stops working."""
        known_by_address = sociallogin.is_existing and sociallogin.account.pk is None
        if known_by_address and not sociallogin.user.email_is_verified:
            user = User.objects.get(pk=sociallogin.user.pk)
            user.set_unusable_password()
            user.save(update_fields=["password"])
            user.sign_out_everywhere()
            user.api_keys.update(revoked=True)
            user.trust_email()
            sociallogin.user = user

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Without a form where the other side verified an address that is free here; a taken one ends like every sign-up."""
        verified = [address for address in sociallogin.email_addresses if address.verified]
        if not verified:
            return False
        owner = next(filter(None, (User.objects.with_mailbox(address.email) for address in verified)), None)
        if owner:
            tell_owner(owner)
            raise ImmediateHttpResponse(to_sign_in(request))
        try:
            count_sign_up(request)
        except RateLimited:
            raise ImmediateHttpResponse(respond_429(request)) from None
        chosen = next((address for address in verified if address.primary), verified[0])
        sociallogin.email_addresses, sociallogin.user.email = [chosen], chosen.email
        return True

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> User:
        """The address and the name; there is no user name here."""
        user: User = super().populate_user(request, sociallogin, data)
        user.name = str(data.get("name") or "")[: User._meta.get_field("name").max_length]
        return user
