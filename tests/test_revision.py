"""Reference data in memory is never behind a commit of its own process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from billing.revision import Revision, Snapshot

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows() -> list[str]:
    """Stands for a table."""
    return ["old"]


@pytest.fixture
def snapshot(rows: list[str]) -> Iterator[Snapshot[str]]:
    made = Snapshot("test", lambda: rows[0])
    yield made
    Snapshot._all.remove(made)


def test_a_value_is_kept_while_nothing_changes(snapshot: Snapshot[str], rows: list[str]) -> None:
    assert snapshot.get() == "old"
    rows[0] = "new"  # without a revision, as nobody may write
    assert snapshot.get() == "old"


def test_a_commit_is_seen_at_once(snapshot: Snapshot[str], rows: list[str]) -> None:
    assert snapshot.get() == "old"
    rows[0] = "new"
    Revision.bump("test")
    assert snapshot.get() == "new"


def test_a_commit_while_another_thread_loads_is_seen_by_the_next_request(snapshot: Snapshot[str], rows: list[str]) -> None:
    def load() -> str:
        value = rows[0]
        if value == "old":
            rows[0] = "new"
            Revision.bump("test")
        return value

    snapshot.load = load
    assert snapshot.get() == "old"
    assert snapshot.get() == "new"
