"""How long each page of the administration takes on the database of bench.fill: the median and the slowest look, and its queries.

`python -m bench.pages`; ends with 1 where a look at a page needed longer than --limit. The first look at each page is a cold one and
counts, too. It searches for people whom bench.fill makes with 2,000 accounts or more.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "triforce.settings")
django.setup()

from django.contrib import admin  # noqa: E402
from django.db import connection, reset_queries  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext, setup_test_environment  # noqa: E402
from django.urls import reverse  # noqa: E402

from accounts.models import User  # noqa: E402
from bench.measure import median  # noqa: E402
from billing.models import Tier, UsageEvent  # noqa: E402

LOOKS = 5  # the first of them cold
SEARCHED = {
    "accounts.user": ("person99", "person1711@example.org"),
    "billing.usageevent": ("req_fill77", "person1711@example.org", "claude"),
    "billing.usageday": ("person1711@example.org", "guest:77"),
    "billing.subscription": ("person99",),
    "billing.outboxmail": ("person99",),
    "accounts.apikey": ("person99",),
    "account.emailaddress": ("person99",),
    "usersessions.usersession": ("person99", "192.0.2.7"),
    "accounts.clientlog": ("person1711@example.org", "line 77"),
    "billing.invoice": ("F-1711", "person99"),
    "billing.declaration": ("person99",),
    "admin.logentry": ("person99",),
}


def addresses() -> Iterator[str]:
    """Each list as it is, with each filter's values, searched, on its second page, sorted by each column; and one row of each."""
    yield "/admin/"
    for model, model_admin in admin.site._registry.items():
        label, info = model._meta.label_lower, (model._meta.app_label, model._meta.model_name)
        base = reverse("admin:{}_{}_changelist".format(*info))
        yield base
        yield f"{base}?p=2"
        yield from (f"{base}?q={term}" for term in SEARCHED.get(label, ("x",) if model_admin.search_fields else ()))
        yield from _filtered(base)
        row = model._default_manager.order_by("-pk").first()
        if row is not None:
            yield reverse("admin:{}_{}_change".format(*info), args=[row.pk])
    person = User.objects.get(email="person1711@example.org").pk
    yield from (f"/admin/accounts/user/{person}/{page}/" for page in ("change", "grant", "suspend", "look", "history", "forget"))
    yield reverse("admin:billing_usageevent_change", args=[UsageEvent.objects.order_by("pk").first().pk])


def _filtered(base: str) -> Iterator[str]:
    """The list under each value of each of its filters."""
    found = client.get(base).context
    changelist = found["cl"] if found else None
    for spec in changelist.filter_specs if changelist else ():
        choices = [choice["query_string"] for choice in spec.choices(changelist) if not choice["selected"]]
        yield from (f"{base}{query}" for query in choices[:6])


def tier_preview() -> tuple[str, dict[str, str]]:
    """The form of a tier with another limit."""
    tier = Tier.objects.get(slug="registered")
    page = client.get(f"/admin/billing/tier/{tier.pk}/change/").context["adminform"].form
    values = {name: page[name].value() for name in page.fields}
    form = {
        name: "\n".join(value) if isinstance(value, list) else value for name, value in values.items() if value not in (None, False, "")
    }
    return f"/admin/billing/tier/{tier.pk}/change/", {**form, "daily_tokens": "900"}


class Look(NamedTuple):
    """What LOOKS looks at a page took: ms of the median and of the slowest, ms of our own CPU, queries, and ms of their slowest."""

    slowest: float
    median: float
    worked: float
    queries: int
    query: float
    path: str


def look(path: str, form: dict[str, str] | None = None, name: str = "") -> Look:
    seen = []
    gc.collect()  # what earlier pages left is not this one's to clear away
    for _turn in range(LOOKS):
        reset_queries()  # the log of them is bounded, and would be full
        with CaptureQueriesContext(connection) as asked:
            started, cpu = time.perf_counter(), time.process_time()
            answer = client.post(path, form) if form else client.get(path)
            took, worked = 1000 * (time.perf_counter() - started), 1000 * (time.process_time() - cpu)
        assert answer.status_code == 200, (path, answer.status_code)
        seen.append((took, worked, len(asked), max((1000 * float(query["time"]) for query in asked.captured_queries), default=0)))
    took_, worked_, queries, slowest = zip(*seen, strict=True)
    return Look(max(took_), median(took_), median(worked_), max(queries), max(slowest), name or path)


setup_test_environment(debug=True)  # what a page was made of can be read; in development a password is enough
client = Client()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--limit", type=float, default=500, help="milliseconds")
    limit = parser.parse_args().limit
    root, _made = User.objects.get_or_create(email="root@example.org", defaults={"is_staff": True, "is_superuser": True})
    client.force_login(root, backend="allauth.account.auth_backends.AuthenticationBackend")
    rows = []
    for path in dict.fromkeys(addresses()):
        rows.append(look(path))
        print(shown(rows[-1]), file=sys.stderr, flush=True)
    path, form = tier_preview()
    rows.append(look(path, form, f"{path} (preview)"))
    rows.sort(reverse=True)
    for row in rows[:25]:
        print(shown(row))
    middle, most = median([row.median for row in rows]), max(row.queries for row in rows)
    print(f"{len(rows)} pages on {connection.vendor}: median {middle:.0f} ms, slowest look {rows[0].slowest:.0f} ms, most queries {most}")
    sys.exit(rows[0].slowest > limit)


def shown(row: Look) -> str:
    return (
        f"{row.slowest:7.0f} ms, median {row.median:6.0f} ms ({row.worked:5.0f} of CPU) {row.queries:4} queries, "
        f"the slowest {row.query:6.0f} ms  {row.path}"
    )


if __name__ == "__main__":
    main()
