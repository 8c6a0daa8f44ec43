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


def answered(monkeypatch: pytest.MonkeyPatch, model: str, tokens: tuple[int, int], charged: int | None = None, **fields: bool) -> None:
    """An answer of yesterday for which 300 tokens were held."""
    now = clock.now()
    with monkeypatch.context() as patch:
        patch.setattr(clock, "now", lambda: now - timedelta(days=1))
        held = quota.reserve(
            request_id=uuid4().hex, holder=Holder("user:1", None, "pro", 0), usage_class="cloud", input_bound=100, output=200,
            entry_point="test", model=model,
        )  # fmt: skip
        settlement = Settlement(
            state="settled", rule="answered", charged=sum(tokens) if charged is None else charged, served_model=model,
            input_tokens=tokens[0], output_tokens=tokens[1], **fields,
        )  # fmt: skip
        quota.settle(held.request_id, settlement)


def test_what_providers_report_is_compared_with_what_was_charged(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OPERATOR_EMAILS = ["op@example.org"]
    day = clock.now().date() - timedelta(days=1)
    answered(monkeypatch, "ollama/a", (100, 150))
    answered(monkeypatch, "ollama/a", (100, 203))  # three above what was held: not one in a hundred
    answered(monkeypatch, "ollama/b", (0, 900), estimated=True)  # nothing was reported
    answered(monkeypatch, "groq/a", (100, 201))
    answered(monkeypatch, "groq/b", (100, 300))
    answered(monkeypatch, "xai/a", (100, 100), charged=150)
    wrong = [
        f"groq {day}: reported 701 tokens, charged 600: 101 were above what had been held, most of them by groq/b",
        f"xai {day}: reported 200 tokens, charged 150: the charges are wrong",
    ]
    assert audit.audit() == audit.audit() == wrong
    mail = OutboxMail.objects.get()
    assert mail.to == "op@example.org" and all(line in mail.body for line in wrong)


def test_how_many_tokens_were_above_what_was_held_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    answered(monkeypatch, "ollama/a", (100, 203))
    with caplog.at_level("INFO", "billing.audit"):
        audit.audit()
    assert "ollama reported 303 tokens" in caplog.text and "3 of them above what was held" in caplog.text
