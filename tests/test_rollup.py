"""Adding receipts up: each once, none before it is closed, with what providers take for them; and what another limit would have done."""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from billing import clock, rollup
from billing.figures import Figures, Mark, TierDay
from billing.models import Price, Subscription, Tier, UsageEvent
from billing.preview import preview
from billing.tiers import get_tier
from billing.visitors import CARRIED_OVER, carry_over

pytestmark = pytest.mark.django_db
MODEL = "openai/gpt-test"


def receipt(name: str, *, age: int = 120, **fields: Any) -> UsageEvent:
    created = clock.now() - timedelta(seconds=age)
    values = {
        "request_id": name, "subject": "user:1", "tier": "pro", "entry_point": "client", "day": created.date(), "usage_class": "cloud",
        "requested_model": MODEL, "served_model": MODEL, "state": "settled", "reserved": 100, "charged": 100, "input_tokens": 60,
        "output_tokens": 40, "created": created, "expires": created, "closed": created,
    }  # fmt: skip
    return UsageEvent.objects.create(**{**values, **fields})


def price(**fields: Any) -> Price:
    return Price.objects.create(model_id=MODEL, source="test", **{"input": 2, "output": 10, **fields})


def test_each_receipt_is_added_once() -> None:
    receipt("a"), receipt("b", served_model="", error_code="upstream_error", charged=0, output_tokens=0, input_tokens=0)
    receipt("c", estimated=True, over_limit=True, subject="user:2")
    assert rollup.roll_up() == 3
    assert rollup.roll_up() == 0
    row = Figures.objects.get()
    assert (row.requests, row.errors, row.estimated, row.over_limit, row.charged) == (3, 1, 1, 1, 200)
    assert sorted(TierDay.objects.values_list("subject", "requests", "counted", "over_limit")) == [
        ("user:1", 2, 100, 0),
        ("user:2", 1, 100, 1),
    ]
    receipt("d")
    assert rollup.roll_up() == 1
    assert Figures.objects.get().requests == 4
    assert TierDay.objects.get(subject="user:1").requests == 3


def test_what_is_open_or_young_waits_and_keeps_those_after_it_waiting() -> None:
    receipt("a")
    running = receipt("b", state="open", closed=None)
    receipt("c"), receipt("young", age=1)
    assert rollup.roll_up() == 1
    UsageEvent.objects.filter(pk=running.pk).update(state="settled")
    assert rollup.roll_up() == 2
    assert rollup.roll_up(clock.now() + timedelta(minutes=5)) == 1
    assert Figures.objects.get().requests == 4
    assert Mark.objects.get().receipt == UsageEvent.objects.latest("pk").pk


def test_the_steps_are_small_and_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup, "STEP", 2)
    for number in range(5):
        receipt(str(number), subject=f"user:{number % 2}")
    assert rollup.roll_up() == 5
    assert Figures.objects.get().requests == 5
    assert sum(TierDay.objects.values_list("counted", flat=True)) == 500


def test_the_spend_goes_by_the_receipts_price_version() -> None:
    cheap, dear = price(), price(input=20, output=100, cached_input=1)
    receipt("a", price_version=cheap.pk, input_tokens=1_000_000, output_tokens=500_000)  # 2 + 5
    receipt("b", price_version=dear.pk, input_tokens=1_000_000, cached_input_tokens=1_000_000, output_tokens=0)  # 1
    receipt("c", price_version=cheap.pk, input_tokens=0, cached_input_tokens=0, cache_write_tokens=0, output_tokens=0)
    receipt("d", price_version=None)
    rollup.roll_up()
    row = Figures.objects.get()
    assert (row.spend, row.unpriced) == (Decimal(8), 1)


def test_the_days_of_subjects_are_forgotten_after_their_time() -> None:
    today = clock.now().date()
    for back in (0, rollup.KEPT, rollup.KEPT + 1):
        TierDay.objects.create(day=today - timedelta(days=back), tier="pro", subject="user:1")
    assert rollup.purge() == 1


# -- what another limit would have done -------------------------------------------------------------------------------


def day(subject: str, counted: int, *, back: int = 1, tier: str = "registered", tokens: int | None = None) -> TierDay:
    when = clock.now().date() - timedelta(days=back)
    return TierDay.objects.create(day=when, tier=tier, subject=subject, counted=counted, tokens=tokens or counted, requests=1)


def changed(slug: str, **values: Any) -> tuple[Tier, Tier]:
    before = Tier.objects.get(slug=slug)
    after = copy(before)
    for name, value in values.items():
        setattr(after, name, value)
    return before, after


def test_the_preview_names_who_would_have_been_stopped_and_when() -> None:
    alice = User.objects.create_user("alice@example.org")
    day(alice.subject, 60_000, back=2), day(alice.subject, 99_000, back=1), day("user:999", 20_000), day("guest:x", 30_001)
    day(alice.subject, 90_000, back=40), day("user:7", 90_000, tier="pro")
    found = preview(*changed("registered", daily_tokens=30_000))
    (effect,) = found.effects
    assert [(one.subject, len(one.days), one.amount) for one in effect.stopped] == [(alice.subject, 2, 99_000), ("guest:x", 1, 1)]
    assert (found.reached, effect.more) == (1, False)
    for limit in (0, 99_000):
        assert preview(*changed("registered", daily_tokens=limit)).effects[0].stopped == ()
    assert preview(*changed("registered", price_monthly=Decimal(1))).effects == ()


def test_what_did_not_count_counts_where_the_change_says_so() -> None:
    day("user:1", 10, tokens=900_000, tier="pro")
    assert preview(*changed("pro", daily_tokens=200_000)).tokens_stopped == 0
    assert preview(*changed("pro", ollama_unlimited=False)).tokens_stopped == 650_000


def test_the_preview_says_what_it_costs_and_leaves(settings: Any) -> None:
    settings.EUR_PER_USD = 0.5
    user, today = User.objects.create_user("alice@example.org"), clock.now().date()
    paid = {"user": user, "tier": get_tier("pro"), "source": "stripe"}
    Subscription.objects.create(**paid, interval="month", amount=Decimal("17.99"))  # bought when it was cheaper
    Subscription.objects.create(**paid, interval="year", amount=Decimal(12))
    Subscription.objects.create(**{**paid, "tier": get_tier("enterprise")}, interval="month", amount=Decimal(60))
    Subscription.objects.create(user=user, tier=get_tier("pro"), source="grant")
    Figures.objects.create(day=today, tier="pro", model_id=MODEL, requests=3, charged=1000, counted=1000, spend=Decimal(8),
                           counted_spend=Decimal(8), unpriced=1)  # fmt: skip
    Figures.objects.create(day=today, tier="registered", model_id=MODEL, requests=3, charged=1000, spend=Decimal(80))
    day("user:1", 1000, tier="pro")
    found = preview(*changed("pro", daily_tokens=750, price_monthly=Decimal(40), price_yearly=Decimal(400)))
    assert (found.cost, found.saved, found.unpriced) == (Decimal(4), Decimal(1), 1)
    assert found.revenue == Decimal("18.99")  # a new price is for new customers
    assert (found.margin_before, found.margin_after) == (Decimal("14.99"), Decimal("15.99"))
    assert preview(*changed("pro", daily_tokens=750, shadow=True)).saved == 0  # on trial nobody is stopped


def test_what_is_saved_is_a_part_of_what_counts(settings: Any) -> None:
    settings.EUR_PER_USD = 1
    today = clock.now().date()
    values = {"tier": "pro", "charged": 10_000, "counted": 1000, "spend": Decimal(9), "counted_spend": Decimal(8)}
    Figures.objects.create(day=today, model_id=MODEL, **values)
    Figures.objects.create(day=today - timedelta(days=30), model_id=MODEL, **values)  # the thirty-first day, today included
    day("user:1", 1000, tier="pro", tokens=10_000), day("user:2", 1000, tier="pro", tokens=10_000, back=30)
    found = preview(*changed("pro", daily_tokens=500))
    assert (found.cost, found.saved) == (Decimal(9), Decimal(4))  # half of what counts, not a twentieth of everything
    found = preview(*changed("pro", daily_tokens=5000, ollama_unlimited=False))
    assert found.saved == Decimal("4.5")


def test_what_counts_is_told_from_what_does_not() -> None:
    each = price()
    receipt("a", price_version=each.pk, output_tokens=0, input_tokens=500_000)
    receipt("b", price_version=each.pk, output_tokens=0, input_tokens=500_000, usage_class="unlimited", charged=900)
    rollup.roll_up()
    row = Figures.objects.get()
    assert (row.charged, row.counted, row.spend, row.counted_spend) == (1000, 100, Decimal(2), Decimal(1))


def test_what_a_guest_brings_along_is_summed_up_once() -> None:
    guest = receipt("a", tier="guest", subject="guest:x", visitor="v")
    alice = User.objects.create_user("alice@example.org")
    assert carry_over("v", account_id=alice.pk, subject=alice.subject, tier="registered") == guest.charged
    rollup.roll_up(clock.now() + timedelta(minutes=5))
    assert list(Figures.objects.values_list("tier", "model_id", "requests", "charged")) == [("guest", MODEL, 1, 100)]
    assert TierDay.objects.get(subject=alice.subject).counted == 100  # which counts against the account's day


def test_sums_of_other_rules_are_made_anew() -> None:
    receipt("a"), receipt("b", subject="user:2")
    rollup.roll_up()
    right = list(Figures.objects.values_list("day", "tier", "model_id", "requests", "charged", "counted"))
    Figures.objects.update(requests=7, counted=0), TierDay.objects.update(counted=3)
    assert rollup.roll_up() == 0
    Mark.objects.update(rules=0)
    assert rollup.roll_up() == 2
    assert list(Figures.objects.values_list("day", "tier", "model_id", "requests", "charged", "counted")) == right
    assert set(TierDay.objects.values_list("subject", "counted")) == {("user:1", 100), ("user:2", 100)}


def test_the_preview_never_reads_a_receipt(django_assert_max_num_queries: Any) -> None:
    day("user:1", 1000)
    with django_assert_max_num_queries(8) as queries:
        preview(*changed("registered", daily_tokens=500, requests_per_minute=1, concurrency=1))
    assert isinstance(queries, CaptureQueriesContext)
    assert not [query["sql"] for query in queries.captured_queries if "billing_usageevent" in query["sql"] or "usageday" in query["sql"]]


# -- peaks -----------------------------------------------------------------------------------------------------------


def asked(name: str, second: float, *, lasts: float = 1, **fields: Any) -> UsageEvent:
    """A receipt so many seconds after noon of yesterday."""
    noon = datetime.combine(clock.now().date() - timedelta(days=1), time(12), UTC)
    created = noon + timedelta(seconds=second)
    times = {"day": noon.date(), "created": created, "expires": created, "closed": created + timedelta(seconds=lasts)}
    return receipt(name, **{**times, **fields})


def peaks_of(subject: str = "user:1") -> tuple[int, int]:
    return TierDay.objects.values_list("minute_peak", "at_once").get(subject=subject)


def test_the_most_in_a_minute_and_at_once_is_kept() -> None:
    for number, second in enumerate((10, 20, 30, 61, 119)):
        asked(str(number), second, lasts=15)
    asked("other", 25, subject="user:2")
    rollup.roll_up()
    assert peaks_of() == (3, 2)
    assert peaks_of("user:2") == (1, 1)


@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_a_step_that_ends_within_a_minute_changes_no_peak(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(rollup, "STEP", step)
    for number in range(6):
        asked(str(number), 5 * number, lasts=12, subject=f"user:{number % 2}")
    assert rollup.roll_up() == 6
    if step > 2:
        assert peaks_of("user:0") == peaks_of("user:1") == (3, 2)
    monkeypatch.undo()
    Mark.objects.update(rules=0)
    rollup.roll_up()
    assert peaks_of("user:0") == peaks_of("user:1") == (3, 2)


def test_what_a_guest_brings_along_is_no_request() -> None:
    asked("a", 1), asked("b", 2, rule=CARRIED_OVER)
    rollup.roll_up()
    assert peaks_of() == (1, 1)
