"""P26: the administration needs a second factor outside DEBUG, every change of the staff's is written down, and ledgers are read only."""

from __future__ import annotations

import time
from typing import Any

import pytest
from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.contrib import admin
from django.contrib.admin.models import DELETION, LogEntry
from django.test import Client
from django.urls import reverse

from accounts.keys import create_key
from accounts.models import ApiKey, ClientRelease, User
from billing import clock
from billing.audited import LONGEST, MOST_AT_ONCE, AuditedAdmin
from billing.models import OutboxMail, Price, Subscription, Tier
from llm.models import LanguageModel
from tests.conftest import PASSWORD
from tests.staff import BACKEND, enter, give_factor, staff, staff_client
from triforce.admin import LogEntryAdmin
from triforce.log_words import parts
from triforce.models import Text

pytestmark = pytest.mark.django_db
INDEX = "/admin/"


def where(response: Any) -> str:
    """Where somebody is sent, to its end."""
    return str(response.url).partition("?")[0]


def code_of(secret: str) -> str:
    counter = next(yield_hotp_counters_from_time())
    return format_hotp_value(hotp_value(secret, counter))


# -- who gets in ------------------------------------------------------------------------------------------------------


def test_a_password_alone_opens_nothing(client: Client) -> None:
    client.force_login(staff(), backend=BACKEND)
    for path in (INDEX, "/admin/accounts/user/", "/admin/jsi18n/", "/admin/billing/usageevent/export/"):
        assert where(client.get(path)) == "/admin/login/", path
    assert client.post("/admin/accounts/user/", {"action": "sign_out"}).status_code == 302


def test_staff_without_a_factor_is_led_to_set_one_up(client: Client) -> None:
    client.force_login(staff(), backend=BACKEND)
    answer = client.get(INDEX, follow=True)
    assert answer.redirect_chain[-1][0] == reverse("mfa_index")
    assert [str(message) for message in answer.context["messages"]]


def test_recovery_codes_alone_are_no_factor(client: Client) -> None:
    user = staff()
    RecoveryCodes.activate(user)
    client.force_login(user, backend=BACKEND)
    assert client.get(INDEX, follow=True).redirect_chain[-1][0] == reverse("mfa_index")


def test_a_session_from_before_the_factor_shows_it_once_more(client: Client) -> None:
    user = staff()
    client.force_login(user, backend=BACKEND)
    give_factor(user)
    answer = client.get("/admin/llm/provider/", follow=True)
    assert answer.redirect_chain[-1][0] == f"{reverse('mfa_reauthenticate')}?next=%2Fadmin%2Fllm%2Fprovider%2F"


def test_by_the_pages_with_password_and_code(client: Client) -> None:
    user = User.objects.create_superuser("root@example.org", PASSWORD)
    secret = give_factor(user)
    answer = client.post("/accounts/login/?next=/admin/", {"login": user.email, "password": PASSWORD})
    assert where(answer) == "/accounts/2fa/authenticate/"
    assert where(client.get(INDEX)) == "/admin/login/"  # half signed in is not in
    client.post(answer.url, {"code": code_of(secret)})
    assert client.get(INDEX).status_code == 200


def test_a_factor_that_was_taken_away_no_longer_counts(client: Client) -> None:
    user = staff()
    enter(client, user)
    assert client.get(INDEX).status_code == 200
    Authenticator.objects.all().delete()
    assert where(client.get(INDEX)) == "/admin/login/"


def test_a_proof_of_yesterday_is_shown_once_more(client: Client) -> None:
    enter(client, staff())
    for hours, answer in ((11, 200), (13, 302)):
        session = client.session
        session[AUTHENTICATION_METHODS_SESSION_KEY] = [{"method": "mfa", "at": time.time() - hours * 3600, "type": "totp"}]
        session.save()
        assert client.get(INDEX).status_code == answer
    assert client.get(INDEX, follow=True).redirect_chain[-1][0].startswith(reverse("mfa_reauthenticate"))


def test_anothers_proof_is_not_ones_own(client: Client) -> None:
    enter(client, staff())
    records = {name: client.session[name] for name in client.session.keys() if name.startswith("account_authentication")}  # noqa: SIM118
    other = staff(email="other@example.org")
    give_factor(other)
    client.force_login(other, backend=BACKEND)
    session = client.session
    session.update(records)
    session.save()
    assert where(client.get(INDEX)) == "/admin/login/"


def test_in_development_a_password_is_enough(client: Client, settings: Any) -> None:
    settings.DEBUG = True
    client.force_login(staff(), backend=BACKEND)
    assert client.get(INDEX).status_code == 200


def test_the_way_back_leads_nowhere_else(client: Client) -> None:
    enter(client, staff())
    assert client.get("/admin/login/?next=https://evil.example/").url == INDEX
    assert client.get("/admin/login/?next=/admin/billing/tier/").url == "/admin/billing/tier/"


# -- what is written down ---------------------------------------------------------------------------------------------


def values(entry: LogEntry) -> dict[str, Any]:
    return {name: both for part in parts(entry) for name, both in part.get("values", {}).items()}


def test_every_page_of_the_admin_writes_the_log() -> None:
    assert [kind for kind in admin.site._registry.values() if not isinstance(kind, AuditedAdmin)] == []


def test_a_change_is_kept_with_before_and_after() -> None:
    client, text = staff_client(), Text.objects.filter(slug="imprint", language="de").get()
    before = text.title
    Text.objects.filter(pk=text.pk).update(body=text.body.strip())  # as the form sends it
    form = {"slug": text.slug, "language": "de", "title": "Wer wir sind", "body": text.body.strip(), "position": text.position}
    assert client.post(reverse("admin:triforce_text_change", args=[text.pk]), form).status_code == 302
    entry = LogEntry.objects.get()
    assert (entry.user.email, values(entry)) == ("root@example.org", {"title": [before, "Wer wir sind"]})
    page = client.get("/admin/admin/logentry/", headers={"Accept-Language": "en"})
    assert page.status_code == 200
    assert f"<b>title</b>: {before} → Wer wir sind" in page.content.decode()
    assert client.get(reverse("admin:admin_logentry_change", args=[entry.pk])).status_code == 200


def test_an_action_on_many_is_kept_for_each() -> None:
    client, models = staff_client(), LanguageModel.objects.all()[:3]
    form = {"action": "disable", "_selected_action": [model.pk for model in models]}
    client.post("/admin/llm/languagemodel/", form)
    assert [values(entry) for entry in LogEntry.objects.all()] == [{"enabled": ["True", "False"]}] * 3
    client.post("/admin/llm/languagemodel/", form)  # once more: that nothing changed is kept as well
    assert [values(entry) for entry in LogEntry.objects.order_by("pk")][3:] == [{}] * 3


def test_an_action_on_too_many_at_once_is_refused() -> None:
    client = staff_client()
    OutboxMail.objects.bulk_create(OutboxMail(dedupe=str(n), to="a@example.org", subject="s", body="") for n in range(MOST_AT_ONCE + 1))
    OutboxMail.objects.update(attempts=8)
    some = OutboxMail.objects.values_list("pk", flat=True)[:1]
    client.post("/admin/billing/outboxmail/", {"action": "try_again", "select_across": "1", "_selected_action": list(some)})
    assert OutboxMail.objects.filter(attempts=8).count() == MOST_AT_ONCE + 1
    assert not LogEntry.objects.exists()


def test_a_deletion_is_kept_with_what_was_there() -> None:
    client, user = staff_client(), User.objects.create_user("alice@example.org")
    grant = Subscription.objects.create(user=user, tier=Tier.objects.get(slug="pro"), note="for testing")
    client.post(reverse("admin:billing_subscription_delete", args=[grant.pk]), {"post": "yes"})
    entry = LogEntry.objects.get()
    assert (entry.action_flag, values(entry)["note"]) == (DELETION, ["for testing", None])


def test_no_secret_is_kept() -> None:
    client = staff_client()
    form = {"email": "new@example.org", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert client.post("/admin/accounts/user/add/", form).status_code == 302
    user = User.objects.get(email="new@example.org")
    form = {"password1": "Anderer-Honig-8", "password2": "Anderer-Honig-8", "usable_password": "true"}
    assert client.post(f"/admin/accounts/user/{user.pk}/password/", form).status_code == 302
    key, plain = create_key(user, name="k")
    client.post("/admin/accounts/apikey/", {"action": "revoke", "_selected_action": [key.pk]})
    client.post(reverse("admin:accounts_apikey_delete", args=[key.pk]), {"post": "yes"})
    kept = " ".join(LogEntry.objects.values_list("change_message", flat=True))
    assert "revoke" in kept and "hint" in kept
    for secret in (PASSWORD, "Anderer-Honig-8", plain, key.digest, user.password):
        assert secret not in kept


LONG = [f"line {number} of it all" for number in range(200)]
OLD, NEW = "\n".join(LONG), "\n".join([*LONG[:190], "another <line>", *LONG[191:]])  # behind what is long


def test_of_a_long_value_what_differs_is_kept() -> None:
    client, today = staff_client(), clock.now().date()
    release = ClientRelease.objects.create(version="1", build_date=today, checksum="x", download_url="https://x.example/", changelog=OLD)
    form = {"version": "1", "platform": "linux", "build_date": str(today), "checksum": "x", "download_url": "https://x.example/",
            "filename": "f", "created_0": "2026-01-01", "created_1": "00:00:00"}  # fmt: skip
    assert client.post(reverse("admin:accounts_clientrelease_change", args=[release.pk]), {**form, "changelog": NEW}).status_code == 302
    kept = values(LogEntry.objects.get())
    assert kept["filename"] == ["", "f"]
    assert "-line 190 of it all\n+another <line>" in kept["changelog"] and len(kept["changelog"]) < LONGEST
    assert "+another &lt;line&gt;" in client.get("/admin/admin/logentry/").content.decode()
    client.post(reverse("admin:accounts_clientrelease_delete", args=[release.pk]), {"post": "yes"})
    assert "-another <line>" in values(LogEntry.objects.latest("pk"))["changelog"]


def test_of_a_legal_text_all_is_kept() -> None:
    client, text = staff_client(), Text.objects.filter(slug="terms", language="de").get()
    Text.objects.filter(pk=text.pk).update(body=OLD)
    form = {"slug": text.slug, "language": "de", "title": text.title, "body": NEW, "position": text.position}
    assert client.post(reverse("admin:triforce_text_change", args=[text.pk]), form).status_code == 302
    entry = LogEntry.objects.get()
    assert values(entry) == {"body": [OLD, NEW]}
    page = client.get("/admin/admin/logentry/").content.decode()
    assert "-line 190 of it all" in page and "+another &lt;line&gt;" in page and "line 50 of it all" not in page
    assert "line 50 of it all" in client.get(reverse("admin:admin_logentry_change", args=[entry.pk])).content.decode()


def test_what_is_no_message_of_ours_is_shown_as_it_is() -> None:
    root = staff()
    for message in ("just words", "[not json", '[{"changed": {"fields": ["Name"]}}]', '["odd"]'):
        LogEntry.objects.create(user=root, object_repr="x", action_flag=2, change_message=message)
    shown = [LogEntryAdmin(LogEntry, admin.site).values(entry) for entry in LogEntry.objects.order_by("pk")[:3]]
    assert shown[:2] == ["just words", "[not json"] and "Name" in shown[2]


def test_what_was_done_and_to_what_is_said_in_words() -> None:
    client, user = staff_client(), User.objects.create_user("alice@example.org")
    client.post("/admin/llm/languagemodel/", {"action": "disable", "_selected_action": [LanguageModel.objects.all()[0].pk]})
    client.post(f"/admin/accounts/user/{user.pk}/suspend/", {"reason": "spam"})
    page = client.get("/admin/admin/logentry/", headers={"Accept-Language": "de"}).content.decode()
    for words in ("Ausschalten", "<b>eingeschaltet</b>: True → False", "Konto sperren", "<b>Grund</b>: – → spam"):
        assert words in page, words
    assert "is_active" not in page and ">disable<" not in page


def test_which_price_was_in_use_is_kept() -> None:
    client, model = staff_client(), LanguageModel.objects.all()[0]
    old = Price.objects.create(model_id=model.model_id, input=1, output=2, source="x")
    client.post("/admin/billing/price/add/", {"model_id": model.model_id, "input": "3", "output": "4"})
    new = Price.objects.latest("pk")
    assert values(LogEntry.objects.get(change_message__contains='"use"'))["in_use"][1] == str(new)
    client.post("/admin/billing/price/", {"action": "use", "_selected_action": [old.pk]})
    old.refresh_from_db()
    new.refresh_from_db()
    assert values(LogEntry.objects.latest("pk")) == {"in_use": [str(new), str(old)]}


LEDGERS = ("billing/usageday", "billing/usageevent", "billing/outboxmail", "admin/logentry", "accounts/impersonation",
    "triforce/taskstate", "djstripe/webhookeventtrigger")  # fmt: skip


@pytest.mark.parametrize("kind", LEDGERS)
def test_nobody_writes_a_ledger(kind: str) -> None:
    client = staff_client()
    assert client.get(f"/admin/{kind}/").status_code == 200
    for page in ("add/", "1/delete/"):
        assert client.post(f"/admin/{kind}/{page}").status_code in (302, 403, 404)
    page = client.get(f"/admin/{kind}/").content.decode()
    assert "delete_selected" not in page and f"/admin/{kind}/add/" not in page


def test_prices_are_never_changed_and_a_no_is_kept() -> None:
    client = staff_client()
    price = Price.objects.create(model_id="x/y", input=9, output=9, source="live", approved=False)
    client.post("/admin/billing/price/", {"action": "refuse", "_selected_action": [price.pk]})
    price.refresh_from_db()
    assert (price.approved, price.declined) == (False, True)
    assert values(LogEntry.objects.get()) == {"declined": ["False", "True"]}
    assert str(price.pk) not in client.get("/admin/billing/price/?state=waiting").content.decode().partition('id="result_list"')[2]


def test_a_key_is_revoked_by_its_own_right() -> None:
    """Not by the one to delete it: support may do the first alone."""
    client, (key, _plain) = staff_client("support"), create_key(User.objects.create_user("alice@example.org"), name="k")
    client.post("/admin/accounts/apikey/", {"action": "delete_selected", "_selected_action": [key.pk], "post": "yes"})
    client.post("/admin/accounts/apikey/", {"action": "revoke", "_selected_action": [key.pk]})
    assert ApiKey.objects.get().revoked
