"""The administration's front page: right figures, from sums and never from the ledger; what is wrong stands out."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from celery import shared_task
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.utils.formats import date_format
from djstripe.models import Event, WebhookEventTrigger
from kombu.exceptions import OperationalError

from accounts.models import User
from billing import clock, revenue, slots
from billing.figures import Figures, Mark
from billing.models import OutboxMail, Price, Subscription, Tier, TierPrice, UsageEvent
from billing.outbox import MOST_TRIES
from billing.tiers import get_tier
from llm.models import Provider, Status
from tests.staff import staff_client
from triforce import celery, failures, schedule
from triforce.celery import DAILY, EVERY
from triforce.front import Tile
from triforce.models import TaskState

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def new_house(settings: Any) -> None:
    """As after the first migrate: each task is expected, and none has run; nothing is sold."""
    settings.STRIPE_SECRET_KEY = ""
    TaskState.objects.update(since=clock.now(), succeeded=None, failed=None, failures=0, error="")


@pytest.fixture
def root() -> Client:
    return staff_client()


def figures(back: int = 0, model: str = "openai/gpt-test", **fields: Any) -> Figures:
    values = {"requests": 100, "errors": 1, "estimated": 2, "charged": 5000, "spend": Decimal("1.5")}
    return Figures.objects.create(day=clock.now().date() - timedelta(days=back), tier="pro", model_id=model, **{**values, **fields})


def tiles(client: Client) -> dict[str, Tile]:
    return {str(tile.name): tile for tile in client.get("/admin/", headers={"Accept-Language": "en"}).context["tiles"]}


def test_today_is_summed(root: Client) -> None:
    figures(), figures(model="groq/x", requests=900, errors=49, estimated=98, spend=Decimal("0.5")), figures(back=1)
    found = tiles(root)
    assert (found["Requests today"].value, found["Tokens today"].value) == ("1,000", "10,000")
    assert (found["Errors today"].value, found["Errors today"].note, found["Errors today"].look) == ("50", "5.0 %", "warn")
    assert (found["Estimated"].value, found["Estimated"].look) == ("10.0 %", "warn")
    assert found["Spend today"].value == "2.00 USD"
    context = root.get("/admin/").context
    assert context["spend"] == [("openai", Decimal("1.5"), Decimal("3")), ("groq", Decimal("0.5"), Decimal("0.5"))]
    assert [chart.total for chart in context["charts"][:3]] == [1100, 15000, 51]
    assert all(len(chart.bars) == 30 for chart in context["charts"])


def test_all_is_well_where_nothing_is_wrong(root: Client) -> None:
    figures(spend=0)
    assert root.get("/admin/").context["verdict"] == "good"
    figures(model="x/y", errors=9)
    assert root.get("/admin/").context["verdict"] == "warn"
    figures(model="x/z", errors=100)
    assert root.get("/admin/").context["verdict"] == "bad"


def test_an_empty_house_has_a_front_page(root: Client) -> None:
    page = root.get("/admin/")
    assert page.status_code == 200 and page.context["verdict"] == "good"


def test_revenue_comes_from_paid_subscriptions_in_force(root: Client) -> None:
    now = clock.now()
    monthly = {"tier": "pro", "interval": "month", "amount": Decimal("18.99")}
    yearly = {"tier": "enterprise", "interval": "year", "amount": Decimal("599.99")}
    subscriptions: list[dict[str, Any]] = [
        monthly,
        yearly,
        {**monthly, "ends_at": now - timedelta(days=1)},
        {**monthly, "status": "trialing"},
    ]
    for number, fields in enumerate([*subscriptions, {"tier": "pro", "source": "grant"}]):
        values = {"source": "stripe", "starts_at": now - timedelta(days=9), **fields, "tier": get_tier(fields["tier"])}
        Subscription.objects.create(user=User.objects.create_user(f"{number}@example.org"), **values)
    assert revenue.monthly_revenue() == Decimal("68.99")
    assert tiles(root)["Revenue"].value == "68.99 EUR"


def test_what_is_stuck_or_waits_stands_out(root: Client) -> None:
    now = clock.now()
    UsageEvent.objects.create(
        request_id="r", subject="user:1", tier="pro", entry_point="client", day=now.date(), usage_class="cloud", requested_model="x/y",
        reserved=1, created=now, expires=now - timedelta(minutes=3),
    )  # fmt: skip
    Price.objects.create(model_id="x/y", input=1, output=1, source="live", approved=False)
    Price.objects.create(model_id="x/y", input=1, output=1, source="live", approved=False, declined=True)
    late, lost = (OutboxMail.objects.create(dedupe=name, to="a@example.org", subject="s", body="b") for name in ("late", "lost"))
    OutboxMail.objects.filter(pk=late.pk).update(created=now - timedelta(hours=1))
    OutboxMail.objects.filter(pk=lost.pk).update(attempts=MOST_TRIES)
    found = tiles(root)
    assert (found["Running now"].value, found["Running now"].look) == ("1", "bad")
    assert found["Prices"].value == "1"
    assert (found["Failed mails"].value, found["Failed mails"].look) == ("2", "bad")


def test_a_queue_at_a_provider_is_shown(root: Client) -> None:
    Provider.objects.filter(slug="ollama").update(concurrency=1)
    slots.enter("provider:ollama", 1, "a")
    slots.enter("provider:ollama", 1, "b", wait=True)
    assert slots.crowd("provider:ollama") == (1, 1)
    assert tiles(root)["Queue"].value == "1"
    for member in "ab":
        slots.leave("provider:ollama", member)
    assert slots.crowd("provider:ollama") == (0, 0)


def test_providers_are_shown_with_their_health(root: Client, settings: Any) -> None:
    settings.PROVIDER_KEYS = {"openai": "sk-secret"}
    Provider.objects.filter(slug="openai").update(status=Status.OFFLINE)
    page = root.get("/admin/")
    found = {one["row"].slug: one["look"] for one in page.context["providers"]}
    assert found["openai"] == "bad"
    assert tiles(root)["Providers"].note == "OpenAI" and tiles(root)["Providers"].look == "warn"
    Provider.objects.exclude(slug="openai").update(enabled=False)
    assert tiles(root)["Providers"].look == "bad"
    assert b"sk-secret" not in page.content


def test_it_asks_a_bounded_number_of_small_questions(root: Client, django_assert_max_num_queries: Any) -> None:
    for back in range(30):
        for number in range(10):
            figures(back, f"openai/{number}")
    root.get("/admin/")
    with django_assert_max_num_queries(45) as asked:
        root.get("/admin/")
    ledger = [query["sql"] for query in asked.captured_queries if 'FROM "billing_usageevent"' in query["sql"]]
    assert all("'open'" in sql and "LIMIT" in sql for sql in ledger) and len(ledger) == 2  # by the small index of what is open
    assert not [query for query in asked.captured_queries if "billing_usageday" in query["sql"] or "billing_tierday" in query["sql"]]


def test_a_price_that_is_not_sold_as_it_is_advertised_stands_out(root: Client, settings: Any) -> None:
    for tier in Tier.objects.exclude(price_monthly=0):
        for interval, amount in (("month", tier.price_monthly), ("year", tier.price_yearly)):
            TierPrice.objects.create(stripe_id=f"{tier.slug}{interval}", tier=tier, interval=interval, amount=amount, currency="eur")
    settings.STRIPE_SECRET_KEY = "sk_test_x"
    assert "Prices at Stripe" not in tiles(root)
    Tier.objects.filter(slug="pro").update(price_monthly=Decimal(15))
    found = tiles(root)["Prices at Stripe"]
    assert (found.value, found.look) == ("1", "warn") and "Pro monthly: 15.00, sold at 18.99 EUR" in found.note
    assert root.get("/admin/").context["verdict"] == "warn"
    page = Client().get("/prices", headers={"Accept-Language": "en"}).content.decode()
    assert "18.99 €" in page and "15.00 €" not in page  # never lower than what the order page asks
    shown = {tier["tier"]: tier["price_monthly"] for tier in Client().get("/v1/tiers").json()}
    assert shown["pro"] == 18.99


# -- background tasks -------------------------------------------------------------------------------------------------


@shared_task(name="tests.sometimes")
def sometimes(fail: bool) -> None:
    if fail:
        raise RuntimeError("alice@example.org has sk-secret")


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_noted", {})


def state() -> TaskState:
    return TaskState.objects.get(task="tests.sometimes")


def test_a_task_that_fails_stands_out_until_it_goes_well(root: Client, noted: None) -> None:
    sometimes.apply(args=[False])
    assert not state().is_failing and state().succeeded
    sometimes.apply(args=[True]), sometimes.apply(args=[True])
    assert (state().is_failing, state().failures) == (True, 2)
    assert state().error.startswith("RuntimeError at test_admin_front.py:")
    assert "secret" not in state().error and "alice" not in state().error
    assert tiles(root)["Failing tasks"].value == "1"
    assert tiles(root)["Failing tasks"].note.startswith("tests.sometimes: RuntimeError at test_admin_front.py:")
    sometimes.apply(args=[False])
    assert not state().is_failing


def test_all_background_work_that_is_dead_is_seen(root: Client) -> None:
    long_ago = clock.now() - timedelta(days=3)
    Mark.objects.create(pk=1, receipt=0, moved=long_ago)
    TaskState.objects.update(since=long_ago, succeeded=long_ago)
    page = root.get("/admin/", headers={"Accept-Language": "en"})
    found = tiles(root)
    assert page.context["verdict"] == "bad"
    assert (found["Figures"].look, found["Figures"].value) == ("bad", "4,320 min")
    assert (found["Overdue tasks"].look, found["Overdue tasks"].value) == ("bad", str(len(EVERY) + len(DAILY)))
    assert date_format(long_ago, "SHORT_DATETIME_FORMAT") in page.content.decode()  # not an hour without its day
    states = root.get("/admin/triforce/taskstate/", headers={"Accept-Language": "en"}).context["cl"]
    assert not any(states.model_admin.is_well(row) for row in states.result_list)


def test_what_ran_lately_is_well(root: Client) -> None:
    Mark.objects.create(pk=1, receipt=0, moved=clock.now() - timedelta(minutes=2))
    TaskState.objects.update(since=clock.now() - timedelta(days=9), succeeded=clock.now() - timedelta(minutes=2))
    page = root.get("/admin/", headers={"Accept-Language": "en"})
    assert page.context["verdict"] == "good"
    assert f"until about {page.context['as_of']:%H:%M} UTC" in page.content.decode()


def test_what_never_ran_is_missed_once_it_had_time(root: Client) -> None:
    assert root.get("/admin/").context["verdict"] == "good"
    TaskState.objects.update(since=clock.now() - timedelta(minutes=7))
    found = tiles(root)
    assert found["Figures"].look == found["Overdue tasks"].look == "bad"
    assert "billing.tasks.roll_up" in found["Overdue tasks"].note and "llm.tasks.sync_catalogue" not in found["Overdue tasks"].note


def test_a_daily_task_is_overdue_an_hour_after_its_time() -> None:
    noon = datetime(2026, 5, 4, 12, tzinfo=UTC)
    row = TaskState(task="llm.tasks.sync_catalogue", since=noon, succeeded=noon)
    due = datetime(2026, 5, 5, 3, 17, tzinfo=UTC)
    assert schedule.overdue_since(row, due + timedelta(minutes=59)) is None
    assert schedule.overdue_since(row, due + timedelta(minutes=61)) == due
    row.failed = due  # it ran, which it is not overdue for but failing
    assert schedule.overdue_since(row, due + timedelta(minutes=61)) is None and row.is_failing
    assert schedule.overdue_since(TaskState(task="some.other", since=noon), due) is None


def test_what_was_missed_while_nothing_ran_is_asked_for_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(celery.app, "send_task", sent.append)
    monkeypatch.setattr(connection, "close", lambda: None)
    celery.send_first()
    assert sent == list(celery.AT_START)
    sent.clear()
    TaskState.objects.filter(task="llm.tasks.sync_catalogue").update(since=clock.now() - timedelta(days=2))
    celery.send_first()
    assert sent == [*celery.AT_START, "llm.tasks.sync_catalogue"]


def test_a_new_task_of_a_release_is_expected_from_its_migrate_on() -> None:
    TaskState.objects.filter(task="billing.tasks.roll_up").delete()
    TaskState.objects.filter(task="billing.tasks.send_outbox").update(failures=3)
    schedule.expect()
    assert TaskState.objects.get(task="billing.tasks.roll_up").since > clock.now() - timedelta(minutes=1)
    assert TaskState.objects.get(task="billing.tasks.send_outbox").failures == 3


def test_an_old_look_at_a_provider_says_nothing(root: Client, settings: Any) -> None:
    settings.PROVIDER_KEYS = {"openai": "sk-secret"}
    Provider.objects.exclude(slug="openai").update(enabled=False)
    Provider.objects.filter(slug="openai").update(status=Status.HEALTHY, checked_at=clock.now())
    assert (tiles(root)["Providers"].value, tiles(root)["Providers"].look) == ("1 / 1", "good")
    Provider.objects.filter(slug="openai").update(checked_at=clock.now() - timedelta(days=1))
    assert (tiles(root)["Providers"].value, tiles(root)["Providers"].look) == ("0 / 1", "bad")
    assert tiles(root)["Providers"].note == "not looked at for long: OpenAI"


def test_an_error_in_a_library_names_our_place_too() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        found = failures.described(error)
    assert re.fullmatch(r"JSONDecodeError at test_admin_front\.py:\d+, in decoder\.py:\d+", found)
    assert failures.described(None) == "NoneType at ?"


def test_an_operator_runs_a_task_at_once_but_not_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(celery.app, "send_task", lambda name, **_: sent.append(name))
    operator, other = staff_client("operator"), TaskState.objects.create(task="some.other")
    rows = [TaskState.objects.get(task="billing.tasks.roll_up").pk, other.pk]
    for _ in range(2):
        page = operator.post("/admin/triforce/taskstate/", {"action": "run_now", "_selected_action": rows}, follow=True)
        assert page.status_code == 200
    assert sent == ["billing.tasks.roll_up"]
    assert LogEntry.objects.filter(change_message__contains="run_now", object_repr="billing.tasks.roll_up").count() == 2
    staff_client("support").post("/admin/triforce/taskstate/", {"action": "run_now", "_selected_action": rows})
    assert len(sent) == 1


def test_a_broker_that_is_away_is_said(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(name: str, **_: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(celery.app, "send_task", away)
    form = {"action": "run_now", "_selected_action": [TaskState.objects.get(task="billing.tasks.roll_up").pk]}
    page = root.post("/admin/triforce/taskstate/", form, follow=True, headers={"Accept-Language": "en"})
    assert "cannot be reached" in page.content.decode()


def test_events_of_stripes_that_failed_are_seen(root: Client, settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = "sk_test_x"

    def came(name: str, **fields: Any) -> WebhookEventTrigger:
        body = json.dumps({"id": name, "type": "invoice.paid"})
        values = {"valid": True, "processed": False, "exception": "boom", "traceback": "Traceback: boom"}
        return WebhookEventTrigger.objects.create(remote_ip="192.0.2.1", headers={}, body=body, **{**values, **fields})

    came("evt_1"), came("evt_1"), came("evt_2")
    came("evt_stranger", valid=False), came("evt_fine", processed=True, exception="", traceback="")
    WebhookEventTrigger.objects.filter(pk=came("evt_old").pk).update(created=clock.now() - timedelta(days=2))
    Event.objects.create(id="evt_2", type="invoice.paid", data={})  # sent again, and handled
    found = tiles(root)["Failed events of Stripe's"]
    assert (found.value, found.look, found.note) == ("1", "bad", "invoice.paid (1)")
    page = root.get(found.link)
    assert len(page.context["cl"].result_list) == 4 and "evt_1" in page.content.decode() and "boom" in page.content.decode()
    row = WebhookEventTrigger.objects.earliest("pk")
    assert "Traceback: boom" in root.get(f"/admin/djstripe/webhookeventtrigger/{row.pk}/change/").content.decode()


def test_a_task_that_runs_every_second_is_not_noted_every_second(noted: None, django_assert_num_queries: Any) -> None:
    sometimes.apply(args=[False])
    with django_assert_num_queries(0):
        sometimes.apply(args=[False])


def test_the_list_of_tasks_says_when_each_is_due(root: Client) -> None:
    TaskState.objects.create(task="some.other")
    assert {*EVERY, *DAILY, "some.other"} == set(TaskState.objects.values_list("task", flat=True))
    page = root.get("/admin/triforce/taskstate/", headers={"Accept-Language": "en"}).content.decode()
    assert "every 5 s" in page and "3:17" in page
