"""What operators see and do in the admin: tiers, providers, models, prices, the ledger."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing.models import OutboxMail, Price, Subscription, Tier, UsageDay, UsageEvent
from billing.tiers import guest_tier, tier_for
from llm.catalogue import get_model, models_for
from llm.models import LanguageModel, Provider
from llm.prices import propose
from tests.staff import enter

pytestmark = pytest.mark.django_db
OSS = "ollama/gpt-oss:20b-cloud"


@pytest.fixture
def operator(client: Client) -> Client:
    enter(client, User.objects.create_superuser("root@example.org", "x"))
    return client


@pytest.fixture
def rows() -> dict[type, Any]:
    """One row of everything that the pages show."""
    now, user = timezone.now(), User.objects.create_user("alice@example.org")
    event = UsageEvent.objects.create(
        request_id="r-1", account=user, subject=user.subject, tier="pro", entry_point="client", day=now.date(), usage_class="cloud",
        requested_model=OSS, reserved=10, created=now, expires=now,
    )  # fmt: skip
    return {
        Tier: guest_tier(),
        Subscription: Subscription.objects.create(user=user, tier=Tier.objects.get(slug="pro")),
        UsageDay: UsageDay.objects.create(subject=user.subject, usage_class="cloud", day=now.date()),
        UsageEvent: event,
        OutboxMail: OutboxMail.objects.create(dedupe="d", to="a@example.org", subject="s", body="a link that signs in"),
        Provider: Provider.objects.get(slug="openai"),
        LanguageModel: LanguageModel.objects.get(model_id=OSS),
        Price: Price.objects.create(model_id=OSS, input=1, output=1, source="live"),
    }


def page(model: type, name: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_{name}", args=args)  # type: ignore[attr-defined]


LEDGER = (UsageDay, UsageEvent, OutboxMail)


@pytest.mark.parametrize("kind", [Tier, Subscription, Provider, LanguageModel, Price, *LEDGER])
def test_every_page_opens_and_searches(operator, rows, kind, settings):
    settings.PROVIDER_KEYS = {"openai": "sk-secret"}
    for url in (page(kind, "changelist"), page(kind, "changelist") + "?q=a", page(kind, "change", rows[kind].pk)):
        response = operator.get(url)
        assert response.status_code == 200
        assert b"sk-secret" not in response.content and b"a link that signs in" not in response.content


@pytest.mark.parametrize("kind", LEDGER)
def test_nobody_writes_the_ledger_by_hand(operator, rows, kind):
    assert operator.get(page(kind, "add")).status_code == 403
    assert operator.post(page(kind, "change", rows[kind].pk), {}).status_code == 403
    assert operator.post(page(kind, "delete", rows[kind].pk), {"post": "yes"}).status_code == 403


def act(operator: Client, kind: type, action: str, *rows: Any) -> None:
    operator.post(page(kind, "changelist"), {"action": action, "_selected_action": [row.pk for row in rows]})


def test_a_model_is_switched_off_and_on_at_once(operator, rows):
    act(operator, LanguageModel, "disable", rows[LanguageModel])
    assert len(models_for(guest_tier())) == 19
    act(operator, LanguageModel, "enable", rows[LanguageModel])
    assert len(models_for(guest_tier())) == 20


def test_a_model_of_unknown_abilities_can_be_added_and_is_pinned(operator, rows):
    values = {
        "provider": rows[Provider].pk, "native_id": "gpt-new", "min_tier": guest_tier().pk, "enabled": "on", "listed": "on",
        "position": 30, "fallback": "", "capabilities": "", "aliases": "",
    }  # fmt: skip
    assert operator.post(page(LanguageModel, "add"), values).status_code == 302
    row = LanguageModel.objects.get(model_id="openai/gpt-new")
    assert (row.capabilities, row.source) == ([], "seed")


def test_a_price_that_waits_is_approved(operator, rows):
    model = rows[LanguageModel]
    propose(model, {"input": 1, "output": 2}, "live")
    held = propose(model, {"input": 9, "output": 2}, "live")
    act(operator, Price, "use", held)
    assert get_model(OSS, guest_tier()).price_id == held.pk


def test_an_operators_price_is_a_new_version_and_none_is_changed(operator, rows):
    values = {"model_id": OSS, "input": "0.5", "output": "1.5"}
    assert operator.post(page(Price, "add"), values).status_code == 302
    price = LanguageModel.objects.get(model_id=OSS).price
    assert (float(price.input), price.source) == (0.5, "operator root@example.org")
    assert operator.post(page(Price, "change", price.pk), {**values, "input": "9"}).status_code == 403


def test_a_limit_holds_at_once_and_a_subscription_is_ended(operator, rows):
    Tier.objects.filter(slug="guest").update(daily_tokens=7)
    assert guest_tier().daily_tokens == 7
    subscription = rows[Subscription]
    assert tier_for(subscription.user).slug == "pro"
    act(operator, Subscription, "end_now", subscription)
    assert tier_for(subscription.user).is_default
