"""A day of the operator's in the browser: sign in with a code, change a tier's limit after a look at what it does, switch a model off,
accept a provider's list, approve a price, give a tier, look at the portal as somebody else, and read all of it in the log."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.contrib.admin.models import LogEntry
from playwright.sync_api import Browser, expect

from accounts.models import Impersonation, User
from billing import clock
from billing.figures import TierDay
from billing.models import Price, Tier
from billing.tiers import tier_for
from llm.models import LanguageModel, Provider
from llm.prices import propose
from tests.browser import Watched, beside_a_loop, browser, needs_chromium
from tests.conftest import PASSWORD
from tests.fakes.upstream import FakeUpstream
from tests.server import LiveServer
from tests.staff import give_factor

__all__ = ["beside_a_loop", "browser"]
pytestmark = needs_chromium
OSS = "ollama/gpt-oss:20b-cloud"


@pytest.fixture
def house(live: LiveServer) -> Iterator[None]:
    """What the day changes for good is put back."""
    tier, model = Tier.objects.get(slug="registered"), LanguageModel.objects.get(model_id=OSS)
    kept = set(LanguageModel.objects.values_list("pk", flat=True))
    yield
    tier.save()
    LanguageModel.objects.exclude(pk__in=kept).delete()
    LanguageModel.objects.update(missing_since=None)
    model.save()
    Price.objects.filter(source="live").delete()
    TierDay.objects.all().delete()


class Staff(Watched):
    """The administration, as somebody uses it who reads its buttons."""

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def follow(self, name: str) -> None:
        self.page.get_by_role("link", name=name, exact=True).first.click()

    def says(self, words: str) -> None:
        expect(self.page.locator("#content-start, main").first).to_contain_text(words)

    def act(self, action: str, row: str) -> None:
        """An action of a list on the row that says so."""
        self.page.locator("#result_list tr", has_text=row).locator("input.action-select").check()
        self.page.locator("select[name=action]").first.select_option(label=action)
        self.page.locator("button[name=index]").first.click()

    def fine(self) -> None:
        assert not self.wrong


def test_the_operators_day(
    browser: Browser, live: LiveServer, upstream: FakeUpstream, house: None, make_user: Callable[..., User], settings: Any
) -> None:
    root = User.objects.create_superuser("root@example.org", PASSWORD)
    secret, alice = give_factor(root), make_user()
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en", base_url=live.url, reduced_motion="reduce")
    context.set_default_timeout(10_000)
    staff = Staff(context.new_page(), live.url)
    page = staff.page

    page.goto("/admin/")  # the portal's sign-in, then the second factor, and back
    page.locator("#id_login").fill(root.email)
    page.locator("#id_password").fill(PASSWORD)
    page.locator("form button[type=submit]").first.click()
    counter = next(yield_hotp_counters_from_time())
    page.locator("#id_code").fill(format_hotp_value(hotp_value(secret, counter)))
    page.locator("form button[type=submit]").first.click()
    expect(page).to_have_url(f"{live.url}/admin/")
    staff.says("Is all well?")
    staff.fine()

    yesterday = clock.now().date() - timedelta(days=1)  # a tier's limit, with a look at what it would have done
    TierDay.objects.create(day=yesterday, tier="registered", subject=alice.subject, counted=60_000, tokens=60_000)
    page.goto(f"/admin/billing/tier/{Tier.objects.get(slug='registered').pk}/change/")
    page.locator("#id_daily_tokens").fill("50000")
    page.locator("input[name=_save]").click()
    staff.says("What this would have done to the last 30 days")
    staff.says(alice.email)
    assert Tier.objects.get(slug="registered").daily_tokens == 100_000
    staff.press("Save the change")
    expect(page.locator(".messagelist .success")).to_be_visible()
    assert Tier.objects.get(slug="registered").daily_tokens == 50_000
    staff.fine()

    page.goto(f"/admin/llm/languagemodel/?q={OSS}")  # a model is switched off
    staff.act("Switch off", OSS)
    staff.says("Switched off: 1")
    assert not LanguageModel.objects.get(model_id=OSS).enabled
    staff.fine()

    upstream.models = ["brand-new:7b", "gpt-oss:20b-cloud"]  # a provider's list is looked at, then taken over
    page.goto(f"/admin/llm/provider/{Provider.objects.get(slug='ollama').pk}/change/")
    staff.press("Check now")
    staff.says("healthy")
    page.goto(f"/admin/llm/provider/{Provider.objects.get(slug='ollama').pk}/change/")
    staff.press("Sync its models now")
    staff.says("ollama/brand-new:7b")
    assert not LanguageModel.objects.filter(model_id="ollama/brand-new:7b").exists()
    staff.press("Accept and take over")
    staff.says("Added 1")
    assert LanguageModel.objects.filter(model_id="ollama/brand-new:7b").exists()
    staff.fine()

    model = LanguageModel.objects.get(model_id=OSS)  # a price that jumped waits for a yes
    propose(model, {"input": 1, "output": 2}, "live")
    held = propose(model, {"input": 9, "output": 2}, "live")
    assert held is not None and not held.approved
    page.goto("/admin/")
    staff.follow("Prices")
    staff.act("Approve and put into use", OSS)
    staff.says("Put into use: 1")
    assert LanguageModel.objects.get(model_id=OSS).price_id == held.pk
    staff.fine()

    page.goto("/admin/accounts/user/?q=alice")  # a tier is given until a day
    staff.follow(alice.email)
    staff.follow("Give a tier")
    page.locator("#id_tier").select_option(label="Pro")
    page.locator("#id_ends_at_0").fill("2099-12-31")
    page.locator("#id_ends_at_1").fill("12:00:00")
    staff.press("Give it")
    staff.says("lice@example.org is on Pro.")
    assert tier_for(alice).slug == "pro"
    staff.fine()

    staff.follow("See the portal as they do")  # and the portal is seen as they see it
    page.locator("#id_reason").fill("Ticket 12")
    staff.press("Look")
    expect(page).to_have_url(f"{live.url}/dashboard")
    staff.says("You are looking at alice@example.org's account.")
    expect(page.locator(".badge.accent")).to_have_text("Pro")
    assert not staff.complaints()
    staff.wrong.clear()
    page.goto("/account/settings")
    page.locator("main form button[type=submit], main form.card button").first.click()
    staff.says("Only to look at")
    staff.wrong.clear()  # the browser complains of the 403
    page.goto("/dashboard")
    staff.press("End")
    expect(page).to_have_url(f"{live.url}/admin/")
    assert Impersonation.objects.get().ended
    staff.fine()

    page.goto("/admin/admin/logentry/")  # all of it is written down
    log = page.locator("#result_list")
    kept = ("daily tokens: 100000 → 50000", "enabled: True → False", "added: – → 1", "approved: False → True")
    for words in (*kept, "tier: Registriert → Pro", "reason: – → Ticket 12"):
        expect(log).to_contain_text(words)
    assert set(LogEntry.objects.values_list("user__email", flat=True)) == {root.email}
    staff.fine()

    page.context.clear_cookies()  # and she reads who looked, and why
    page.goto("/accounts/login/")
    page.locator("#id_login").fill(alice.email)
    page.locator("#id_password").fill(PASSWORD)
    page.locator("form button[type=submit]").first.click()
    expect(page).to_have_url(re.compile("/dashboard$"))
    page.goto("/account/privacy")
    staff.says("Ticket 12")
    assert not staff.complaints()
    context.close()
