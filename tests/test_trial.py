"""A tier on trial: its daily tokens are counted, what they would have refused is marked, and nothing is refused."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.db import connection
from django.test import Client

from accounts.caller import caller_for
from accounts.tokens import issue_token
from billing import clock, quota
from billing.errors import QuotaExceeded
from billing.models import Figures, Tier, TierDay, UsageClass, UsageDay, UsageEvent
from billing.quota import Holder, Settlement
from llm import sockets
from tests.fakes.upstream import Answer, FakeUpstream
from tests.people import make_user, with_token
from tests.staff import BACKEND, staff_client

TRIED = Holder("user:alice", None, "registered", 1000, shadow=True)


def reserve(holder: Holder = TRIED, *, input_bound: int = 100, output: int = 200) -> quota.Reservation:
    return quota.reserve(
        request_id=uuid4().hex, holder=holder, usage_class="cloud", input_bound=input_bound, output=output, entry_point="test", model="m"
    )


def marks() -> list[bool]:
    return list(UsageEvent.objects.order_by("pk").values_list("over_limit", flat=True))


@pytest.mark.django_db
def test_it_goes_on_past_the_limit_and_marks_what_would_have_been_refused() -> None:
    assert [reserve().reserved for _ in range(5)] == [300] * 5
    assert marks() == [False, False, False, True, True]  # the fourth found 100 left: less than its input and the least output
    row = UsageDay.objects.get()
    assert (row.used, row.reserved) == (0, 1500)
    for receipt in UsageEvent.objects.all():
        quota.settle(receipt.request_id, Settlement(state="settled", rule="answered", charged=250))
    row.refresh_from_db()
    assert (row.used, row.reserved) == (1250, 0)


@pytest.mark.django_db
def test_what_would_only_have_been_cut_is_not_marked_and_not_cut() -> None:
    reserve(output=500)
    assert reserve(input_bound=50, output=4096).reserved == 4146
    assert marks() == [False, False]


@pytest.mark.django_db
def test_a_keys_own_limit_holds_all_the_same() -> None:
    keyed = Holder("user:alice", None, "registered", 100, key_id=1, key_limit=700, shadow=True)
    assert reserve(keyed).reserved == 300
    assert reserve(keyed).reserved == 300
    with pytest.raises(QuotaExceeded) as refusal:
        reserve(keyed)
    assert refusal.value.extra["scope"] == "api_key"
    assert marks() == [True, True]


@pytest.mark.django_db
def test_what_does_not_count_is_never_over() -> None:
    for _ in range(2):
        quota.reserve(
            request_id=uuid4().hex, holder=TRIED, usage_class=UsageClass.UNLIMITED, input_bound=900, output=900, entry_point="t", model="m"
        )
    assert marks() == [False, False]


def test_many_at_once_lose_no_token_and_none_is_refused(committed: None) -> None:
    def one(_number: int) -> int:
        try:
            return reserve().reserved
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(one, range(40)))
    row = UsageDay.objects.get(subject="user:alice")
    assert (sum(held), row.reserved, UsageEvent.objects.count()) == (40 * 300, 40 * 300, 40)
    assert sum(marks()) >= 37  # three fit; of those that came at once some may have seen a fuller day


@pytest.mark.django_db
def test_who_asks_is_told_that_nothing_is_refused() -> None:
    user = make_user()
    Tier.objects.filter(slug="registered").update(shadow=True, daily_tokens=1000)
    UsageDay.objects.create(subject=user.subject, usage_class="cloud", day=clock.now().date(), used=1000)
    body: dict[str, Any] = with_token(user).get("/v1/client/tokens/usage").json()
    assert (body["used_today"], body["remaining"], body["unlimited"]) == (1000, None, True)
    body = with_token(user).get("/v1/client/tier").json()
    assert (body["tokens_used_today"], body["tokens_remaining"], body["token_limit"]) == (1000, None, 1000)
    frame = json.loads(sockets.ready(caller_for({}, "127.0.0.1", session_user=user)))
    assert (frame["tokens_remaining"], frame["tokens_used_today"]) == (None, 1000)


@pytest.mark.django_db
def test_the_portal_shows_no_limit_that_is_not_enforced(client: Client) -> None:
    user = make_user()
    client.force_login(user, backend=BACKEND)
    UsageDay.objects.create(subject=user.subject, usage_class="cloud", day=clock.now().date(), used=1000)
    Tier.objects.filter(slug="registered").update(daily_tokens=1000)
    for path, percent in (("/dashboard", 100), ("/account/billing", 100)):
        assert client.get(path).context["percent"] == percent
    Tier.objects.filter(slug="registered").update(shadow=True)
    for path in ("/dashboard", "/account/billing"):
        assert client.get(path).context["balance"].remaining is None


@pytest.mark.django_db
def test_the_tiers_page_says_what_the_trial_would_have_refused() -> None:
    user, today = make_user(), clock.now().date()
    page = f"/admin/billing/tier/{Tier.objects.get(slug='registered').pk}/change/"
    root = staff_client()
    assert root.get(page).context["trial"] is None
    for back, over in ((0, 3), (1, 2), (40, 90)):
        day = today - timedelta(days=back)
        Figures.objects.create(day=day, tier="registered", model_id="m", requests=10, over_limit=over)
        TierDay.objects.create(day=day, tier="registered", subject=user.subject, over_limit=over)
    TierDay.objects.create(day=today, tier="pro", subject="user:999", over_limit=5)
    TierDay.objects.create(day=today, tier="registered", subject="guest:x", over_limit=0)
    found = root.get(page).context["trial"]
    assert (found.requests, found.over, found.people) == (20, 5, 1)
    assert [(row.subject, row.days, row.over) for row in found.most] == [(user.subject, 2, 5)]
    assert user.email in root.get(page).content.decode()


def test_it_holds_over_the_wire(http: httpx.Client, upstream: FakeUpstream, committed: None) -> None:
    upstream.always(Answer(["Hi"], usage=(10, 10)))
    user = make_user()
    UsageDay.objects.create(subject=user.subject, usage_class="cloud", day=clock.now().date(), used=100_000)
    headers = {"Authorization": f"Bearer {issue_token(user)[0]}"}
    assert http.post("/v1/client/chat", json={"message": "Hi"}, headers=headers).status_code == 429
    assert not http.post("/v1/quote", json={"message": "Hi"}, headers=headers).json()["would_be_admitted"]
    Tier.objects.filter(slug="registered").update(shadow=True)
    try:
        assert http.post("/v1/quote", json={"message": "Hi"}, headers=headers).json()["would_be_admitted"]
        answer = http.post("/v1/client/chat", json={"message": "Hi"}, headers=headers)
        assert (answer.status_code, answer.json()["tokens_remaining"]) == (200, None)
    finally:
        Tier.objects.filter(slug="registered").update(shadow=False)
    assert marks() == [True]
