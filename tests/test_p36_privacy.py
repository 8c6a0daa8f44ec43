"""P36: the export holds every table with a link to a person, and deletion removes or anonymises all of it."""

from __future__ import annotations

import io
import json
import re
import uuid
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialToken
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.management import CommandError, call_command
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from accounts.client_logs import store_logs
from accounts.devices import add_device
from accounts.keys import create_key
from accounts.models import Impersonation, LoginToken, User, UserSettings
from accounts.tokens import issue_token
from billing import audit, clock, outbox, quota
from billing.models import OutboxMail, Subscription, Tier, TierDay, UsageDay, UsageEvent
from billing.quota import Holder, Settlement
from llm.models import Attachment, Conversation, IdempotentAnswer, Turn
from tests.conftest import PASSWORD
from tests.server import LiveServer
from tests.stripe_rows import forget_stripes_records, give_stripes_records
from triforce.privacy import deletion, export
from triforce.privacy.deletion import Report, delete_account, is_ours, obstacle
from triforce.privacy.staff_log import FORMER_STAFF
from triforce.privacy.stores import IMPERSONAL, STORES, Store

db = pytest.mark.django_db
MARK = "alices-own"
ALICE = f"{MARK}@example.org"
SECRET = "canary-that-opens-something"


@pytest.fixture(autouse=True)
def nothing_is_sold(settings: Any) -> None:
    """Any longer: there is nobody at Stripe to be told."""
    settings.STRIPE_SECRET_KEY = ""


@pytest.fixture
def alice(make_user: Callable[..., User]) -> User:
    return make_user(email=ALICE, name=MARK)


def give_everything(user: User, mark: str = MARK) -> None:
    """At least one row in every store. A new store needs one here."""
    operator = User.objects.create_superuser(f"operator-{user.pk}@example.net")
    key, _plain = create_key(user, name=mark, daily_tokens=10**6)
    held = Holder(user.subject, user.pk, "registered", 100_000, key.pk, 10**6)
    for name in (f"{mark}-settled", f"{mark}-open"):
        quota.reserve(request_id=name, holder=held, usage_class="cloud", input_bound=10, output=90, entry_point="client", model="a/b")
    quota.settle(f"{mark}-settled", Settlement(state="settled", rule="answered", charged=42))
    TierDay.objects.create(day=clock.now().date(), tier="registered", subject=user.subject, tokens=42)
    Impersonation.objects.create(user=user, operator=operator, reason=mark)
    add_device(user, name=mark, kind="desktop")
    issue_token(user)
    store_logs(user, [{"message": mark}], {"host": mark})
    UserSettings.objects.create(user=user, values={"note": mark}, encrypted_data=mark)
    Subscription.objects.create(user=user, tier=Tier.objects.get(slug="pro"), note=mark)
    give_stripes_records(user, mark)
    IdempotentAnswer.objects.create(subject=user.subject, key=mark, body_digest="x", request_id=mark, completion={"text": mark})
    conversation = Conversation.objects.create(user=user, title=mark, share_token=f"{SECRET}-{user.pk}")
    conversation.leaf = Turn.objects.create(id=uuid.uuid4(), conversation=conversation, prompt=mark, answer=mark, state=Turn.State.DONE)
    conversation.save()
    conversation.leaf.attachments.add(Attachment.objects.create(user=user, name=mark, kind="text", size=1, tokens=1, text=mark))
    outbox.post(to=user.email, subject=mark, body=SECRET, dedupe=f"quota:{user.subject}")
    Session.objects.create(session_key=f"{SECRET}-{user.pk}", session_data=SECRET, expire_date=timezone.now() + timedelta(days=1))
    UserSession.objects.create(user=user, ip="192.0.2.7", user_agent=mark, session_key=f"{SECRET}-{user.pk}")
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={"secret": SECRET})
    elsewhere = SocialAccount.objects.create(user=user, provider="github", uid=str(user.pk), extra_data={"login": mark})
    SocialToken.objects.create(account=elsewhere, token=SECRET)
    user.trust_email()
    address = EmailAddress.objects.create(user=user, email=f"second-{user.email}")
    EmailConfirmation.objects.create(email_address=address, key=f"{SECRET}-{user.pk}")
    user.groups.add(Group.objects.get_or_create(name="testers")[0])
    user.user_permissions.add(Permission.objects.all()[0])
    for who, about in ((operator, user), (user, operator)):
        LogEntry.objects.create(user=who, content_type=ContentType.objects.get_for_model(User), object_id=str(about.pk),
                                object_repr=str(about), action_flag=CHANGE, change_message=f"changed {about}")  # fmt: skip


def tables() -> list[type[Model]]:
    return [model for model in apps.get_models(include_auto_created=True) if model._meta.managed and not model._meta.proxy]


def test_every_table_stands_in_one_list() -> None:
    personal, impersonal = {store.model._meta.label for store in STORES}, IMPERSONAL
    assert {model._meta.label for model in tables()} == personal | impersonal, "put a new table into triforce/privacy/stores.py"
    assert not personal & impersonal


def test_no_table_with_a_way_to_a_person_counts_as_impersonal() -> None:
    personal = {store.model for store in STORES}
    ways = {(model._meta.label, field.name) for model in tables() for field in model._meta.get_fields(include_hidden=False)
            if model not in personal and field.concrete and field.is_relation and field.related_model in personal}  # fmt: skip
    assert not ways


@db
def test_everything_is_counted_and_forgotten_and_nobody_elses(alice: User, make_user: Callable[..., User]) -> None:
    bob = make_user(email=f"x{ALICE}")  # whose address ends like hers
    give_everything(alice)
    give_everything(bob, "bobs-own")
    assert [store.name for store in STORES if not store.of(alice).exists()] == []
    bobs = {store.name: list(store.of(bob).order_by("pk").values()) for store in STORES}
    subject = alice.subject
    report = delete_account(alice)
    assert {line.store for line in report.lines} == {store.name for store in STORES}
    assert all(line.count for line in report.lines)
    assert {store.name: list(store.of(bob).order_by("pk").values()) for store in STORES} == bobs
    OutboxMail.objects.get(forget=True).delete()  # the farewell, as when it is sent
    assert list(_mentions(MARK)) == list(_mentions(subject)) == []


def _mentions(word: str) -> Iterator[str]:
    """Where in the whole database that word stands on its own. The request ids of receipts are ours, and only in this test a word."""
    whole = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    for model in tables():
        for row in model._base_manager.values():
            yield from (f"{model._meta.label}.{name}" for name, value in row.items() if name != "request_id" and whole.search(str(value)))


@db
def test_the_books_still_agree_and_what_ran_is_settled(alice: User) -> None:
    give_everything(alice)
    day = clock.now().date()
    assert audit.differences(day) == []
    delete_account(alice)
    assert audit.differences(day) == []
    settled = UsageEvent.objects.get(request_id=f"{MARK}-settled")
    assert (settled.account_id, settled.key_id, settled.charged) == (None, None, 42)
    assert settled.subject.startswith("gone:")
    assert set(UsageDay.objects.values_list("subject", flat=True)) == {settled.subject}
    quota.settle(f"{MARK}-open", Settlement(state="settled", rule="answered", charged=8))
    assert audit.differences(day) == []
    assert list(UsageDay.objects.values_list("used", "reserved")) == [(50, 0)]


@db
def test_what_an_unproven_account_used_stays_with_the_guests(alice: User) -> None:
    held = Holder("guest:here", alice.pk, "guest", 50_000, visitor=alice.subject)
    for name in ("settled", "open"):
        quota.reserve(request_id=name, holder=held, usage_class="cloud", input_bound=10, output=90, entry_point="client", model="a/b")
    quota.settle("settled", Settlement(state="settled", rule="answered", charged=42))
    delete_account(alice)
    quota.settle("open", Settlement(state="settled", rule="answered", charged=20))
    day = UsageDay.objects.get()
    assert (day.subject, day.used, day.reserved) == ("guest:here", 62, 0)
    assert audit.differences(clock.now().date()) == []
    assert not UsageEvent.objects.exclude(account=None, visitor="").exists()


@db
def test_what_ran_may_still_fall_back_to_the_other_class(alice: User) -> None:
    held = Holder(alice.subject, alice.pk, "registered", 100_000)
    running = quota.reserve(request_id="r", holder=held, usage_class="cloud", input_bound=10, output=90, entry_point="client", model="a/b")
    delete_account(alice)
    assert quota.move(running, "unlimited")
    quota.settle("r", Settlement(state="settled", rule="answered", charged=8))
    assert audit.differences(running.day) == []
    assert not UsageDay.objects.filter(subject=alice.subject).exists()


@db
def test_what_cannot_be_forgotten_undoes_all_of_it(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    give_everything(alice)
    deaf = Store("deaf", "Deaf", LoginToken, lambda user: LoginToken.objects.filter(user_id=user.pk), blur=lambda rows, alias: None)
    monkeypatch.setattr(deletion, "STORES", (deaf, *(store for store in STORES if store.name in ("receipts", "days"))))
    with pytest.raises(RuntimeError, match="deaf"):
        delete_account(alice)
    assert alice.receipts.count() == 2


# -- the log of the staff ---------------------------------------------------------------------------------------------


def noted(who: User, about: Model, message: str, shown: str = "") -> LogEntry:
    kind = ContentType.objects.get_for_model(about)
    return LogEntry.objects.create(user=who, content_type=kind, object_id=str(about.pk), object_repr=shown or str(about),
                                   action_flag=CHANGE, change_message=message)  # fmt: skip


@db
def test_what_somebody_of_the_staff_did_outlives_their_account(alice: User, make_user: Callable[..., User]) -> None:
    tier = Tier.objects.get(slug="pro")
    message = json.dumps([{"action": "disable"}, {"values": {"enabled": ["True", "False"]}}])
    for one in (alice, carol := make_user(email="carol@example.org")):
        noted(one, tier, message)
        delete_account(one)
    former = User.objects.get(email=FORMER_STAFF)
    assert list(LogEntry.objects.values_list("user", "object_id", "change_message")) == [(former.pk, str(tier.pk), message)] * 2
    OutboxMail.objects.all().delete()  # the farewells, as when they are sent
    assert list(_mentions(MARK)) == list(_mentions(carol.email)) == []
    assert not former.is_active and not former.has_usable_password()
    assert obstacle(former)


@db
def test_of_what_was_noted_the_address_alone_is_taken_out(alice: User, make_user: Callable[..., User]) -> None:
    root, tier, bob = User.objects.create_superuser("root@example.net"), Tier.objects.get(slug="pro"), make_user(email=f"x{ALICE}")
    EmailAddress.objects.create(user=alice, email="alice@bücher.example")
    words = f"For {ALICE.upper()}. And:\n{ALICE}\nx{ALICE}, {ALICE}.net, alice@bücher.example"
    ends = noted(root, tier, json.dumps([{"values": {"name": [words, "Profi"]}}]), f"{ALICE} · Pro")
    export = noted(root, tier, f"q={ALICE.replace('@', '%40')}&on=2026-01-01", "export of receipts")
    about = noted(root, alice, json.dumps([{"action": "suspend"}, {"values": {"name": [MARK, "A"], "reason": [None, MARK]}}]))
    others = noted(root, bob, json.dumps([{"action": "suspend"}, {"values": {"reason": [None, "spam"]}}]))
    untouched = LogEntry.objects.filter(pk=others.pk).values().get()
    delete_account(alice)
    for entry in (ends, export, about):
        entry.refresh_from_db()
    alias = ends.object_repr.removesuffix(" · Pro")
    assert alias.startswith("gone:")
    kept = f"For {alias}. And:\n{alias}\nx{ALICE}, {ALICE}.net, {alias}"
    assert json.loads(ends.change_message) == [{"values": {"name": [kept, "Profi"]}}]
    assert export.change_message == f"q={alias}&on=2026-01-01"
    assert (about.object_id, about.object_repr, json.loads(about.change_message)) == (None, alias, [{"action": "suspend"}])
    assert LogEntry.objects.filter(pk=others.pk).values().get() == untouched


@db
def test_an_administrator_and_a_paying_account_are_not_deleted(alice: User) -> None:
    assert obstacle(alice) == ""
    since = timezone.now() - timedelta(seconds=1)  # SQLite's clock has milliseconds, ours has more
    paid = Subscription.objects.create(user=alice, tier=Tier.objects.get(slug="pro"), source=Subscription.Source.STRIPE, starts_at=since)
    assert obstacle(alice)
    with pytest.raises(ValueError):
        delete_account(alice)
    paid.ends_at = timezone.now() - timedelta(days=1)
    paid.save()
    assert obstacle(alice) == ""
    User.objects.update(is_staff=True)
    with pytest.raises(ValueError):
        delete_account(alice)
    assert User.objects.filter(email=ALICE).exists()


# -- the report -------------------------------------------------------------------------------------------------------


@db
def test_the_report_is_mailed_once_and_the_mail_forgotten(alice: User) -> None:
    report = delete_account(alice)
    assert outbox.send_due() == 1
    assert (mail.outbox[0].to, report.text in mail.outbox[0].body) == ([ALICE], True)
    assert not OutboxMail.objects.exists()


@pytest.fixture
def report(alice: User) -> Report:
    return delete_account(alice)


@db
def test_a_report_of_ours_is_known_again(report: Report, tmp_path: Path) -> None:
    told, file = StringIO(), tmp_path / "report.txt"
    file.write_text(report.text.replace("\n", "  \r\n"))
    call_command("check_deletion_report", str(file), stdout=told)
    assert "ours" in told.getvalue()
    for changed in (report.text.replace("1 deleted", "0 deleted"), "", "Signature: x", report.text[:-5]):
        assert not is_ours(changed)
        file.write_text(changed)
        with pytest.raises(CommandError):
            call_command("check_deletion_report", str(file))
    with pytest.raises(CommandError):
        call_command("check_deletion_report", str(tmp_path / "none"))


# -- the pages --------------------------------------------------------------------------------------------------------


def signed_in(user: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    assert client.post("/accounts/login/", {"login": user.email, "password": PASSWORD}).status_code == 302
    return client


def shows_itself(client: Client) -> None:
    answer = client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": "/account/privacy"})
    assert answer.headers["Location"] == "/account/privacy"


@db
def test_nothing_happens_before_somebody_shows_that_it_is_them(alice: User) -> None:
    client = signed_in(alice)
    assert 'action="/account/privacy/delete"' not in client.get("/account/privacy").content.decode()
    for path in ("/account/privacy/export", "/account/privacy/delete"):
        assert client.post(path, {"email": ALICE}).headers["Location"] == "/account/privacy"
    assert User.objects.filter(pk=alice.pk).exists()
    shows_itself(client)
    assert 'action="/account/privacy/delete"' in client.get("/account/privacy").content.decode()


@db
def test_a_person_deletes_themselves_and_sees_what_went(alice: User) -> None:
    client = signed_in(alice)
    shows_itself(client)
    give_everything(alice)
    assert client.post("/account/privacy/delete", {"email": "somebody@example.org"}).headers["Location"] == "/account/privacy"
    assert User.objects.filter(pk=alice.pk).exists()
    page = client.post("/account/privacy/delete", {"email": f" {ALICE.upper()} "}).content.decode()
    assert "Your account is deleted" in page
    assert "Signature: " in page
    assert not User.objects.filter(pk=alice.pk).exists()
    assert client.get("/dashboard").headers["Location"].startswith("/accounts/login/")
    assert client.post("/accounts/login/", {"login": ALICE, "password": PASSWORD}).status_code == 200


@db
def test_an_administrator_is_told_why_not(alice: User) -> None:
    User.objects.update(is_staff=True)
    client = signed_in(alice)
    shows_itself(client)
    client.post("/account/privacy/delete", {"email": ALICE})
    assert "Another administrator must take that right away first." in client.get("/account/privacy").content.decode()
    assert User.objects.filter(pk=alice.pk).exists()


@pytest.fixture
def at_home(live: LiveServer, alice: User) -> Iterator[httpx.Client]:
    """Alice's browser, after she showed once more that it is her."""
    with httpx.Client(base_url=live.url, headers={"Accept-Language": "en"}) as browser:
        browser.get("/accounts/login/")
        for path, form in (("/accounts/login/", {"login": ALICE}), ("/accounts/reauthenticate/", {})):
            browser.headers["X-CSRFToken"] = browser.cookies["csrftoken"]
            assert browser.post(path, data={**form, "password": PASSWORD}).is_redirect
        browser.headers["X-CSRFToken"] = browser.cookies["csrftoken"]
        yield browser


@pytest.fixture
def everything(alice: User, at_home: httpx.Client) -> Iterator[None]:
    """Given after she signed in: a second factor is among it."""
    give_everything(alice)
    yield
    forget_stripes_records()
    Session.objects.all().delete()
    LogEntry.objects.all().delete()
    Group.objects.filter(name="testers").delete()


@pytest.mark.usefixtures("everything")
def test_the_export_is_one_zip_of_everything_and_of_nothing_that_opens(at_home: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triforce.privacy.export.ROWS", 2)
    answer = at_home.post("/account/privacy/export")
    assert answer.headers["Content-Type"] == "application/zip"
    assert "attachment" in answer.headers["Content-Disposition"]
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    assert set(archive.namelist()) == {"README.md", "manifest.json", *(f"{store.name}.json" for store in STORES)}
    manifest: dict[str, Any] = json.loads(archive.read("manifest.json"))
    assert (manifest["format"], manifest["version"], manifest["account"]) == ("triforce-export", 1, ALICE)
    for file in manifest["files"]:
        rows = json.loads(archive.read(file["file"]))
        assert len(rows) == file["rows"] > 0, file
        assert all(rows), file
    told = b"".join(archive.read(name) for name in archive.namelist()).decode()
    assert SECRET not in told
    assert "argon2" not in told
    assert json.loads(archive.read("account.json"))[0]["email"] == ALICE
    assert {row["request_id"] for row in json.loads(archive.read("receipts.json"))} == {f"{MARK}-settled", f"{MARK}-open"}
    assert json.loads(archive.read("client_settings.json"))[0]["values"] == {"note": MARK}


@pytest.mark.django_db
def test_a_page_of_the_export_holds_few_large_files_or_many_small_rows(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triforce.privacy.export.BYTES", 1000)
    sizes = sorted([100] * 30 + [400] * 2 + [5000])
    for number, size in enumerate(sizes):
        row = Attachment(id=uuid.UUID(int=number + 1), user=alice, name="a", kind="image", size=size, tokens=1, image=bytes(size))
        row.save()
    (files,) = [store for store in STORES if store.name == "files"]
    pages: list[list[dict[str, Any]]] = []
    while rows := export._page(files, alice, pages[-1][-1]["pk"] if pages else None):
        pages.append(rows)
    assert [[row["size"] for row in rows] for rows in pages] == [[100] * 10] * 3 + [[400] * 2, [5000]]


def test_exports_are_few_within_an_hour(at_home: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triforce.pages_privacy.EXPORTS", 1)
    assert at_home.post("/account/privacy/export").status_code == 200
    assert at_home.post("/account/privacy/export").headers["Location"] == "/account/privacy"
