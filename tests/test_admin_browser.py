"""The administration in a real Chromium, narrow and wide, light and dark, German and English: nothing wrong, nothing from elsewhere,
and the same strict policy as on every page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.test import Client
from playwright.sync_api import Browser, expect

from accounts.keys import create_key
from accounts.models import Impersonation, User
from billing import clock
from billing.audited import LONGEST
from billing.figures import Figures
from billing.models import OutboxMail, Price, Subscription, Tier, UsageDay, UsageEvent
from llm.models import LanguageModel, Provider
from tests.browser import PAIRS, Watched, beside_a_loop, browser, look_at, needs_chromium
from tests.server import LiveServer
from tests.staff import enter, staff
from triforce.models import Announcement, TaskState, Text

__all__ = ["beside_a_loop", "browser"]
pytestmark = needs_chromium
FORMS = " ".join(settings.FORM_TARGETS)  # where forms may lead: to who takes payments, too


@pytest.fixture(params=PAIRS, ids=lambda look: "-".join(map(str, look)))
def watched(request: pytest.FixtureRequest, live: LiveServer, browser: Browser) -> Iterator[Watched]:
    """A page of a superuser who is signed in."""
    context = look_at(browser, live.url, request.param)
    context.set_default_timeout(10_000)
    client = enter(Client(), staff())
    context.add_cookies([{"name": name, "value": morsel.value, "url": live.url} for name, morsel in client.cookies.items()])
    yield Watched(context.new_page(), live.url)
    context.close()


@pytest.fixture
def house(live: LiveServer, make_user: Callable[..., User]) -> Iterator[User]:
    """One of everything, so that no page is empty."""
    user, now = make_user("pro"), clock.now()
    create_key(user, name="laptop")
    for back in range(30):
        day = now.date() - timedelta(days=back)
        Figures.objects.create(
            day=day, tier="pro", model_id="openai/gpt-test", requests=1000 + back, charged=10_000_000, spend=12, errors=3
        )
        UsageDay.objects.create(subject=user.subject, usage_class="cloud", day=day, used=1000 * back)
    UsageEvent.objects.create(
        request_id="req_x", account=user, subject=user.subject, tier="pro", entry_point="client", day=now.date(),
        usage_class="cloud", requested_model="openai/gpt-test", state="settled", reserved=10, created=now, expires=now,
        attempts=[{"model": "openai/gpt-test"}],
    )  # fmt: skip
    Price.objects.create(model_id="openai/gpt-test", input=9, output=9, source="live", approved=False)
    OutboxMail.objects.create(dedupe="x", to=user.email, subject="s", body="b")
    Announcement.objects.create(text_de="Wartung", text_en="Maintenance", level="warn", starts_at=now + timedelta(days=1))
    TaskState.objects.update_or_create(task="billing.tasks.roll_up", defaults={"succeeded": now})
    Impersonation.objects.create(user=user, operator=staff(), reason="Ticket 12", ended=now)
    noted = [{"action": "grant"}, {"values": {"tier": ["Registriert", "Pro"], "body": ["a\n" * LONGEST, "b"]}}]
    LogEntry.objects.create(user=staff(), object_repr="x", action_flag=2, change_message=json.dumps(noted))
    yield user
    for kind in (Figures, Announcement, Price):
        kind._default_manager.all().delete()


def pages(user: User) -> list[str]:
    tier, provider = Tier.objects.get(slug="pro").pk, Provider.objects.get(slug="openai").pk
    changes = {
        "accounts/user": user.pk, "billing/tier": tier, "llm/provider": provider, "llm/languagemodel": LanguageModel.objects.all()[0].pk,
        "billing/usageevent": UsageEvent.objects.get().pk, "triforce/text": Text.objects.all()[0].pk,
        "triforce/announcement": Announcement.objects.get().pk, "billing/subscription": Subscription.objects.get().pk,
        "admin/logentry": LogEntry.objects.all()[0].pk,
    }  # fmt: skip
    lists = (*changes, "billing/price", "billing/usageday", "billing/outboxmail", "accounts/apikey", "accounts/impersonation",
             "triforce/taskstate", "auth/group", "mfa/authenticator", "account/emailaddress", "usersessions/usersession")  # fmt: skip
    return [
        "/admin/",
        *(f"/admin/{kind}/" for kind in lists),
        *(f"/admin/{kind}/{pk}/change/" for kind, pk in changes.items()),
        *(f"/admin/accounts/user/{user.pk}/{page}/" for page in ("grant", "suspend", "look", "forget", "history", "password")),
        "/admin/accounts/user/add/",
        "/admin/password_change/",
    ]


def test_every_page_in_every_look(watched: Watched, house: User) -> None:
    wrong: list[str] = []
    for path in pages(house):
        response = watched.page.goto(path)
        assert response is not None and response.status == 200, path
        policy = response.headers["content-security-policy"]
        assert "unsafe" not in policy and "http" not in policy.replace(FORMS, "")
        wrong += [f"{path} {one}" for one in watched.wrong]
        watched.wrong.clear()
        wrong += [f"{path} {one}" for one in watched.complaints() if one not in watched.wrong]  # axe's own styles are refused, too
        watched.wrong.clear()
    assert not wrong, "\n".join(wrong)


def test_the_look_follows_the_device_and_the_switch(watched: Watched, house: User) -> None:
    page = watched.page
    page.goto("/admin/")
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == ("rgb(23, 19, 16)" if dark else "rgb(250, 247, 242)")
    if (page.viewport_size or {"width": 0})["width"] > 800:
        for _ in range(2):
            page.locator("#header .theme-toggle").click()
        expect(page.locator("html[data-theme=light], html[data-theme=dark]")).to_be_attached()
    assert not watched.wrong
