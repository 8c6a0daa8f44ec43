"""The meter itself, on whichever database the tests run on."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from billing import clock, db, patience, quota
from billing.errors import QuotaExceeded, ServiceUnavailable
from billing.models import UsageClass, UsageDay, UsageEvent
from billing.quota import Holder, Reservation, Settlement

ALICE = Holder("user:alice", None, "registered", 1000)


def reserve(holder: Holder = ALICE, *, input_bound: int = 100, output: int = 200, klass: str = UsageClass.CLOUD) -> Reservation:
    return quota.reserve(
        request_id=uuid4().hex, holder=holder, usage_class=klass, input_bound=input_bound, output=output, entry_point="test", model="m"
    )


def settle(reservation: Reservation, charged: int) -> tuple[int, quota.Balance] | None:
    return quota.settle(reservation.request_id, Settlement(state=UsageEvent.State.SETTLED, rule="answered", charged=charged))


def day(subject: str = "user:alice", klass: str = UsageClass.CLOUD) -> UsageDay:
    return UsageDay.objects.get(subject=subject, usage_class=klass)


@pytest.mark.django_db
def test_it_holds_then_charges() -> None:
    reservation = reserve()
    assert (day().used, day().reserved) == (0, 300)
    charged, balance = settle(reservation, 120) or pytest.fail("not settled")
    assert (charged, balance.used, balance.reserved, balance.remaining) == (120, 120, 0, 880)


@pytest.mark.django_db
def test_it_settles_once() -> None:
    reservation = reserve()
    settle(reservation, 120)
    assert settle(reservation, 120) is None
    assert (day().used, day().reserved) == (120, 0)


@pytest.mark.django_db
def test_it_never_charges_more_than_was_held_and_keeps_the_true_count() -> None:
    reservation = reserve()
    quota.settle(reservation.request_id, Settlement(state="settled", rule="answered", charged=5000, input_tokens=4000, output_tokens=1000))
    event = UsageEvent.objects.get(request_id=reservation.request_id)
    assert (event.charged, event.input_tokens, event.output_tokens) == (300, 4000, 1000)


@pytest.mark.django_db
def test_it_cuts_the_output_to_what_is_left() -> None:
    reserve(output=500)
    assert reserve(input_bound=50, output=4096).reserved == 400


@pytest.mark.django_db
def test_it_refuses_less_than_input_and_256() -> None:
    reserve(output=500)
    with pytest.raises(QuotaExceeded) as refusal:
        reserve(input_bound=200, output=4096)
    extra = refusal.value.extra
    assert (extra["limit"], extra["used"], extra["reserved"], extra["needed"]) == (1000, 0, 600, 456)
    assert extra["resets_at"].endswith("T00:00:00Z")
    assert abs(int(refusal.value.headers["Retry-After"]) - (clock.resets_at(clock.now().date()) - clock.now()).total_seconds()) <= 2
    assert UsageEvent.objects.count() == 1


@pytest.mark.django_db
def test_it_refuses_a_first_request_over_the_limit() -> None:
    with pytest.raises(QuotaExceeded):
        reserve(input_bound=2000)
    assert not UsageEvent.objects.exists()


@pytest.mark.django_db
def test_it_has_no_limit_where_the_tier_has_none() -> None:
    holder = Holder("user:bob", None, "enterprise", 0)
    assert reserve(holder, input_bound=10**9).reserved == 10**9 + 200


@pytest.mark.django_db
def test_it_counts_the_unlimited_class_without_a_limit() -> None:
    settle(reserve(input_bound=5000, klass=UsageClass.UNLIMITED), 5100)
    assert day(klass=UsageClass.UNLIMITED).used == 5100
    assert reserve().reserved == 300


@pytest.mark.django_db
def test_it_holds_on_a_keys_own_limit_too_or_on_neither() -> None:
    holder = Holder("user:alice", None, "registered", 1000, key_id=7, key_limit=400)
    first = reserve(holder, input_bound=50, output=100)
    with pytest.raises(QuotaExceeded) as refusal:
        reserve(holder, input_bound=100, output=300)
    assert refusal.value.extra["scope"] == "api_key"
    assert (day().reserved, day("key:7").reserved) == (150, 150)
    settle(first, 90)
    assert (day().used, day().reserved, day("key:7").used, day("key:7").reserved) == (90, 0, 90, 0)


@pytest.mark.django_db
def test_it_moves_a_reservation_into_the_answering_class() -> None:
    moved = quota.move(reserve(), UsageClass.UNLIMITED)
    assert moved is not None
    assert (day().reserved, day(klass=UsageClass.UNLIMITED).reserved) == (0, 300)
    settle(moved, 120)
    assert (day().used, day(klass=UsageClass.UNLIMITED).used) == (0, 120)


@pytest.mark.django_db
def test_it_does_not_move_into_a_class_without_room() -> None:
    reserve(input_bound=700)
    held = reserve(klass=UsageClass.UNLIMITED)
    assert quota.move(held, UsageClass.CLOUD) is None
    assert (day().reserved, day(klass=UsageClass.UNLIMITED).reserved) == (900, 300)


def waiting_for_a_lock() -> bool:
    """Does a connection of ours wait for another?"""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        return cursor.fetchone()[0] > 0


@pytest.mark.only_on("postgresql")
@pytest.mark.parametrize("key_limit", [0, 400])
def test_what_settles_during_a_move_counts_where_the_receipt_went(committed: None, key_limit: int) -> None:
    """Its statement began before the other class had a counter, and waits for a receipt that is no longer of the class it read."""
    held = reserve(Holder("user:alice", None, "registered", 1000, key_id=7 if key_limit else None, key_limit=key_limit))

    def settle_meanwhile() -> tuple[int, quota.Balance] | None:
        try:
            return settle(held, 120)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            assert quota.move(held, UsageClass.UNLIMITED)
            settling = thread.submit(settle_meanwhile)
            while not waiting_for_a_lock():
                assert not settling.done()
                time.sleep(0.005)
        charged, balance = settling.result(10) or pytest.fail("not settled")
    assert (charged, balance.used, balance.reserved) == (120, 120, 0)
    assert [(day(klass=klass).used, day(klass=klass).reserved) for klass in UsageClass] == [(0, 0), (120, 0)]
    if key_limit:
        assert (day("key:7").used, day("key:7").reserved) == (120, 0)


@pytest.mark.django_db
def test_it_sweeps_what_a_dead_process_left_and_charges_its_last_checkpoint() -> None:
    reservation = reserve()
    quota.checkpoint([(reservation.request_id, 40)])
    UsageEvent.objects.update(expires=clock.now() - timedelta(seconds=1))
    assert quota.sweep() == 1
    event = UsageEvent.objects.get()
    assert (event.state, event.charged, event.rule) == ("expired", 40, "broke_off")
    assert (day().used, day().reserved) == (40, 0)
    assert settle(reservation, 300) is None


@pytest.mark.django_db
def test_after_an_outage_the_living_renew_before_anybody_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    reservation = reserve()
    UsageEvent.objects.update(expires=clock.now() - timedelta(seconds=90))

    def away() -> None:
        raise OperationalError("the connection was lost")

    with monkeypatch.context() as here, pytest.raises(ServiceUnavailable):
        here.setattr(connection, "close", lambda: None)  # the test's own transaction is in it
        db.guarded(away)
    assert quota.sweep() == 0
    quota.checkpoint([(reservation.request_id, 40)])
    monkeypatch.setattr(db, "_away", time.monotonic() - quota.LIVING_SECONDS)
    assert quota.sweep() == 0
    UsageEvent.objects.update(expires=clock.now() - timedelta(seconds=1))
    assert quota.sweep() == 1


@pytest.mark.only_on("postgresql")
def test_of_two_in_each_others_way_both_are_done(committed: None) -> None:
    """A deadlock made on purpose: the one that the database undoes is tried again, and the database does not count as away."""
    first, second, both = reserve(), reserve(Holder("user:bob", None, "registered", 1000)), threading.Barrier(2)
    undone = []

    @db.tried_again
    def close(*reservations: Reservation) -> None:
        undone.append(reservations)
        with transaction.atomic():
            settle(reservations[0], 10)
            if len(undone) <= 2:
                both.wait(10)
            settle(reservations[1], 10)

    def one(*reservations: Reservation) -> None:
        db.guarded(close, *reservations)
        connection.close()

    with ThreadPoolExecutor(2) as threads:
        for future in [threads.submit(one, first, second), threads.submit(one, second, first)]:
            future.result(20)
    assert len(undone) > 2
    assert not db.away_within(60)
    assert [(day(subject).used, day(subject).reserved) for subject in ("user:alice", "user:bob")] == [(10, 0), (10, 0)]


@pytest.mark.only_on("postgresql")
def test_a_statement_that_the_database_ends_is_no_outage(committed: None) -> None:
    held = reserve()

    def too_long() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 1")
            cursor.execute("SELECT pg_sleep(1)")

    with pytest.raises(ServiceUnavailable):
        db.guarded(too_long)
    assert not db.away_within(60)
    assert settle(held, 10) is not None


@pytest.mark.django_db
def test_it_sweeps_an_account_before_it_refuses_it() -> None:
    reserve(input_bound=800)
    UsageEvent.objects.update(expires=clock.now() - timedelta(seconds=1))
    assert reserve(input_bound=800).reserved == 1000


@pytest.mark.django_db
def test_a_checkpoint_keeps_a_receipt_from_expiring() -> None:
    reservation = reserve()
    UsageEvent.objects.update(expires=clock.now() - timedelta(seconds=1))
    quota.checkpoint([(reservation.request_id, 1)])
    assert quota.sweep() == 0


@pytest.mark.django_db
@pytest.mark.parametrize("start", ["2026-03-29T23:59:59", "2026-10-25T23:59:59", "2026-12-31T23:59:59"])
def test_p07_midnight_charges_the_day_it_began(monkeypatch: pytest.MonkeyPatch, start: str) -> None:
    before = datetime.fromisoformat(start).replace(tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: before)
    reservation = reserve(input_bound=800)
    with pytest.raises(QuotaExceeded) as refusal:
        reserve()
    assert refusal.value.headers["Retry-After"] == "2"
    assert refusal.value.extra["resets_at"] == clock.stamp(before + timedelta(seconds=1))
    monkeypatch.setattr(clock, "now", lambda: before + timedelta(seconds=1))
    assert reserve(input_bound=800).reserved == 1000
    settle(reservation, 900)
    assert UsageDay.objects.get(day=before.date()).used == 900
    assert UsageDay.objects.get(day=before.date() + timedelta(days=1)).used == 0


@pytest.mark.django_db
def test_p08_an_upgrade_counts_at_once_and_a_downgrade_makes_nothing_negative() -> None:
    settle(reserve(input_bound=800), 1000)
    with pytest.raises(QuotaExceeded):
        reserve()
    pro = Holder("user:alice", None, "pro", 5000)
    settle(reserve(pro, input_bound=2000), 2200)
    with pytest.raises(QuotaExceeded) as refusal:
        reserve()
    assert refusal.value.extra["remaining"] == 0
    assert quota.left(ALICE, UsageClass.CLOUD, clock.now().date()) == 0


def test_p01_parallel_reservations_never_pass_the_limit(committed: None) -> None:
    """At the level of the statements; tests/test_overdraft.py does it through the server."""
    holder = Holder("user:parallel", None, "registered", 20_000)

    def one(number: int) -> None:
        try:
            reservation = reserve(holder, input_bound=100, output=1000)
        except QuotaExceeded:
            return
        finally:
            connection.close()
        if number % 3:
            settle(reservation, 700)
        connection.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one, range(200)))
    row = day("user:parallel")
    assert row.used + row.reserved <= 20_000
    assert row.used == sum(UsageEvent.objects.exclude(state="open").values_list("charged", flat=True))
    assert row.reserved == sum(UsageEvent.objects.filter(state="open").values_list("reserved", flat=True))
    assert row.used + row.reserved > 18_000


@pytest.mark.parametrize("subject", ["user:keyed", "guest:keyed"])
def test_parallel_requests_of_a_limited_key_take_both_counters_in_one_order(committed: None, subject: str) -> None:
    """Reserving and settling touch the same two rows; in different orders they would deadlock."""
    holder = Holder(subject, None, "registered", 0, key_id=9, key_limit=10**9)

    def cycles(_: int) -> int:
        for _cycle in range(25):
            settle(reserve(holder, input_bound=1, output=10), 5)
        connection.close()
        return 25

    with ThreadPoolExecutor(8) as threads:
        done = sum(threads.map(cycles, range(8)))
    assert (day(subject).used, day("key:9").used) == (5 * done, 5 * done)
    assert (day(subject).reserved, day("key:9").reserved) == (0, 0)


@pytest.mark.django_db
def test_the_sweep_goes_by_the_index_of_what_is_open() -> None:
    with CaptureQueriesContext(connection) as asked:
        quota.sweep()
    (query,) = asked.captured_queries
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off" if connection.vendor == "postgresql" else "SELECT 1")
        cursor.execute(f"EXPLAIN {'' if connection.vendor == 'postgresql' else 'QUERY PLAN'} {query['sql']}")
        assert "usage_event_open" in str(cursor.fetchall())


@pytest.mark.only_on("postgresql")
@pytest.mark.django_db
def test_only_a_migration_may_take_as_long_as_it_takes() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)  # of this thread, which has migrated
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(_statement_timeout).result(10) == f"{patience.STATEMENT_SECONDS // 60}min"


def _statement_timeout() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        (found,) = cursor.fetchone()
    connection.close()
    return str(found)
