"""On PostgreSQL: those who lock the same rows lock them in one order, so that nobody is thrown out for a stranger's sake."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from accounts.models import User
from billing import clock, quota
from billing.models import UsageDay, UsageEvent
from billing.quota import Holder, Reservation, Settlement
from billing.visitors import carry_over
from triforce.privacy import deletion
from triforce.privacy.deletion import delete_account

pytestmark = [pytest.mark.only_on("postgresql"), pytest.mark.usefixtures("committed")]
WAITS = 1.5  # seconds, more than PostgreSQL's deadlock_timeout: who waits longer looks first, and finds nothing yet


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[BaseException]]:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, failed


def holder(user: User, key_limit: int = 0) -> Holder:
    return Holder(user.subject, user.pk, "registered", 100_000, key_id=7 if key_limit else None, key_limit=key_limit)


def reserve(request_id: str, held: Holder, usage_class: str = "cloud") -> Reservation:
    return quota.reserve(
        request_id=request_id, holder=held, usage_class=usage_class, input_bound=10, output=90, entry_point="client", model="a/b"
    )


def done() -> Settlement:
    return Settlement(state="settled", rule="answered", charged=8)


def while_leaving(user: User, first: Callable[[], Any], then: Callable[[], Any] = lambda: None) -> None:
    """`first` in a transaction; its owner leaves, and waits for it; `then` in the same transaction. Both come through."""
    with transaction.atomic():
        first()
        leaving, failed = in_thread(lambda: delete_account(User.objects.get(pk=user.pk)))
        leaving.join(WAITS)
        assert leaving.is_alive()
        then()
    leaving.join(20)
    assert not leaving.is_alive() and not failed, failed
    assert not User.objects.filter(pk=user.pk).exists()
    assert not UsageDay.objects.filter(subject=user.subject).exists() and not UsageEvent.objects.filter(subject=user.subject).exists()


def test_leaving_while_a_request_begins(make_user: Callable[..., User]) -> None:
    user = make_user()
    reserve("one", holder(user))
    while_leaving(user, lambda: reserve("two", holder(user)))


def test_leaving_while_a_guests_tokens_are_carried_over(make_user: Callable[..., User]) -> None:
    user = make_user()
    reserve("one", holder(user))
    reserve("guest", Holder("guest:1", None, "guest", 100_000, visitor="v"))
    quota.settle("guest", done())
    while_leaving(user, lambda: carry_over("v", account_id=user.pk, subject=user.subject, tier="registered"))


def test_leaving_while_the_request_of_a_limited_key_ends(make_user: Callable[..., User]) -> None:
    user = make_user()
    reserve("one", holder(user, key_limit=1000))
    while_leaving(user, lambda: UsageEvent.objects.select_for_update().get(request_id="one"), lambda: quota.settle("one", done()))


def test_two_requests_move_in_opposite_directions(make_user: Callable[..., User]) -> None:
    held = holder(make_user())
    both = [reserve("one", held), reserve("two", held, "unlimited")]

    def back_and_forth(reservation: Reservation) -> None:
        for _ in range(300):
            moved = quota.move(reservation, "unlimited" if reservation.usage_class == "cloud" else "cloud")
            assert moved
            reservation = moved

    threads = [in_thread(lambda mine=mine: back_and_forth(mine)) for mine in both]
    for thread, failed in threads:
        thread.join(60)
        assert not thread.is_alive() and not failed, failed
    day = UsageDay.objects.filter(subject=held.subject, day=clock.now().date())
    assert sorted(day.values_list("usage_class", "reserved")) == [("cloud", 100), ("unlimited", 100)]


def test_who_leaves_is_tried_again_after_a_deadlock(make_user: Callable[..., User], monkeypatch: pytest.MonkeyPatch) -> None:
    user, turns = make_user(), []
    was = deletion._forget

    def unlucky(leaving: User) -> Any:
        turns.append(1)
        if len(turns) < deletion.TRIES:
            _deadlock()
        return was(leaving)

    monkeypatch.setattr(deletion, "_forget", unlucky)
    delete_account(user)
    assert len(turns) == deletion.TRIES and not User.objects.exists()


def _deadlock() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'as if' USING ERRCODE = 'deadlock_detected'; END $$")


def test_another_failure_is_not_tried_again(make_user: Callable[..., User], monkeypatch: pytest.MonkeyPatch) -> None:
    user, turns = make_user(), []

    def broken(leaving: User) -> Any:
        turns.append(1)
        raise OperationalError("away")

    monkeypatch.setattr(deletion, "_forget", broken)
    with pytest.raises(OperationalError):
        delete_account(user)
    assert len(turns) == 1
