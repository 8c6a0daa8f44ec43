"""An account in the admin: how it does, a tier with an end, suspension that closes its connections."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from accounts.keys import create_key
from accounts.models import User
from accounts.tokens import issue_token
from billing import clock
from billing.grants import grant
from billing.models import Subscription, Tier, UsageDay, UsageEvent
from billing.tiers import tier_for
from tests.people import with_key, with_token
from tests.server import LiveServer
from tests.staff import staff, staff_client

db = pytest.mark.django_db


def page(client: Client, user: User, name: str = "change") -> Any:
    return client.get(f"/admin/accounts/user/{user.pk}/{name}/", headers={"Accept-Language": "en"})


@db
def test_it_shows_tier_usage_keys_and_receipts(make_user: Callable[..., User]) -> None:
    user, now = make_user("pro"), clock.now()
    UsageDay.objects.create(subject=user.subject, usage_class="cloud", day=now.date(), used=12_345, reserved=11)
    UsageDay.objects.create(subject=user.subject, usage_class="unlimited", day=now.date(), used=777)
    key, _plain = create_key(user, name="laptop")
    UsageEvent.objects.create(
        request_id="req_x", account=user, subject=user.subject, tier="pro", entry_point="client", day=now.date(), usage_class="cloud",
        requested_model="x/y", reserved=10, created=now, expires=now, error_code="upstream_timeout",
    )  # fmt: skip
    words = page(staff_client("operator"), user).content.decode()
    for expected in ("12,345 / 250,000 (+11)", "777", key.hint, "laptop", "x/y", "upstream_timeout"):
        assert expected in words, expected


@db
def test_a_tier_is_given_until_a_day(make_user: Callable[..., User]) -> None:
    user, client = make_user(), staff_client("billing")
    ends = (timezone.now() + timedelta(days=30)).replace(microsecond=0)
    form = {"tier": Tier.objects.get(slug="pro").pk, "ends_at_0": f"{ends:%Y-%m-%d}", "ends_at_1": f"{ends:%H:%M:%S}", "reason": "a friend"}
    assert client.post(f"/admin/accounts/user/{user.pk}/grant/", form).status_code == 302
    row = Subscription.objects.get()
    assert (tier_for(user).slug, row.ends_at, row.note, row.source) == ("pro", ends, "a friend", "grant")
    assert '"tier": ["Registriert", "Pro"]' in LogEntry.objects.get().change_message
    Subscription.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    assert tier_for(user).is_default


@db
def test_a_grant_below_what_is_paid_for_is_told_as_that(make_user: Callable[..., User]) -> None:
    user, client = make_user("enterprise"), staff_client("billing")
    Subscription.objects.update(source=Subscription.Source.STRIPE)
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
    answer = client.post(f"/admin/accounts/user/{user.pk}/grant/", {"tier": Tier.objects.get(slug="pro").pk}, follow=True)
    (message,) = answer.context["messages"]
    higher = Tier.objects.get(slug="enterprise").name
    assert f"stays on {higher}" in str(message) and message.level_tag == "warning"
    (kept,) = [part["values"] for part in json.loads(LogEntry.objects.get().change_message) if "values" in part]
    assert (kept["tier"], kept["grant"]) == ([higher, higher], [None, "Pro"])


@db
def test_an_end_in_the_past_is_refused(make_user: Callable[..., User]) -> None:
    user = make_user()
    form = {"tier": Tier.objects.get(slug="pro").pk, "ends_at_0": "2020-01-01", "ends_at_1": "00:00:00"}
    answer = staff_client("billing").post(f"/admin/accounts/user/{user.pk}/grant/", form)
    assert answer.status_code == 200 and not Subscription.objects.exists()


@db
def test_the_guests_tier_is_nobodys_to_give(make_user: Callable[..., User]) -> None:
    user = make_user()
    staff_client("billing").post(f"/admin/accounts/user/{user.pk}/grant/", {"tier": Tier.objects.get(slug="guest").pk})
    assert not Subscription.objects.exists()


@db
@pytest.mark.parametrize("role", ["billing", "operator", ""])
def test_a_grant_is_given_on_the_accounts_page_alone(make_user: Callable[..., User], role: str) -> None:
    user, client = make_user(), staff_client(role)
    form = {"user": user.pk, "tier": Tier.objects.get(slug="enterprise").pk, "starts_at_0": "2026-01-01", "starts_at_1": "00:00:00"}
    assert client.post("/admin/billing/subscription/add/", form).status_code == 403
    assert not Subscription.objects.exists()


@db
def test_a_grant_is_changed_by_the_rules_of_that_page(make_user: Callable[..., User]) -> None:
    user, client = make_user("pro"), staff_client("billing")
    me, row = User.objects.get(email="billing@example.org"), Subscription.objects.get()
    path = f"/admin/billing/subscription/{row.pk}/change/"
    form = {"user": me.pk, "starts_at_0": "2020-01-01", "starts_at_1": "00:00:00"}

    def send(tier: str, **fields: Any) -> int:
        return client.post(path, {**form, "tier": Tier.objects.get(slug=tier).pk, **fields}).status_code

    assert send("guest") == 200
    assert send("pro", ends_at_0="2020-01-02", ends_at_1="00:00:00") == 200
    began = row.starts_at
    row.refresh_from_db()
    assert (row.user, row.tier.slug, row.starts_at, row.ends_at) == (user, "pro", began, None)
    assert send("enterprise", ends_at_0="2099-01-01", ends_at_1="00:00:00", note="a friend") == 302
    row.refresh_from_db()
    assert (row.user, row.tier.slug, row.starts_at, row.note) == (user, "enterprise", began, "a friend")
    Subscription.objects.update(starts_at="2026-01-01T00:00:00Z", ends_at="2026-02-01T00:00:00Z")
    assert send("pro", ends_at_0="2026-02-01", ends_at_1="00:00:00", note="over") == 302  # its end is not touched


@db
def test_the_grants_of_the_staff_are_a_superusers(make_user: Callable[..., User]) -> None:
    client = staff_client("billing")
    grant(User.objects.get(email="billing@example.org"), Tier.objects.get(slug="pro"))
    row = Subscription.objects.get()
    form = {"tier": Tier.objects.get(slug="enterprise").pk}
    assert client.post(f"/admin/billing/subscription/{row.pk}/change/", form).status_code == 302  # to the front page: it is not there
    row.refresh_from_db()
    assert row.tier.slug == "pro"


@db
def test_nothing_ends_before_it_begins(make_user: Callable[..., User]) -> None:
    user, now = make_user(), timezone.now()
    with pytest.raises(ValidationError):
        Subscription(user=user, tier=Tier.objects.get(slug="pro"), starts_at=now, ends_at=now - timedelta(days=1)).full_clean()


@db
def test_suspension_ends_everything_and_loses_nothing(make_user: Callable[..., User]) -> None:
    user = make_user("pro")
    by_token, by_key = with_token(user), with_key(user)
    client, url = staff_client("support"), f"/admin/accounts/user/{user.pk}/suspend/"
    own = Client()
    own.force_login(user)
    assert client.post(url, {"reason": ""}).status_code == 200  # says why first
    assert client.post(url, {"reason": "stolen key"}).status_code == 302
    assert {by_token.get("/v1/usage").status_code, by_key.get("/v1/usage").status_code} == {401}
    assert own.get("/dashboard").status_code == 302
    assert client.post(url, {"reason": "a new key"}).status_code == 302
    assert by_key.get("/v1/usage").status_code == 200 and tier_for(user).slug == "pro"
    first = LogEntry.objects.earliest("pk").change_message
    assert "stolen key" in first and "suspend" in first


def test_open_connections_close_within_two_seconds(live: LiveServer, http: httpx.Client, make_user: Callable[..., User]) -> None:
    user = make_user()
    client = staff_client("support")
    headers = {"Authorization": f"Bearer {issue_token(user)[0]}"}
    with connect(f"ws://127.0.0.1:{live.port}/ws/chat/", additional_headers=headers) as socket:
        socket.recv(5)
        client.post(f"/admin/accounts/user/{user.pk}/suspend/", {"reason": "x"})
        started = time.monotonic()
        with pytest.raises(ConnectionClosed):
            socket.recv(5)
        assert time.monotonic() - started < 2.5


@db
def test_a_superuser_closes_accounts_of_the_staff_but_not_their_own() -> None:
    other, fired, client = staff(email="other@example.org"), staff("support"), staff_client()
    for user in (other, fired):
        path = f"/admin/accounts/user/{user.pk}/suspend/"
        assert staff_client("operator").post(path, {"reason": "x"}).status_code in (403, 404)
        assert path in page(client, user).content.decode()
        assert client.post(path, {"reason": "left"}).status_code == 302
        user.refresh_from_db()
        assert not user.is_active
    me = User.objects.get(email="root@example.org")
    assert f"/admin/accounts/user/{me.pk}/suspend/" not in page(client, me).content.decode()
    assert client.post(f"/admin/accounts/user/{me.pk}/suspend/", {"reason": "x"}).status_code == 403
    me.refresh_from_db()
    assert me.is_active


@db
def test_a_suspended_account_is_said_so(make_user: Callable[..., User]) -> None:
    user = make_user(is_active=False)
    assert "suspended" in page(staff_client("support"), user).content.decode()


@db
@pytest.mark.parametrize("name", ["grant", "suspend", "look"])
def test_an_account_that_is_not_there(name: str) -> None:
    assert staff_client().get(f"/admin/accounts/user/999999/{name}/").status_code == 404
