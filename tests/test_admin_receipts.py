"""Receipts in the admin: found, filtered, exported, and never read as a whole."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from accounts.models import User
from billing import admin_ledger, clock, tables
from billing.models import UsageDay, UsageEvent
from tests.server import LiveServer
from tests.staff import staff_client

LIST = "/admin/billing/usageevent/"


@pytest.fixture
def client(db: None) -> Client:
    return staff_client()


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice@example.org")


def receipt(name: str, user: User | None = None, *, back: int = 0, **fields: Any) -> UsageEvent:
    created = clock.now() - timedelta(days=back)
    values = {
        "request_id": f"req_{name}", "account": user, "subject": user.subject if user else "guest:x", "tier": "pro",
        "entry_point": "client", "day": created.date(), "usage_class": "cloud", "requested_model": "openai/gpt-test", "reserved": 10,
        "created": created,
        "expires": created, "state": "settled",
    }  # fmt: skip
    return UsageEvent.objects.create(**{**values, **fields})


def found(client: Client, query: str = "") -> list[str]:
    page = client.get(LIST + query)
    assert page.status_code == 200, query
    return sorted(row.request_id.removeprefix("req_") for row in page.context["cl"].result_list)


def test_it_looks_among_the_newest_or_on_a_day_and_everywhere_for_one(client: Client, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_ledger, "NEWEST", 2)
    receipt("a", alice, back=3), receipt("b", back=1), receipt("c", served_model="groq/x"), receipt("d", alice, tier="guest")
    assert found(client) == ["c", "d"]
    assert found(client, f"?on={clock.now().date() - timedelta(days=1)}") == ["b"]
    assert found(client, "?q=req_a") == ["a"]
    assert found(client, "?q=ALICE@example.org") == ["a", "d"]
    assert found(client, f"?q={alice.subject}") == ["a", "d"]
    assert found(client, "?q=groq") == ["c"]
    assert found(client, "?q=nobody@example.org") == found(client, f"?q=user:{'9' * 30}") == []
    assert found(client, "?q=alice@example.org&tier=guest") == ["d"]


QUERIES = (
    "on=nonsense tier=nothing rule=x state=open estimated__exact=1 over_limit__exact=1 error_code__isempty=0 entry_point=client p=9999 o=1 "
    "usage_class__exact=cloud"
)


def test_a_span_of_days_may_be_open(client: Client, alice: User) -> None:
    today = clock.now().date()
    for back in (0, 1, 2, 3):
        receipt(str(back), alice, back=back)
    day = {back: today - timedelta(days=back) for back in range(4)}
    assert found(client, f"?from={day[1]}") == ["0", "1"]
    assert found(client, f"?to={day[2]}") == ["2", "3"]
    assert found(client, f"?from={day[2]}&to={day[1]}&q=alice@example.org") == ["1", "2"]
    assert found(client, f"?from={day[1]}&to={day[2]}") == []
    page = client.get(f"{LIST}?from={day[2]}&tier=pro").content.decode()
    assert f'name="from" value="{day[2]}"' in page and 'type="hidden" name="tier" value="pro"' in page
    assert f"?on={day[0]}&amp;tier=pro" in page


@pytest.mark.parametrize("where", [LIST, f"{LIST}export/", "/admin/billing/usageday/"])
@pytest.mark.parametrize("query", ["on=nonsense", "on=9999-12-31", "from=0001-01-01", "to=2026-13-01"])
def test_what_is_no_day_is_said(client: Client, where: str, query: str) -> None:
    receipt("a")
    page = client.get(f"{where}?{query}", follow=True, headers={"Accept-Language": "en"})
    assert page.status_code == 200 and f"“{query.partition('=')[2]}” is no day." in page.content.decode()
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("query", QUERIES.split())
def test_no_query_breaks_it(client: Client, query: str) -> None:
    receipt("a")
    assert client.get(f"{LIST}?{query}", follow=True).status_code == 200


def test_it_counts_no_further_than_it_pages(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_ledger, "COUNTED", 3)
    for name in "abcdef":
        receipt(name)
    assert client.get(LIST).context["cl"].result_count == 3


@pytest.fixture
def browser(live: LiveServer) -> Iterator[httpx.Client]:
    """Of a superuser, at the real server: an export is made while it is sent."""
    cookies = {name: morsel.value for name, morsel in staff_client().cookies.items()}
    with httpx.Client(base_url=live.url, cookies=cookies, headers={"Accept-Language": "en"}) as browser:
        yield browser


def exported(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(answer.text.splitlines()))


def test_an_export_is_what_the_list_shows_and_is_written_down(browser: httpx.Client, make_user: Callable[..., User]) -> None:
    receipt("a", make_user(), requested_model="=cmd|' /C calc'!A0"), receipt("b", tier="guest")
    rows = exported(browser.get(f"{LIST}export/?tier=pro"))
    assert [row["request_id"] for row in rows] == ["req_a"]
    assert rows[0]["requested_model"].startswith("'=")
    entry = LogEntry.objects.get()
    assert entry.change_message == "tier=pro" and entry.user.email == "root@example.org"
    assert browser.get("/admin/admin/logentry/").status_code == 200
    assert "export/?tier=pro" in browser.get(f"{LIST}?tier=pro").text


def test_an_export_has_every_receipt_of_its_days(browser: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS", 2)
    monkeypatch.setattr(admin_ledger, "NEWEST", 1)
    for back in (9, 6, 5, 4, 3, 2, 0):
        receipt(str(back), back=back)
    today = clock.now().date()
    days = {name: today - timedelta(days=back) for name, back in (("from", 6), ("to", 2))}
    answer = browser.get(f"{LIST}export/", params={name: str(day) for name, day in days.items()})
    assert [row["request_id"] for row in exported(answer)] == [f"req_{back}" for back in (2, 3, 4, 5, 6)]
    assert f"receipts-{days['from']}-{days['to']}.csv" in answer.headers["Content-Disposition"]
    newest = browser.get(f"{LIST}export/")
    words = "The newest 1 receipts alone are looked at."
    assert [row["request_id"][:10] for row in exported(newest)] == ["req_0", words[:10]] and words in newest.text.splitlines()[-1]
    assert words in browser.get(LIST).text and words not in browser.get(f"{LIST}?from={days['from']}").text


def test_days_are_of_today_or_of_one(client: Client, alice: User) -> None:
    today = clock.now().date()
    for back in (0, 1):
        UsageDay.objects.create(subject=alice.subject, usage_class="cloud", day=today - timedelta(days=back), used=back)
    UsageDay.objects.create(subject="user:999", usage_class="cloud", day=today)

    def days(query: str) -> int:
        return len(client.get(f"/admin/billing/usageday/{query}").context["cl"].result_list)

    assert (days(""), days(f"?on={today - timedelta(days=1)}"), days("?q=alice@example.org"), days("?q=nobody@x.org")) == (2, 1, 2, 0)


@pytest.mark.parametrize(
    "path", [LIST, f"{LIST}?tier=pro", f"{LIST}?q=gpt", "/admin/billing/usageday/", "/admin/billing/usageevent/export/"]
)
def test_no_page_reads_a_ledger_as_a_whole(client: Client, alice: User, path: str, django_assert_max_num_queries: Any) -> None:
    for number in range(60):
        receipt(str(number), alice)
        UsageDay.objects.create(subject=f"user:{number}", usage_class="cloud", day=clock.now().date())
    client.get(path)
    with django_assert_max_num_queries(20) as asked:
        client.get(path)
    ledger = [query["sql"] for query in asked.captured_queries if 'FROM "billing_usage' in query["sql"]]
    assert ledger
    for sql in ledger:
        bounded = "LIMIT" in sql or 'MAX("billing_usageevent"."id")' in sql
        assert bounded, sql
        assert "DISTINCT" not in sql
