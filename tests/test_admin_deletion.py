"""An account is deleted in the admin as its owner would delete it, and in no other way."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.test import Client

from accounts.models import User
from billing.errors import PaymentUnavailable
from billing.models import OutboxMail, Subscription
from llm.models import IdempotentAnswer
from tests.staff import staff, staff_client
from tests.test_p36_privacy import ALICE, MARK, _mentions, give_everything
from triforce.privacy import deletion

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_is_sold(settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = ""


@pytest.fixture
def alice(make_user: Callable[..., User]) -> User:
    return make_user(email=ALICE, name=MARK, language="en")


@pytest.fixture
def operator() -> Client:
    client = staff_client("operator")
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    return client


def forget(client: Client, user: User, **fields: str) -> Any:
    return client.post(f"/admin/accounts/user/{user.pk}/forget/", {"email": user.email, "reason": "asked by letter", **fields})


def test_nothing_of_theirs_is_left_and_the_log_names_nobody(alice: User, operator: Client) -> None:
    give_everything(alice)
    IdempotentAnswer.objects.create(subject=alice.subject, key="k", body_digest="x", request_id="r", completion={})
    subject = alice.subject
    page = operator.get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
    assert f"/admin/accounts/user/{alice.pk}/forget/" in page
    answer = forget(operator, alice)
    assert answer.status_code == 302 and answer.url == "/admin/accounts/user/"
    assert not User.objects.filter(pk=alice.pk).exists()
    farewell = OutboxMail.objects.get(forget=True)
    assert farewell.to == ALICE and farewell.subject == "Your account is deleted"
    farewell.delete()
    assert list(_mentions(MARK)) == list(_mentions(subject)) == []
    entry = LogEntry.objects.get(user__email="operator@example.org")
    assert (entry.action_flag, entry.object_id) == (DELETION, None)
    assert json.loads(entry.change_message) == [{"action": "delete"}, {"values": {"reason": [None, "asked by letter"]}}]


@pytest.mark.parametrize(
    "fields", [{"email": "bob@example.org"}, {"reason": ""}, {"reason": f"for {MARK.upper()}"}, {"reason": f"({ALICE})"}]
)
def test_it_is_asked_which_account_and_why(alice: User, operator: Client, fields: dict[str, str]) -> None:
    assert forget(operator, alice, **fields).status_code == 200
    assert User.objects.filter(pk=alice.pk).exists() and not LogEntry.objects.exists()


def test_what_stands_in_the_way_is_said(alice: User, make_user: Callable[..., User], operator: Client) -> None:
    paid = make_user("pro", email="bob@example.org")
    Subscription.objects.update(source=Subscription.Source.STRIPE, status="active")
    page = forget(operator, paid)
    assert page.status_code == 200 and 'name="reason"' not in page.content.decode()
    assert forget(staff_client(), staff(email="other@example.org")).status_code == 200
    assert User.objects.filter(email__in=[paid.email, "other@example.org"]).count() == 2


def test_that_stripe_cannot_be_told_is_said_and_nothing_is_changed(alice: User, operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(user: User) -> None:
        raise PaymentUnavailable()

    monkeypatch.setattr(deletion.checkout, "forget_customer", fails)
    answer = forget(operator, alice)
    assert answer.status_code == 302 and answer.url == f"/admin/accounts/user/{alice.pk}/change/"
    assert [message.level_tag for message in operator.get(answer.url).context["messages"]] == ["error"]
    assert User.objects.filter(pk=alice.pk).exists() and not LogEntry.objects.exists()


@pytest.mark.parametrize("role", ["operator", ""])
def test_there_is_no_other_way(alice: User, role: str) -> None:
    client = staff_client(role)
    assert client.post(f"/admin/accounts/user/{alice.pk}/delete/", {"post": "yes"}).status_code == 403
    form = {"action": "delete_selected", "_selected_action": [alice.pk], "post": "yes"}
    client.post("/admin/accounts/user/", form)
    assert User.objects.filter(pk=alice.pk).exists()
