"""A tier in the admin: what a change would have done is shown before it is saved."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.db.models import ProtectedError
from django.test import Client
from django.urls import reverse

from accounts.models import User
from billing import clock
from billing.figures import Figures, TierDay
from billing.models import Tier, UsageEvent
from billing.tiers import get_tier
from llm.models import LanguageModel
from tests.staff import staff_client
from triforce.log_words import parts

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Client:
    return staff_client("operator")


def form_of(tier: Tier, **changes: Any) -> dict[str, Any]:
    names = "name name_en position price_monthly price_yearly support_level daily_tokens requests_per_minute reads_per_minute".split()
    names += ["concurrency", "queue_head_start"]
    switches = "is_guest is_default all_models ollama_unlimited mcp_access cli_agents local_cli_agents priority_queue shadow".split()
    values = {name: getattr(tier, name) for name in names} | {name: "on" for name in switches if getattr(tier, name)}
    lines = {name: "\n".join(getattr(tier, name)) for name in ("features", "features_en")}
    return {**values, **lines, **changes}


def save(client: Client, slug: str, **changes: Any) -> Any:
    tier = Tier.objects.get(slug=slug)
    return client.post(reverse("admin:billing_tier_change", args=[tier.pk]), form_of(tier, **changes))


def test_a_limit_is_previewed_and_saved_by_a_second_yes(operator: Client) -> None:
    alice = User.objects.create_user("alice@example.org")
    yesterday = clock.now().date() - timedelta(days=1)
    TierDay.objects.create(day=yesterday, tier="registered", subject=alice.subject, counted=60_000, tokens=60_000)
    TierDay.objects.create(day=yesterday, tier="registered", subject="guest:nobody", counted=50_001, tokens=50_001)
    page = save(operator, "registered", daily_tokens=50_000)
    words = page.content.decode()
    assert page.status_code == 200 and "alice@example.org" in words and "guest:nobody" in words
    assert get_tier("registered").daily_tokens == 100_000
    assert ("Token am Tag", 100_000, 50_000) in page.context["changes"]
    sent: dict[str, Any] = {}
    for name, value in page.context["sent"]:
        sent.setdefault(name, []).append(value)
    tier = Tier.objects.get(slug="registered")
    answer = operator.post(reverse("admin:billing_tier_change", args=[tier.pk]), {**sent, page.context["seen"]: "1"})
    assert answer.status_code == 302
    after = Tier.objects.get(slug="registered")
    assert after.daily_tokens == 50_000 == get_tier("registered").daily_tokens
    assert {name: value for name, value in vars(after).items() if name not in ("_state", "daily_tokens")} == {
        name: value for name, value in vars(tier).items() if name not in ("_state", "daily_tokens")
    }


def test_requests_a_minute_and_at_once_are_previewed_by_what_people_did(operator: Client) -> None:
    yesterday = clock.now().date() - timedelta(days=1)
    alice = User.objects.create_user("alice@example.org")
    TierDay.objects.create(day=yesterday, tier="pro", subject=alice.subject, minute_peak=15, at_once=2)
    TierDay.objects.create(day=yesterday, tier="pro", subject="user:999", minute_peak=10, at_once=3)
    page = save(operator, "pro", requests_per_minute=10, concurrency=1, reads_per_minute=5)
    assert page.status_code == 200 and "alice@example.org" in page.content.decode()
    found = {one["effect"].limit: [(who.subject, who.amount) for who in one["effect"].stopped] for one in page.context["effects"]}
    assert found == {"requests_per_minute": [(alice.subject, 15)], "concurrency": [("user:999", 3), (alice.subject, 2)]}
    assert page.context["unrecorded"] == [page.context["changes"][1][0]]  # reads leave no receipt
    assert get_tier("pro").requests_per_minute != 10


def test_a_tiers_new_place_shows_what_it_closes(operator: Client) -> None:
    pro, today = Tier.objects.get(slug="pro"), clock.now()
    row, dear = LanguageModel.objects.filter(enabled=True)[:2]
    for model, slug in ((row, "registered"), (dear, "pro")):
        LanguageModel.objects.filter(pk=model.pk).update(min_tier=Tier.objects.get(slug=slug))
    Figures.objects.create(day=today.date(), tier="pro", model_id=row.model_id, requests=7, charged=70)
    UsageEvent.objects.create(
        request_id="req_a", subject="user:1", tier="pro", entry_point="client", day=today.date(), usage_class="cloud",
        requested_model=row.model_id, reserved=1, created=today, expires=today, state="settled",
    )  # fmt: skip
    place = Tier.objects.get(slug="enterprise").position + 1
    found = save(operator, "pro", position=place).context["openings"]  # its own models move along with it
    assert {(one.tier, one.model_id) for one in found.closes} == {("enterprise", dear.model_id)} and found.opens == 0
    found = save(operator, "registered", position=place).context["openings"]
    assert {(one.tier, one.model_id) for one in found.closes} == {("pro", row.model_id), ("enterprise", row.model_id)}
    assert found.opens == 1  # what opens from pro
    assert [(one.requests, one.tokens, one.people) for one in found.closes] == [(7, 70, 1), (0, 0, 0)]
    page = save(operator, "pro", position=pro.position, all_models="" if pro.all_models else "on")
    assert page.status_code == 200 and page.context["is_label"] and page.context["openings"] is None


def test_a_models_lowest_tier_shows_who_would_lose_it(operator: Client) -> None:
    guest, today = Tier.objects.get(slug="guest"), clock.now()
    row = LanguageModel.objects.filter(min_tier=guest, enabled=True)[0]
    Figures.objects.create(day=today.date(), tier="guest", model_id=row.model_id, requests=7, charged=70)
    for number, subject in enumerate(("guest:x", "guest:x", "guest:y")):
        UsageEvent.objects.create(
            request_id=f"req_{number}", subject=subject, tier="guest", entry_point="client", day=today.date(), usage_class="cloud",
            requested_model=row.model_id, reserved=1, created=today, expires=today, state="settled",
        )  # fmt: skip
    address = reverse("admin:llm_languagemodel_change", args=[row.pk])
    form = operator.get(address).context["adminform"].form
    values = {name: form[name].value() for name in form.fields}
    sent = {name: "\n".join(value) if isinstance(value, list) else value for name, value in values.items() if value not in (None, False)}
    sent["min_tier"] = Tier.objects.get(slug="pro").pk
    page = operator.post(address, sent)
    found = {one.tier: (one.requests, one.tokens, one.people) for one in page.context["openings"].closes}
    assert found == {"guest": (7, 70, 2), "registered": (0, 0, 0)} and page.context["openings"].people == 2
    assert LanguageModel.objects.get(pk=row.pk).min_tier == guest
    assert operator.post(address, {**sent, page.context["seen"]: "1"}).status_code == 302
    assert LanguageModel.objects.get(pk=row.pk).min_tier.slug == "pro"


def test_what_moves_no_limit_is_saved_at_once(operator: Client) -> None:
    assert save(operator, "pro", name="Profi", features="eins\nzwei").status_code == 302
    assert (Tier.objects.get(slug="pro").name, Tier.objects.get(slug="pro").features) == ("Profi", ["eins", "zwei"])


def test_a_mistake_is_told_before_the_preview(operator: Client) -> None:
    page = save(operator, "pro", daily_tokens="many")
    assert page.status_code == 200 and page.context["errors"]


def test_the_trial_is_a_tick(operator: Client) -> None:
    page = save(operator, "pro", shadow="on")
    assert page.status_code == 200
    form = form_of(Tier.objects.get(slug="pro"), shadow="on") | {page.context["seen"]: "1"}
    operator.post(reverse("admin:billing_tier_change", args=[Tier.objects.get(slug="pro").pk]), form)
    assert get_tier("pro").shadow


def test_who_may_not_change_a_tier_previews_nothing() -> None:
    assert save(staff_client("billing"), "pro", daily_tokens=1).status_code == 403
    assert get_tier("pro").daily_tokens == 250_000


# -- what one tier alone has ------------------------------------------------------------------------------------------


def told(tier: str) -> dict[str, Any]:
    """What the log has of a tier."""
    entries = LogEntry.objects.filter(content_type__model="tier", object_id=str(Tier.objects.get(slug=tier).pk))
    return {name: both for entry in entries for part in parts(entry) for name, both in part.get("values", {}).items()}


@pytest.mark.parametrize(("column", "had", "gets"), [("is_default", "registered", "pro"), ("is_guest", "guest", "registered")])
def test_what_one_tier_alone_has_is_taken_by_ticking_it_at_another(operator: Client, column: str, had: str, gets: str) -> None:
    assert save(operator, had, **{column: ""}).status_code == 200  # somebody must have it
    assert save(operator, gets, **{column: "on"}).status_code == 302
    assert list(Tier.objects.filter(**{column: True}).values_list("slug", flat=True)) == [gets]
    assert told(gets)[column] == ["False", "True"] and told(had)[column] == ["True", "False"]
    assert getattr(get_tier(gets), column) and not getattr(get_tier(had), column)


def test_two_tiers_change_places(operator: Client) -> None:
    pro, enterprise = (Tier.objects.get(slug=slug).position for slug in ("pro", "enterprise"))
    places = dict(Tier.objects.values_list("slug", "position"))
    page = save(operator, "pro", position=enterprise)
    if page.status_code == 200:  # a preview
        operator.post(page.request["PATH_INFO"], {**dict(page.context["sent"]), page.context["seen"]: "1"})
    assert dict(Tier.objects.values_list("slug", "position")) == {**places, "pro": enterprise, "enterprise": pro}
    assert told("pro")["position"] == [str(pro), str(enterprise)] and told("enterprise")["position"] == [str(enterprise), str(pro)]


def test_a_new_tier_takes_nobodys_place() -> None:
    with pytest.raises(ValidationError):
        Tier(slug="new", name="New", position=Tier.objects.get(slug="pro").position).full_clean()


@pytest.mark.parametrize("slug", ["guest", "registered"])
def test_the_tiers_that_everybody_needs_are_not_deleted(operator: Client, slug: str) -> None:
    tier = Tier.objects.get(slug=slug)
    LanguageModel.objects.update(min_tier=Tier.objects.get(slug="pro"))
    for client in (operator, staff_client()):
        assert client.post(reverse("admin:billing_tier_delete", args=[tier.pk]), {"post": "yes"}).status_code == 403
        form = {"action": "delete_selected", "_selected_action": [tier.pk], "post": "yes"}
        assert client.post("/admin/billing/tier/", form).status_code == 403
    with pytest.raises(ProtectedError):
        tier.delete()
    assert Tier.objects.filter(pk=tier.pk).exists()
    spare = Tier.objects.create(slug="spare", name="Spare", position=99)
    operator.post(reverse("admin:billing_tier_delete", args=[spare.pk]), {"post": "yes"})
    assert not Tier.objects.filter(slug="spare").exists()
