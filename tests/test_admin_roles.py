"""The staff's roles: what each sees and does, and that none of them makes itself more."""

from __future__ import annotations

import pytest
from allauth.account.models import EmailAddress
from django.apps.registry import Apps
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.urls import reverse

from accounts.keys import create_key
from accounts.models import User
from billing.models import Subscription, Tier
from tests.staff import staff, staff_client
from triforce.apps import seed_roles
from triforce.roles import ROLES, rights_of, seed

pytestmark = pytest.mark.django_db
# kind -> who may open its list
SEEN = {
    "accounts/user": "support billing operator",
    "accounts/apikey": "support operator",
    "accounts/clientlog": "support operator",
    "accounts/impersonation": "support operator",
    "billing/tier": "support billing operator",
    "billing/subscription": "support billing operator",
    "billing/usageevent": "support billing operator",
    "billing/price": "billing operator",
    "billing/outboxmail": "support operator",
    "llm/provider": "support billing operator",
    "triforce/announcement": "support billing operator",
    "triforce/taskstate": "operator",
    "djstripe/webhookeventtrigger": "billing operator",
    "mfa/authenticator": "operator",
    "account/emailaddress": "support operator",
    "admin/logentry": "operator",
    "auth/group": "",
}
# kind -> who may add to it
ADDED = {
    "accounts/user": "operator",
    "billing/tier": "operator",
    "billing/subscription": "",
    "billing/price": "billing operator",
    "llm/provider": "operator",
    "triforce/announcement": "operator",
    "triforce/text": "operator",
    "auth/group": "",
}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_sees_and_adds_what_is_its(role: str) -> None:
    client = staff_client(role)
    assert client.get("/admin/").status_code == 200
    assert {kind for kind in SEEN if client.get(f"/admin/{kind}/").status_code == 200} == {
        k for k, who in SEEN.items() if role in who.split()
    }
    assert {kind for kind in ADDED if client.get(f"/admin/{kind}/add/").status_code == 200} == {
        k for k, who in ADDED.items() if role in who.split()
    }


PAGES = {"grant": "billing operator", "suspend": "support operator", "look": "support operator", "forget": "operator"}


@pytest.mark.parametrize(("page", "roles"), PAGES.items())
def test_what_is_done_with_an_account(page: str, roles: str) -> None:
    user = User.objects.create_user("alice@example.org")
    may = set()
    for role in ROLES:
        client = staff_client(role)
        status = client.get(f"/admin/accounts/user/{user.pk}/{page}/").status_code
        button = reverse(f"admin:accounts_user_{page}", args=[user.pk])
        assert (button in client.get(f"/admin/accounts/user/{user.pk}/change/").content.decode()) == (status == 200)
        may |= {role} if status == 200 else set()
    assert may == set(roles.split())


def test_money_is_not_for_support() -> None:
    assert "spend" not in staff_client("support").get("/admin/").context
    assert "spend" in staff_client("billing").get("/admin/").context


def test_receipts_are_exported_with_the_right() -> None:
    assert staff_client("support").get("/admin/billing/usageevent/export/").status_code == 403
    assert staff_client("billing").get("/admin/billing/usageevent/export/").status_code == 200


@pytest.mark.parametrize("role", ROLES)
def test_no_role_makes_itself_more(role: str) -> None:
    client, me = staff_client(role), User.objects.get(email=f"{role}@example.org")
    root, user = staff(), User.objects.create_user("alice@example.org")
    create_key(root, name="roots")
    for target in (me, root):  # staff is not theirs to see
        for page in ("change", "delete", "grant", "suspend", "look", "forget", "password"):
            assert client.get(f"/admin/accounts/user/{target.pk}/{page}/").status_code in (302, 403, 404), page
    form = {"email": user.email, "is_staff": "on", "is_superuser": "on", "groups": [Group.objects.get(name="operator").pk],
            "substitution": "any", "language": ""}  # fmt: skip
    client.post(f"/admin/accounts/user/{user.pk}/change/", form)
    user.refresh_from_db()
    assert not (user.is_staff or user.is_superuser or user.groups.exists())
    form = {"password1": "Honig-9-Honig", "password2": "Honig-9-Honig", "usable_password": "true"}
    assert client.post(f"/admin/accounts/user/{user.pk}/password/", form).status_code == 403
    assert "roots" not in client.get("/admin/accounts/apikey/").content.decode()
    client.post("/admin/accounts/apikey/", {"action": "revoke", "_selected_action": [root.api_keys.get().pk]})
    assert not root.api_keys.get().revoked
    assert client.post("/admin/auth/group/add/", {"name": "mine"}).status_code == 403


def test_nobody_verifies_an_address_by_looking() -> None:
    address = EmailAddress.objects.create(user=User.objects.create_user("alice@example.org"), email="alice@example.org")
    for role, verified in (("support", False), ("operator", True)):
        staff_client(role).post("/admin/account/emailaddress/", {"action": "make_verified", "_selected_action": [address.pk]})
        address.refresh_from_db()
        assert address.verified == verified


def test_what_is_paid_for_is_not_changed_here() -> None:
    user = User.objects.create_user("alice@example.org")
    paid = Subscription.objects.create(user=user, tier=Tier.objects.get(slug="pro"), source=Subscription.Source.STRIPE)
    client = staff_client()
    assert client.post(reverse("admin:billing_subscription_change", args=[paid.pk]), {}).status_code == 403
    assert client.post(reverse("admin:billing_subscription_delete", args=[paid.pk]), {"post": "yes"}).status_code == 403
    client.post("/admin/billing/subscription/", {"action": "end_now", "_selected_action": [paid.pk]})
    paid.refresh_from_db()
    assert paid.ends_at is None


def test_the_roles_are_set_anew_and_others_left_alone() -> None:
    support, own = Group.objects.get(name="support"), Group.objects.create(name="own")
    support.permissions.clear()
    own.permissions.set(Group.objects.get(name="billing").permissions.all())
    call_command("migrate", verbosity=0)
    assert {f"{one.content_type.app_label}.{one.codename}" for one in support.permissions.select_related("content_type")} == rights_of(
        "support"
    )
    assert own.permissions.count() == Group.objects.get(name="billing").permissions.count()


def test_a_right_that_no_table_knows_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triforce.roles.SUPPORT", "accounts.view_nothing")
    with pytest.raises(LookupError, match=r"accounts\.view_nothing"):
        seed()


def test_a_migrate_that_ends_before_there_are_groups_goes_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triforce.roles.seed", lambda: pytest.fail("there is no table for it"))
    seed_roles(apps=Apps())
