"""The nightly look at the books."""

from datetime import timedelta
from uuid import uuid4

import pytest

from billing import audit, clock, quota
from billing.models import OutboxMail, UsageDay, UsageEvent
from billing.quota import Holder, Settlement

pytestmark = pytest.mark.django_db


@pytest.fixture
def yesterday(monkeypatch: pytest.MonkeyPatch, settings) -> None:
    settings.OPERATOR_EMAILS = ["op@example.org"]
    now = clock.now()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: now - timedelta(days=1))
        for charged in (100, None):
            held = quota.reserve(
                request_id=uuid4().hex,
                holder=Holder("user:1", None, "pro", 1000, key_id=3, key_limit=900),
                usage_class="cloud",
                input_bound=100,
                output=200,
                entry_point="test",
                model="m",
            )
            if charged:
                quota.settle(held.request_id, Settlement(state="settled", rule="answered", charged=charged))


def test_books_that_agree_are_left_in_peace(yesterday: None) -> None:
    assert audit.audit() == []
    assert not OutboxMail.objects.exists()


def test_a_counter_that_receipts_do_not_explain_is_told_once(yesterday: None) -> None:
    UsageDay.objects.filter(subject="user:1").update(used=150)
    assert len(audit.audit()) == 1
    assert len(audit.audit()) == 1
    assert OutboxMail.objects.get().to == "op@example.org"


def test_receipts_without_a_counter_are_found(yesterday: None) -> None:
    UsageDay.objects.filter(subject="user:1").delete()
    assert "without a counter" in audit.audit()[0]
    assert UsageEvent.objects.count() == 2
