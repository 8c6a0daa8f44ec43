"""Operators are told of what needs them, once a day."""

from decimal import Decimal

import pytest

from billing.models import OutboxMail, Price
from llm import alerts
from llm.models import Provider, Status

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def an_operator(settings) -> None:
    settings.OPERATOR_EMAILS = ["op@example.org"]
    settings.PROVIDER_KEYS = {**settings.PROVIDER_KEYS, "openai": "sk-test"}


def subjects() -> list[str]:
    return list(OutboxMail.objects.values_list("subject", flat=True))


def test_a_keyed_provider_that_is_offline_is_told_once() -> None:
    Provider.objects.filter(slug__in=["openai", "ollama", "mistral"]).update(status=Status.OFFLINE)
    alerts.tell_of_providers()
    alerts.tell_of_providers()
    assert subjects() == ["[TriForce] OpenAI is offline"]


def test_prices_that_wait_are_told() -> None:
    Price.objects.create(model_id="openai/x", input=Decimal(1), output=Decimal(2), source="live", approved=False)
    alerts.tell_of_providers()
    assert subjects() == ["[TriForce] 1 prices wait for your approval"]


def test_all_well_is_no_mail() -> None:
    alerts.tell_of_providers()
    assert subjects() == []
