"""Every page of the admin asks a bounded number of questions, however many rows there are, and none that reads a ledger as a whole."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.client_logs import store_logs
from accounts.devices import add_device
from accounts.keys import create_key
from accounts.models import Impersonation, User
from accounts.tokens import issue_token
from billing import admin_ledger, clock
from billing.models import OutboxMail, Subscription, Tier, UsageDay, UsageEvent
from tests.staff import staff, staff_client

pytestmark = pytest.mark.django_db
MOST = 28
LEDGERS = ("billing_usageevent", "billing_usageday", "billing_tierday")


def fill(first: int, count: int) -> None:
    """So many accounts, each with one of everything."""
    now, pro, root = clock.now(), Tier.objects.get(slug="pro"), staff()
    for number in range(first, first + count):
        user = User.objects.create_user(f"{number}@example.org")
        user.trust_email()
        create_key(user, name="k"), issue_token(user), add_device(user, name="d", kind="desktop"), store_logs(user, [{}], {})
        Subscription.objects.create(user=user, tier=pro)
        Impersonation.objects.create(user=user, operator=root, reason="r")
        OutboxMail.objects.create(dedupe=str(number), to=user.email, subject="s", body="b")
        UsageDay.objects.create(subject=user.subject, usage_class="cloud", day=now.date())
        UsageEvent.objects.create(
            request_id=f"req_{number}", account=user, subject=user.subject, tier="pro", entry_point="client", day=now.date(),
            usage_class="cloud", requested_model="x/y", reserved=1, created=now, expires=now, state="settled",
        )  # fmt: skip


def asked(client: Client, path: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200, path
    return [query["sql"] for query in captured.captured_queries]


def pages() -> list[str]:
    found = ["/admin/"]
    for model, model_admin in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found += [reverse(f"{name}_changelist"), *([f"{reverse(f'{name}_changelist')}?q=example"] if model_admin.search_fields else [])]
        row: Any = model._default_manager.order_by("-pk").first()
        found += [reverse(f"{name}_change", args=[row.pk])] if row else []
    user = User.objects.latest("pk").pk
    return found + [f"/admin/accounts/user/{user}/{page}/" for page in ("grant", "suspend", "look", "history")]


def test_no_page_asks_more_for_more_rows_or_reads_a_ledger_as_a_whole() -> None:
    client = staff_client()
    fill(0, 3)
    few = {path: len(asked(client, path)) for path in pages()}
    few = {path: len(asked(client, path)) for path in few}  # what is only asked for once is known now
    fill(3, 37)
    for path, count in few.items():
        statements = asked(client, path)
        assert len(statements) <= max(count, 4) + 1 and len(statements) <= MOST, (path, count, statements)
        for sql in statements:
            if any(f'FROM "{table}"' in sql for table in LEDGERS):
                one = re.search(r'"(account_id|subject|id|request_id|day)" = |"billing_usageevent"."id" > ', sql)
                assert one or "LIMIT" in sql or 'MAX("billing_usageevent"."id")' in sql, (path, sql)


@pytest.mark.parametrize("kind", ["accounts/clientlog", "accounts/logintoken", "usersessions/usersession", "admin/logentry"])
def test_what_piles_up_is_counted_no_further_than_it_is_paged(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_ledger, "COUNTED", 2)
    client, now = staff_client(), clock.now()
    fill(0, 4)
    for user in User.objects.filter(is_staff=False):
        UserSession.objects.create(user=user, ip="192.0.2.1", session_key=str(user.pk), created_at=now)
        LogEntry.objects.create(user=user, object_repr="x", action_flag=2)
    page = client.get(f"/admin/{kind}/")
    assert page.context["cl"].result_count == 2
    levels = client.get("/admin/accounts/clientlog/?level=ERROR").context["cl"]
    assert levels.result_count == 0  # and no look at which levels there are
