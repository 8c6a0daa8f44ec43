"""No page of the administration opens somebody's account to the one who works it."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.test import RequestFactory

from accounts.models import User
from billing.models import OutboxMail
from tests.conftest import PASSWORD
from tests.staff import give_factor, staff, staff_client

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    user = User.objects.create_user("alice@example.org", PASSWORD)
    user.trust_email()
    return user


@pytest.mark.parametrize("role", ["operator", ""])
def test_nobody_moves_an_address_to_another_account(alice: User, role: str) -> None:
    address, root, client = EmailAddress.objects.get(user=alice), staff(), staff_client(role)
    form = {"user": root.pk, "email": "mine@example.org", "verified": "on"}
    assert client.post(f"/admin/account/emailaddress/{address.pk}/change/", form).status_code == 403
    assert client.get("/admin/account/emailaddress/add/").status_code == 403
    assert client.post("/admin/account/emailaddress/add/", form).status_code == 403
    assert client.get(f"/admin/account/emailaddress/{address.pk}/change/").status_code == 200
    address.refresh_from_db()
    assert (address.user, address.email) == (alice, "alice@example.org")
    assert not EmailAddress.objects.filter(email="mine@example.org").exists()


def test_an_address_of_somebody_else_is_not_vouched_for(alice: User) -> None:
    root, client = staff(), staff_client("operator")
    of_staff = EmailAddress.objects.create(user=root, email="second@example.org")
    of_another = EmailAddress.objects.create(user=alice, email=User.objects.create_user("bob@example.org").email)
    own = EmailAddress.objects.create(user=alice, email="alice@example.net")
    form = {"action": "make_verified", "_selected_action": [of_staff.pk, of_another.pk, own.pk]}
    client.post("/admin/account/emailaddress/", form)
    assert set(EmailAddress.objects.filter(email__startswith="alice", verified=True)) == set(
        EmailAddress.objects.filter(email__startswith="a")
    )
    for address in (of_staff, of_another):
        address.refresh_from_db()
        assert not address.verified, address


def test_an_address_is_a_superusers_to_change(alice: User) -> None:
    form = {"email": "mine@example.org", "name": "Alice", "substitution": "any", "language": ""}
    path = f"/admin/accounts/user/{alice.pk}/change/"
    for role, address in (("operator", "alice@example.org"), ("", "mine@example.org")):
        assert staff_client(role).post(path, form).status_code == 302
        alice.refresh_from_db()
        assert (alice.email, alice.name) == (address, "Alice")


def test_an_operator_sets_no_password_of_a_new_account(alice: User) -> None:
    form: dict[str, Any] = {"email": "New@example.org", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    client = staff_client("operator")
    assert "password1" not in client.get("/admin/accounts/user/add/").content.decode()
    assert client.post("/admin/accounts/user/add/", form).status_code == 302
    assert not User.objects.get(email="new@example.org").has_usable_password()
    assert client.post("/admin/accounts/user/add/", {"email": "ALICE@example.org"}).status_code == 200  # with an error


@pytest.mark.parametrize("role", ["support", "billing", "operator", ""])
def test_no_form_says_whose_a_row_is(role: str) -> None:
    request = RequestFactory().get("/")
    request.user = staff(role)
    for page in admin.site._registry.values():
        whose = {field.name for field in page.model._meta.get_fields() if field.related_model is User}
        if page.has_add_permission(request):
            assert not whose & set(page.get_form(request).base_fields), page
        if page.has_change_permission(request, row := page.model()):
            assert not whose & set(page.get_form(request, row, change=True).base_fields), page


@pytest.mark.parametrize("way", ["one", "many"])
def test_who_loses_a_second_factor_hears_of_it(alice: User, way: str) -> None:
    User.objects.update(language="en")
    give_factor(alice)
    factor, client = Authenticator.objects.get(user=alice), staff_client("operator")
    if way == "one":
        client.post(f"/admin/mfa/authenticator/{factor.pk}/delete/", {"post": "yes"})
    else:
        form = {"action": "delete_selected", "_selected_action": [factor.pk], "post": "yes"}
        client.post("/admin/mfa/authenticator/", form)
    assert not Authenticator.objects.filter(user=alice).exists()
    mail = OutboxMail.objects.get()
    assert mail.to == alice.email and "taken a second factor away" in mail.body and "/accounts/2fa/" in mail.body
    assert LogEntry.objects.get().object_id == str(factor.pk)
