"""The pages of an account: today, receipts, keys and devices; each shows its owner's alone."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.address import guest_subject
from accounts.devices import add_device
from accounts.keys import create_key, digest_of, live_keys
from accounts.models import ApiKey, User
from billing import clock
from billing.charges import Outcome
from billing.models import Price, UsageDay, UsageEvent
from billing.visitors import CARRIED_OVER
from llm.pages_usage import RULES
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
OWN = ["/dashboard", "/receipts", "/receipts/req_1", "/account/keys", "/account/devices", "/account/settings"]


@pytest.fixture
def alice(make_user: Callable[..., User]) -> User:
    return make_user(email="alice@example.org")


@pytest.fixture
def client(alice: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def receipt(user: User, number: int, **fields: Any) -> UsageEvent:
    now = clock.now()
    values = {
        "request_id": f"req_{number}", "account": user, "subject": user.subject, "tier": "registered", "entry_point": "client",
        "day": now.date(),
        "usage_class": "cloud", "requested_model": "ollama/asked", "served_model": "ollama/served", "reserved": 1000, "charged": 42,
        "input_tokens": 40, "output_tokens": 2, "state": "settled", "rule": "answered", "created": now, "expires": now,
        "attempts": [{"model": "ollama/asked", "provider": "ollama", "status": 503, "ms": 12, "outcome": "unavailable"}],
    }  # fmt: skip
    return UsageEvent.objects.create(**(values | fields))


def text(response: Any) -> str:
    """The page without its tags."""
    assert response.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode()))


@pytest.mark.parametrize("path", OWN)
def test_a_guest_is_asked_to_sign_in(path: str) -> None:
    response = Client().get(path)
    assert (response.status_code, response.headers["Location"]) == (302, f"/accounts/login/?next={path}")


def test_the_dashboard_shows_what_is_left_and_what_was_used(client: Client, alice: User) -> None:
    empty = text(client.get("/dashboard"))
    assert "100,000 of 100,000 tokens are left" in empty
    assert "Nothing yet." in empty
    today = clock.now().date()
    UsageDay.objects.create(subject=alice.subject, usage_class="cloud", day=today, used=30_000, reserved=500)
    UsageDay.objects.create(subject=alice.subject, usage_class="unlimited", day=today - timedelta(days=3), used=70_000)
    UsageDay.objects.create(subject=alice.subject, usage_class="cloud", day=today - timedelta(days=40), used=9)
    receipt(alice, 1)
    response = client.get("/dashboard")
    page, html = text(response), response.content.decode()
    assert "69,500 of 100,000 tokens are left" in page
    assert "30,000 used, 500 held for answers under way." in page
    assert 'aria-label="100,000 tokens in 30 days"' in html
    assert html.count("<g>") == 30
    assert 'height="100.00"' in html
    assert 'height="42.86"' in html
    assert "ollama/served" in page


def test_the_days_are_drawn_of_one_model_too(client: Client, alice: User, make_user: Callable[..., User]) -> None:
    today = clock.now().date()
    UsageDay.objects.create(subject=alice.subject, usage_class="cloud", day=today, used=100)
    receipt(alice, 1, charged=30), receipt(alice, 2, charged=12), receipt(alice, 3, charged=58, served_model="ollama/other")
    receipt(make_user(email="bob@example.org"), 4, charged=7)
    receipt(alice, 5, charged=9, day=today - timedelta(days=30))
    drawn = {model: client.get("/dashboard", {"model": model}).context for model in ("", "ollama/served", "ollama/nosuch\x00")}
    assert [(page["model"], page["total"]) for page in drawn.values()] == [("", 100), ("ollama/served", 42), ("", 100)]
    assert 'href="?model=ollama%2Fserved"' in client.get("/dashboard").content.decode()


def test_receipts_are_found_paged_and_exported(client: Client, alice: User, make_user: Callable[..., User]) -> None:
    for number in range(60):
        receipt(alice, number, served_model="ollama/kimi" if number == 7 else "ollama/served")
    receipt(make_user(email="bob@example.org"), 999, served_model="ollama/bobs")
    first = client.get("/receipts").content.decode()
    assert first.count('<a href="/receipts/req_') == 50
    older = re.search(r'rel="next" href="([^"]*)"', first)
    assert older
    assert client.get(f"/receipts{older[1]}").content.decode().count('<a href="/receipts/req_') == 10
    assert client.get("/receipts?q=kimi").content.decode().count('<a href="/receipts/req_') == 1
    assert client.get("/receipts?q=bobs").content.decode().count('<a href="/receipts/req_') == 0
    assert client.get("/receipts?since=2020-01-01&until=2020-12-31").content.decode().count('<a href="/receipts/req_') == 0
    assert client.get("/receipts?since=nonsense&before=x").status_code == 200
    rows = list(csv.DictReader(io.StringIO(client.get("/receipts?q=kimi&format=csv").content.decode())))
    assert [(row["request_id"], row["charged"]) for row in rows] == [("req_7", "42")]
    exported = client.get("/receipts?format=json").json()["results"]
    assert len(exported) == 60
    assert exported[0]["request_id"] == "req_59"


def test_an_exported_cell_is_no_formula(client: Client, alice: User) -> None:
    receipt(alice, 1, requested_model="=HYPERLINK(1)")
    rows = list(csv.DictReader(io.StringIO(client.get("/receipts?format=csv").content.decode())))
    assert rows[0]["requested_model"] == "'=HYPERLINK(1)"


@pytest.mark.parametrize("form", ["csv", "json"])
def test_an_export_counts_what_was_asked_as_a_guest_once(client: Client, alice: User, form: str) -> None:
    receipt(alice, 1, subject="guest:here")
    receipt(alice, 2, rule=CARRIED_OVER, served_model="")
    exported = client.get(f"/receipts?format={form}").content.decode()
    assert "req_1" in exported and "req_2" not in exported
    assert "req_2" in client.get("/receipts").content.decode()


def test_the_dashboard_of_an_unproven_account_shows_the_guests_day(client: Client, alice: User, settings: Any) -> None:
    settings.EMAIL_IS_REAL = True
    UsageDay.objects.create(subject=guest_subject("127.0.0.1"), usage_class="cloud", day=clock.now().date(), used=30_000)
    assert "30,000 used" in text(client.get("/dashboard"))


@pytest.mark.parametrize("rule", Outcome)
def test_a_receipt_says_why_it_cost_what_it_cost(client: Client, alice: User, rule: Outcome) -> None:
    receipt(alice, 1, rule=rule)
    page = text(client.get("/receipts/req_1"))
    assert str(RULES[rule]) in page.replace("&#x27;", "'")
    assert "ollama/asked unavailable 503 12" in page


def test_a_receipt_is_in_words(client: Client, alice: User) -> None:
    key, _plain = create_key(alice, name="laptop")
    price = Price.objects.create(model_id="ollama/served", input=Decimal("0.25"), output=3, source="test")
    attempts = [
        {"model": "ollama/asked", "provider": "ollama", "status": 0, "ms": 1, "outcome": "breaker_open"},
        {"model": "ollama/served", "provider": "ollama", "status": 200, "ms": 9, "outcome": "incomplete"},
    ]
    fields = {"key_id": key.pk, "price_version": price.pk, "attempts": attempts, "error_code": "upstream_unavailable", "state": "failed"}
    receipt(alice, 1, **fields)
    page = text(client.get("/receipts/req_1"))
    assert "API, API key “laptop”" in page and f"version {price.pk} of" in page and "0.250 $ in, 3 $ out, a million tokens" in page
    assert "not asked: it has just failed too often" in page and "broke off" in page and "(nobody could answer)" in page
    key.delete()
    assert "an API key that is gone" in text(client.get("/receipts/req_1"))


def test_another_accounts_things_are_not_there(client: Client, make_user: Callable[..., User]) -> None:
    bob = make_user(email="bob@example.org")
    receipt(bob, 1)
    key, _plain = create_key(bob, name="bob's")
    device, _secret = add_device(bob, name="bob's", kind="desktop")
    assert client.get("/receipts/req_1").status_code == 404
    assert client.post(f"/account/keys/{key.pk}", {"action": "revoke"}).status_code == 404
    assert client.post(f"/account/keys/{2**70}", {"action": "revoke"}).status_code == 404
    assert client.post(f"/account/devices/{device.device_id}").status_code == 404
    assert live_keys(bob).count() == bob.devices.count() == 1
    assert "bob" not in text(client.get("/account/keys"))


def test_a_key_is_made_shown_once_replaced_and_revoked(client: Client, alice: User) -> None:
    asked = {"name": "laptop", "scopes": ["chat"], "models": "ollama/a, ollama/b", "daily_tokens": "5000", "ends": "30"}
    response = client.post("/account/keys", asked)
    shown = re.search(r'class="secret"[^>]*>(tf_live_\w+)<', response.content.decode())
    assert shown
    assert response.headers["Cache-Control"].startswith("max-age=0, no-cache, no-store")
    key = ApiKey.objects.get(digest=digest_of(shown[1]))
    assert (key.user, key.scopes, key.models, key.daily_tokens) == (alice, ["chat"], ["ollama/a", "ollama/b"], 5000)
    assert key.expires is not None
    assert timedelta(days=29) < key.expires - timezone.now() < timedelta(days=31)
    assert shown[1] not in client.get("/account/keys").content.decode()

    rotated = client.post(f"/account/keys/{key.pk}", {"action": "rotate", "grace": "3600"}).content.decode()
    successor = re.search(r'class="secret"[^>]*>(tf_live_\w+)<', rotated)
    assert successor
    assert successor[1] != shown[1]
    assert live_keys(alice).count() == 2
    client.post(f"/account/keys/{key.pk}", {"action": "revoke"})
    assert [live.digest for live in live_keys(alice)] == [digest_of(successor[1])]


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"scopes": []}, {"scopes": ["root"]}, {"daily_tokens": "-1"}, {"daily_tokens": "many"}, {"ends": "1"}]
)
def test_a_wrong_key_is_refused_at_its_field(client: Client, alice: User, wrong: dict[str, Any]) -> None:
    response = client.post("/account/keys", {"name": "laptop", "scopes": ["chat"]} | wrong)
    assert '<p class="error"' in response.content.decode()
    assert not live_keys(alice).exists()


def test_a_device_is_removed(client: Client, alice: User) -> None:
    device, _secret = add_device(alice, name="desk", kind="desktop")
    assert "desk" in text(client.get("/account/devices"))
    assert "desk is signed out and removed." in text(client.post(f"/account/devices/{device.device_id}", follow=True))
    assert not alice.devices.exists()


def test_settings_are_those_of_every_program(client: Client, alice: User) -> None:
    model = "ollama/kimi-k2:1t-cloud"
    page = client.post("/account/settings", {"default_model": model, "substitution": "strict"}, follow=True)
    assert "Saved." in text(page)
    alice.refresh_from_db()
    assert (alice.default_model, alice.substitution, alice.brumo, alice.quota_mails) == (model, "strict", False, False)
    assert f'<option value="{model}" selected>' in page.content.decode()
    client.post("/account/settings", {"substitution": "any", "brumo": "on", "quota_mails": "on"})
    alice.refresh_from_db()
    assert (alice.default_model, alice.substitution, alice.brumo, alice.quota_mails) == ("", "any", True, True)


def test_a_language_is_chosen_for_the_pages_and_the_account(client: Client, alice: User) -> None:
    assert "Gespeichert." in text(client.post("/account/settings", {"language": "de", "substitution": "any"}, follow=True))
    alice.refresh_from_db()
    assert (alice.language, client.cookies["django_language"].value) == ("de", "de")
    client.post("/language", {"language": "en", "next": "/prices"})
    alice.refresh_from_db()
    assert (alice.language, client.cookies["django_language"].value) == ("en", "en")
    client.post("/language", {"language": "xx", "next": "/prices"})
    client.post("/account/settings", {"language": "xx", "substitution": "any"})
    alice.refresh_from_db()
    assert alice.language == "en"
    client.post("/account/settings", {"language": "", "substitution": "any"})
    alice.refresh_from_db()
    assert (alice.language, client.cookies["django_language"].value) == ("", "")


def test_the_language_comes_along_to_another_browser(alice: User) -> None:
    User.objects.update(language="en")
    browser = Client(headers={"accept-language": "de"})
    browser.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    assert "Today" in text(browser.get("/dashboard"))


def test_a_model_that_is_not_theirs_is_refused(client: Client, alice: User) -> None:
    response = client.post("/account/settings", {"default_model": "openai/gpt-5"})
    assert '<p class="error"' in response.content.decode()
    alice.refresh_from_db()
    assert alice.default_model == ""


def test_a_model_that_went_away_stays_chosen(client: Client, alice: User) -> None:
    User.objects.update(default_model="gone/model")
    assert '<option value="gone/model" selected>' in client.get("/account/settings").content.decode()
