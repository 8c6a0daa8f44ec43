"""Making an account; the page and the API both end here. Nothing about the answer tells whether the address was taken."""

from __future__ import annotations

import logging
from smtplib import SMTPException

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.address import network_of
from accounts.authentication import address_of_request
from accounts.models import User, mailbox_of
from billing import rates
from billing.errors import InvalidRequest

log = logging.getLogger(__name__)
PER_NETWORK, NETWORK_SECONDS = 5, 3600
MAIL_SECONDS = 180  # between two mails to one mailbox


def sign_up(request: HttpRequest, *, email: str, password: str, name: str = "") -> None:
    """Make the account and ask for the address to be verified; where the mailbox has one already, tell its owner.

    Raises InvalidRequest for a weak password, RateLimited for too many sign-ups from one network.
    """
    _check_password(email, password, name)
    count_sign_up(request)
    owner = User.objects.with_mailbox(email)
    if owner is None:
        try:
            _create(request, email=email, password=password, name=name)
            return
        except IntegrityError:  # somebody was faster
            owner = User.objects.with_mailbox(email)
    else:
        make_password(password)  # as long as for a new account
    if owner is not None:
        tell_owner(owner)


def count_sign_up(request: HttpRequest) -> None:
    """Count one against the network it comes from. Raises RateLimited."""
    network = network_of(address_of_request(request))
    words = _("Too many sign-ups from this network. Please try again later.")
    rates.require(f"sign-up:{network}", PER_NETWORK, NETWORK_SECONDS, detail=words)


def _check_password(email: str, password: str, name: str) -> None:
    try:
        validate_password(password, User(email=email, name=name))
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), field="password") from None


def _create(request: HttpRequest, *, email: str, password: str, name: str) -> None:
    with transaction.atomic():
        user = User.objects.create_user(email, password, name=name)
        address = EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=False)
    ask_to_verify(request, address)


def ask_to_verify(request: HttpRequest, address: EmailAddress) -> None:
    """The first mail to a new account's address."""
    rates.hit(f"mail:{mailbox_of(address.email)}", 1, MAIL_SECONDS)
    try:
        address.send_confirmation(request, signup=True)
    except (SMTPException, OSError) as error:
        _log_lost_mail(error)


def tell_owner(owner: User) -> None:
    """Mail them that somebody signed up with their address; at most once in a few minutes, or the form would pester people."""
    if not rates.hit(f"mail:{owner.mailbox}", 1, MAIL_SECONDS).allowed:
        return
    try:
        get_adapter().send_account_already_exists_mail(owner.email)
    except (SMTPException, OSError) as error:
        _log_lost_mail(error)


def _log_lost_mail(error: Exception) -> None:
    # the account exists; its owner can ask for the mail again on the e-mail page
    log.error("A sign-up mail could not be sent: %s", type(error).__name__)
