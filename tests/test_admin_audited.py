"""What holds for every page of the administration: no column is read by asking about it, and nothing is done that the log does not keep."""

from __future__ import annotations

import json
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.admin.models import DELETION, LogEntry
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts.models import User
from billing.audited import MOST_AT_ONCE, SWITCHES
from billing.models import OutboxMail
from llm.models import LanguageModel
from tests.staff import staff, staff_client

pytestmark = pytest.mark.django_db


def values(entry: LogEntry) -> dict[str, Any]:
    return {name: both for part in json.loads(entry.change_message) for name, both in part.get("values", {}).items()}


# -- what an address may ask ------------------------------------------------------------------------------------------


def test_an_address_asks_no_column_that_no_filter_names() -> None:
    request = RequestFactory().get("/")
    request.user = staff()
    for model, page in admin.site._registry.items():
        named = {item[0] if isinstance(item, tuple) else getattr(item, "parameter_name", item) for item in page.get_list_filter(request)}
        for field in model._meta.get_fields():
            beyond = getattr(field.related_model, "_meta", model._meta).get_fields()
            for name in (field.name, *(f"{field.name}__{inner.name}" for inner in beyond)):
                for lookup in ("", "__exact", "__startswith", "__gte", "__lt", "__contains", "__regex", "__in", "__isnull"):
                    asked = f"{name}{lookup}"
                    allowed = any(asked == f"{one}{switch}" for one in named for switch in SWITCHES)
                    assert page.lookup_allowed(asked, "a", request) == allowed, (model, asked)
                assert not page.lookup_allowed(f"{name}__startswith", "a", request), (model, name)


SECRETS = (
    "usersessions/usersession/?session_key__startswith=a",
    "usersessions/usersession/?user=1&session_key__startswith=a",
    "usersessions/usersession/?session_key=a",
    "mfa/authenticator/?data__secret__startswith=a",
    "billing/outboxmail/?body__contains=a",
    "billing/outboxmail/?html__contains=a",
    "accounts/logintoken/?jti__gte=a",
    "accounts/device/?secret_digest__startswith=a",
    "accounts/apikey/?digest__startswith=a",
    "accounts/user/?password__startswith=a",
    "accounts/apikey/?user__password__startswith=a",
    "accounts/user/?totp__data__contains=a",
)


@pytest.mark.parametrize("question", SECRETS)
def test_a_secret_is_not_asked_for(question: str) -> None:
    for role in ("support", "operator", ""):
        assert staff_client(role).get(f"/admin/{question}").status_code in (400, 403)


def test_every_filter_goes_on_working() -> None:
    client = staff_client()
    for page in admin.site._registry.values():
        path = f"/admin/{page.opts.app_label}/{page.opts.model_name}/"
        answer = client.get(path)
        assert answer.status_code == 200, path
        listed = answer.context["cl"]
        for spec in listed.filter_specs:
            for choice in spec.choices(listed):
                assert client.get(path + choice["query_string"]).status_code == 200, (path, choice)


# -- what an action does ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        {"action": "disable"},
        {"action": ["disable", "zzz"], "index": "0"},
        {"action": ["zzz", "disable"], "index": "1"},
        {"action": ["disable", ""], "index": "0", "select_across": "0"},
    ],
)
def test_an_action_is_written_down_however_it_is_sent(how: dict[str, Any]) -> None:
    models = LanguageModel.objects.filter(enabled=True)[:2]
    staff_client().post("/admin/llm/languagemodel/", {**how, "_selected_action": [model.pk for model in models]})
    assert not LanguageModel.objects.filter(pk__in=[model.pk for model in models], enabled=True).exists()
    assert [values(entry) for entry in LogEntry.objects.all()] == [{"enabled": ["True", "False"]}] * 2


@pytest.mark.parametrize("across", ["1", "true", "on", "yes"])
def test_all_at_once_is_written_down_however_it_is_said(across: str) -> None:
    enabled = LanguageModel.objects.filter(enabled=True)
    form = {"action": "disable", "select_across": across, "_selected_action": [enabled[0].pk]}
    number = enabled.count()
    staff_client().post("/admin/llm/languagemodel/", form)
    assert not LanguageModel.objects.filter(enabled=True).exists()
    assert [values(entry) for entry in LogEntry.objects.all()].count({"enabled": ["True", "False"]}) == number


@pytest.mark.parametrize("across", ["1", "true"])
def test_too_many_are_refused_however_it_is_said(across: str) -> None:
    OutboxMail.objects.bulk_create(OutboxMail(dedupe=str(n), to="a@example.org", subject="s", body="") for n in range(MOST_AT_ONCE + 1))
    OutboxMail.objects.update(attempts=8)
    one = OutboxMail.objects.latest("pk").pk
    staff_client().post("/admin/billing/outboxmail/", {"action": "try_again", "select_across": across, "_selected_action": [one]})
    assert OutboxMail.objects.filter(attempts=8).count() == MOST_AT_ONCE + 1
    assert not LogEntry.objects.exists()


def test_what_an_action_did_before_it_failed_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = UserSession.end

    def end(session: UserSession) -> None:
        if session.session_key == "second":
            raise RuntimeError("the disk is full")
        ends(session)

    monkeypatch.setattr(UserSession, "end", end)
    user = User.objects.create_user("alice@example.org")
    sessions = [begun(user, key) for key in ("second", "first")]  # the newest is ended first
    client = staff_client()
    client.raise_request_exception = False
    client.post("/admin/usersessions/usersession/", {"action": "end", "_selected_action": [one.pk for one in sessions]})
    assert UserSession.objects.filter(user=user).get().session_key == "second"
    assert [entry.object_id for entry in LogEntry.objects.filter(action_flag=DELETION)] == [str(sessions[1].pk)]


def begun(user: User, key: str) -> UserSession:
    return UserSession.objects.create(user=user, ip="192.0.2.7", user_agent="x", session_key=key, last_seen_at=timezone.now())


def test_a_session_that_is_ended_is_written_down_as_gone() -> None:
    session, client = begun(User.objects.create_user("alice@example.org"), "canary"), staff_client("operator")
    client.post("/admin/usersessions/usersession/", {"action": "end", "_selected_action": [session.pk]})
    assert not UserSession.objects.filter(pk=session.pk).exists()
    entry = LogEntry.objects.get()
    assert (entry.action_flag, entry.object_id, values(entry)["user"]) == (DELETION, str(session.pk), ["alice@example.org", None])
    assert "canary" not in entry.change_message and "192.0.2.7" not in entry.change_message


def test_deleting_many_is_written_down_once_each() -> None:
    client: Client = staff_client()
    rows = LanguageModel.objects.all()[:2]
    form = {"action": "delete_selected", "_selected_action": [row.pk for row in rows]}
    assert client.post("/admin/llm/languagemodel/", form).status_code == 200 and not LogEntry.objects.exists()
    client.post("/admin/llm/languagemodel/", {**form, "post": "yes"})
    assert list(LogEntry.objects.values_list("action_flag", flat=True)) == [DELETION] * 2
