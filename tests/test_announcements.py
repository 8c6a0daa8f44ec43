"""Announcements: on every page, in the reader's language, from a moment to another, for everybody or for some tiers; put away by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing.tiers import get_tier
from tests.staff import staff_client
from triforce.announcements import COOKIE, MOST_KEPT
from triforce.models import Announcement

pytestmark = pytest.mark.django_db


def announce(**fields: Any) -> Announcement:
    return Announcement.objects.create(**{"text_de": "Wartung um acht", "text_en": "Maintenance at eight", **fields})


def seen(client: Client, language: str = "en") -> str:
    return client.get("/prices", headers={"Accept-Language": language}).content.decode()


def test_it_is_shown_in_the_readers_language(client: Client) -> None:
    announce(level="warn")
    assert "Maintenance at eight" in seen(client) and 'class="notice warn' in seen(client)
    assert "Wartung um acht" in seen(client, "de")


def test_it_is_shown_in_its_time_only(client: Client) -> None:
    now = timezone.now()
    announce(starts_at=now + timedelta(hours=1)), announce(starts_at=now - timedelta(hours=2), ends_at=now - timedelta(hours=1))
    assert "Maintenance" not in seen(client)
    announce(starts_at=now - timedelta(hours=2), ends_at=now + timedelta(hours=1))
    assert "Maintenance" in seen(client)


def test_it_is_for_some_tiers(client: Client, make_user: Callable[..., User]) -> None:
    announce().tiers.set([get_tier("pro")])
    assert "Maintenance" not in seen(client)
    client.force_login(make_user("registered"))
    assert "Maintenance" not in seen(client)
    client.force_login(make_user("pro", email="pro@example.org"))
    assert "Maintenance" in seen(client)


def test_it_is_put_away_on_this_browser(client: Client) -> None:
    one, stays = announce(), announce(text_en="Stays", dismissible=False)
    answer = client.post(f"/announcements/{one.pk}/dismiss", {"next": "/prices"})
    assert answer.url == "/prices"
    client.post(f"/announcements/{stays.pk}/dismiss", {"next": "/prices"})
    assert "Maintenance" not in seen(client) and "Stays" in seen(client)
    assert "Maintenance" in seen(Client())
    assert client.post(f"/announcements/{one.pk}/dismiss", {"next": "https://evil.example/"}).url == "/"
    assert client.get(f"/announcements/{one.pk}/dismiss").status_code == 405


def test_what_a_browser_keeps_is_bounded_and_nonsense_is_left_out(client: Client) -> None:
    one = announce()
    client.cookies[COOKIE] = ".".join(["x", "9" * 5000, "-1", "²", *map(str, range(1000, 1100))])
    assert "Maintenance" in seen(client)
    client.post(f"/announcements/{one.pk}/dismiss")
    kept = client.cookies[COOKIE].value.split(".")
    assert len(kept) == MOST_KEPT and kept[-1] == str(one.pk)


def test_its_text_is_text(client: Client) -> None:
    announce(text_en="<script>alert(1)</script>")
    assert "&lt;script&gt;" in seen(client)


def test_an_operator_writes_one_and_it_is_there_at_once(client: Client) -> None:
    form = {"text_de": "Neu", "text_en": "New", "level": "good", "starts_at_0": "2026-01-01", "starts_at_1": "00:00:00", "ends_at_0": "",
            "ends_at_1": "", "dismissible": "on", "tiers": [get_tier("guest").pk]}  # fmt: skip
    operator = staff_client("operator")
    assert operator.post("/admin/triforce/announcement/add/", form).status_code == 302
    assert "New" in seen(client)
    backwards = operator.post("/admin/triforce/announcement/add/", {**form, "ends_at_0": "2025-01-01", "ends_at_1": "00:00:00"})
    assert backwards.status_code == 200 and Announcement.objects.count() == 1
