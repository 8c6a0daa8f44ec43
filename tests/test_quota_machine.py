"""P2: whatever is done in whatever order, the database says what a simple model of it says."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from billing import clock, quota
from billing.errors import QuotaExceeded
from billing.models import UsageDay, UsageEvent
from billing.quota import Holder, Reservation, Settlement

LIMITS = [0, 500, 1000, 5000]
Counter = tuple[date, str]  # a day and its class


class QuotaMachine(RuleBasedStateMachine):
    """An account that reserves, moves, settles, cancels, expires, changes its tier and lives through midnight."""

    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        self.subject = f"user:{uuid4().hex}"
        self.limit = 1000
        self.now = datetime(2026, 3, 28, 12, tzinfo=UTC)
        self.held: dict[str, tuple[Counter, int, int]] = {}  # request -> (its counter, reserved, checkpoint)
        self.used: dict[Counter, int] = {}
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(clock, "now", lambda: self.now)

    def teardown(self) -> None:
        self.patch.undo()

    def reserved(self, counter: Counter) -> int:
        return sum(tokens for held_by, tokens, _ in self.held.values() if held_by == counter)

    def room(self, day: date | None = None) -> int | None:
        counter = (day or self.now.date(), "cloud")
        return self.limit - self.used.get(counter, 0) - self.reserved(counter) if self.limit else None

    @rule(target=reservations, bound=st.integers(1, 600), output=st.integers(1, 2000))
    def reserve(self, bound: int, output: int) -> Reservation | None:
        least, room = bound + min(output, 256), self.room()
        holder = Holder(self.subject, None, "registered", self.limit)
        try:
            reservation = quota.reserve(
                request_id=uuid4().hex, holder=holder, usage_class="cloud", input_bound=bound, output=output, entry_point="t", model="m"
            )
        except QuotaExceeded:
            # a refusal sweeps first: what had expired is settled now
            self.expire_due()
            room = self.room()
            assert room is not None and room < least
            return None
        if room is not None and room < bound + output:
            self.expire_due()
            room = self.room()
        assert reservation.reserved == (bound + output if room is None else min(bound + output, room))
        self.held[reservation.request_id] = ((self.now.date(), "cloud"), reservation.reserved, 0)
        return reservation

    @rule(reservation=reservations, klass=st.sampled_from(["cloud", "unlimited"]))
    def move(self, reservation: Reservation | None, klass: str) -> None:
        held = reservation and self.held.get(reservation.request_id)
        if reservation is None or held is None:
            assert reservation is None or klass == "cloud" or quota.move(reservation, klass) is None
            return
        (day, before), tokens, output = held
        room = self.room(day) if klass == "cloud" != before else None
        holder = replace(reservation.holder, limit=self.limit)
        moved = quota.move(replace(reservation, holder=holder, usage_class=before), klass)
        assert (moved is None) == (room is not None and tokens > room)
        if moved:
            self.held[reservation.request_id] = ((day, klass), tokens, output)

    @rule(reservation=reservations, charged=st.integers(0, 3000))
    def settle(self, reservation: Reservation | None, charged: int) -> None:
        if reservation is None:
            return
        done = quota.settle(reservation.request_id, Settlement(state="settled", rule="answered", charged=charged))
        held = self.held.pop(reservation.request_id, None)
        assert (done is None) == (held is None)
        if held:
            counter, tokens, _ = held
            self.used[counter] = self.used.get(counter, 0) + min(charged, tokens)

    @rule(reservation=consumes(reservations))
    def cancel(self, reservation: Reservation | None) -> None:
        self.settle(reservation, 0)

    @rule(reservation=reservations, output=st.integers(0, 2000))
    def checkpoint(self, reservation: Reservation | None, output: int) -> None:
        if reservation and reservation.request_id in self.held:
            quota.checkpoint([(reservation.request_id, output)])
            counter, tokens, _ = self.held[reservation.request_id]
            self.held[reservation.request_id] = (counter, tokens, output)

    @rule()
    def expire_all(self) -> None:
        UsageEvent.objects.filter(subject=self.subject, state="open").update(expires=self.now - timedelta(seconds=1))
        quota.sweep(self.subject)
        for request_id in list(self.held):
            self.swept(request_id)

    def expire_due(self) -> None:
        """What the sweeper took along, as the database says: leases that ended at the last midnight."""
        open_now = set(UsageEvent.objects.filter(subject=self.subject, state="open").values_list("request_id", flat=True))
        for request_id in set(self.held) - open_now:
            self.swept(request_id)

    def swept(self, request_id: str) -> None:
        counter, tokens, output = self.held.pop(request_id)
        self.used[counter] = self.used.get(counter, 0) + min(output, tokens)

    @rule(limit=st.sampled_from(LIMITS))
    def change_tier(self, limit: int) -> None:
        self.limit = limit

    @rule()
    def midnight(self) -> None:
        self.now = datetime.combine(self.now.date() + timedelta(days=1), datetime.min.time(), UTC)

    @invariant()
    def the_database_agrees(self) -> None:
        rows = {(row.day, row.usage_class): row for row in UsageDay.objects.filter(subject=self.subject)}
        for counter in {*rows, *self.used, *(held_by for held_by, _, _ in self.held.values())}:
            assert (rows[counter].used, rows[counter].reserved) == (self.used.get(counter, 0), self.reserved(counter))


class TestP02(QuotaMachine.TestCase, TestCase):  # type: ignore[misc,valid-type]
    settings = settings(max_examples=60, stateful_step_count=30, deadline=None)  # type: ignore[assignment]
