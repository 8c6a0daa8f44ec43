"""P20, P27: who may use which address. Every route has a line in a table below; one without fails here."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.shortcuts import resolve_url
from django.test import Client
from django.utils import timezone
from djstripe.models import WebhookEventTrigger
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from accounts.client_logs import store_logs
from accounts.devices import add_device
from accounts.keys import SCOPES, create_key, digest_of, new_key
from accounts.models import ClientLog, ClientRelease, Device, Impersonation, LoginToken, User, UserSettings
from accounts.tokens import issue_token
from billing import clock, rates
from billing.grants import grant
from billing.models import (
    Declaration,
    Invoice,
    Order,
    OutboxMail,
    Price,
    Subscription,
    Tier,
    TierPrice,
    UsageClass,
    UsageDay,
    UsageEvent,
)  # fmt: skip
from billing.tiers import get_tier
from llm import views_status
from llm.models import Attachment, Conversation, LanguageModel, Provider, Turn
from tests.conftest import PASSWORD
from tests.fakes.upstream import Answer, FakeUpstream
from tests.routes import METHODS, routes
from tests.server import LiveServer
from tests.staff import enter
from triforce.asgi import LEAN_PATHS
from triforce.examples_conversations import EXPORT
from triforce.models import Announcement, TaskState, Text
from triforce.paths import is_api, other_spelling

Headers = dict[str, str]
Outcome = tuple[int, str]  # the status, and the code of a refusal

ANYONE = "anyone"  # credentials are not looked at
CALLER = "caller"  # guests too; a bad credential is refused
USER = "user"  # an account, by whatever credential
OWNER = "owner"  # the account's owner in person: a login or a session, no key
MARK = "alices-own"  # in everything that is Alice's
ALICE = f"{MARK}@example.org"


@dataclass(frozen=True)
class Door:
    """Who may use an operation, what they get, and the scope that a key needs for it. A path with an id leads to Alice's."""

    who: str
    status: int = 200
    body: Any = None
    scope: str = ""
    upload: bool = False  # the body is files


API = {
    "GET /health": Door(ANYONE),
    "GET /healthz": Door(ANYONE),
    "GET /readyz": Door(ANYONE),
    "GET /openapi.json": Door(ANYONE),
    "POST /v1/auth/login": Door(ANYONE, 200, {"email": ALICE, "password": PASSWORD}),
    "POST /v1/auth/register": Door(ANYONE, 201, {"email": "new@example.org", "password": PASSWORD}),
    "POST /v1/auth/token": Door(ANYONE, 200, {"client_id": f"{MARK}-laptop", "client_secret": "secret"}),
    "POST /v1/auth/logout": Door(OWNER, 200, {}),
    "GET /v1/auth/me": Door(USER),
    "GET /v1/keys": Door(OWNER),
    "POST /v1/keys": Door(OWNER, 201, {"name": "k"}),
    "DELETE /v1/keys/{key_id}": Door(OWNER),
    "POST /v1/keys/{key_id}/rotate": Door(OWNER, 201, {}),
    "GET /v1/users/{me}/settings": Door(OWNER),
    "POST /v1/users/{me}/settings": Door(OWNER, 200, {"settings": {"colour": "blue"}}),
    "GET /v1/user/settings/sync": Door(OWNER),
    "POST /v1/user/settings/sync": Door(OWNER, 200, {"encrypted_data": "YQ==", "checksum": "0" * 16, "timestamp": "now"}),
    "GET /v1/users/{me}/devices": Door(OWNER),
    "POST /v1/users/{me}/devices": Door(OWNER, 201, {"device_name": "d", "user_id": ALICE}),
    "DELETE /v1/users/{me}/devices/{device_id}": Door(OWNER),
    "POST /v1/client/logs": Door(USER, 202, {"logs": [{"message": "m"}]}),
    "GET /v1/client/update/version": Door(CALLER),
    "GET /v1/client/models": Door(CALLER),
    "GET /v1/client/models/availability": Door(CALLER),
    "GET /v1/client/ollama/status": Door(CALLER),
    "POST /v1/client/chat": Door(CALLER, 200, {"message": "Hi"}, scope="chat"),
    "GET /v1/conversations": Door(USER, scope="chat"),
    "GET /v1/conversations/folders": Door(USER, scope="chat"),
    "GET /v1/conversations/export": Door(USER, scope="chat"),
    "POST /v1/conversations/import": Door(USER, 200, EXPORT, scope="chat"),
    "GET /v1/conversations/{conversation_id}": Door(USER, scope="chat"),
    "PATCH /v1/conversations/{conversation_id}": Door(USER, 200, {"title": "t"}, scope="chat"),
    "DELETE /v1/conversations/{conversation_id}": Door(USER, scope="chat"),
    "POST /v1/conversations/{conversation_id}/restore": Door(USER, 200, {}, scope="chat"),
    "GET /v1/conversations/{conversation_id}/turns": Door(USER, scope="chat"),
    "POST /v1/conversations/{conversation_id}/share": Door(USER, 200, {"days": 1}, scope="chat"),
    "DELETE /v1/conversations/{conversation_id}/share": Door(USER, scope="chat"),
    "GET /v1/conversations/{conversation_id}/export": Door(USER, scope="chat"),
    "POST /v1/attachments": Door(USER, 201, {"file": ("a.txt", b"Hi")}, scope="chat", upload=True),
    "DELETE /v1/attachments/{attachment_id}": Door(USER, scope="chat"),
    "GET /v1/attachments/{attachment_id}/content": Door(USER, scope="chat"),
    "POST /v1/quote": Door(CALLER, 200, {"message": "Hi"}, scope="chat"),
    "GET /v1/tiers": Door(CALLER),
    "GET /v1/client/tier": Door(CALLER),
    "GET /v1/client/tokens/usage": Door(CALLER),
    "GET /v1/usage": Door(USER, scope="usage"),
    "GET /v1/usage/{request_id}": Door(USER, scope="usage"),
}

LOGIN = "/accounts/login/"
REAUTHENTICATE = "/accounts/reauthenticate/"
HOME = resolve_url(settings.LOGIN_REDIRECT_URL)

# What a guest and a person who is signed in are answered: a status, or where they are sent. Nothing but a session counts.
PAGES: dict[str, tuple[int | str, int | str]] = {
    "/": (200, 200),
    "/chat": (200, 200),
    "/chat/{conversation_id}": (404, 200),
    "/shared/{token}": (404, 404),  # without a link that holds
    "/jsi18n": (200, 200),
    "/models": (200, 200),
    "/models/{model_id}": (200, 200),
    "/prices": (200, 200),
    "/status": (200, 200),
    "/pages/{slug}": (200, 200),
    "/appearance": (405, 405),  # only posted to
    "/language": ("/", "/"),
    "/manifest.webmanifest": (200, 200),
    "/service-worker.js": (200, 200),
    "/offline": (200, 200),
    "/internal/components": (LOGIN, 403),
    "/docs": (200, 200),
    "/dashboard": (LOGIN, 200),
    "/receipts": (LOGIN, 200),
    "/receipts/{request_id}": (LOGIN, 200),
    "/order/{slug}/{interval}": (LOGIN, 404),  # of what is not sold
    "/contracts/cancel": (200, 200),
    "/contracts/withdraw": (200, 200),
    "/stripe/webhook": (405, 405),
    "/account/billing": (LOGIN, 200),
    "/account/billing/change": (LOGIN, 405),
    "/account/billing/welcome": (LOGIN, 200),
    "/account/keys": (LOGIN, 200),
    "/account/settings": (LOGIN, 200),
    "/account/privacy": (LOGIN, 200),
    "/account/privacy/export": (LOGIN, 405),
    "/account/privacy/delete": (LOGIN, 405),
    "/account/impersonation/end": (LOGIN, 405),  # only posted to
    "/announcements/{announcement_id}/dismiss": (405, 405),
    "/account/keys/{key_id}": (LOGIN, 405),  # only posted to
    "/account/devices": (LOGIN, 200),
    "/account/devices/{device_id}": (LOGIN, 405),
    "/accounts/login/": (200, HOME),
    "/accounts/logout/": ("/", 200),
    "/accounts/inactive/": (200, 200),
    "/accounts/signup/": (200, HOME),
    "/accounts/reauthenticate/": (LOGIN, 200),
    "/accounts/email/": (LOGIN, 200),
    "/accounts/confirm-email/": (200, 200),
    "/accounts/confirm-email/{key}/": (200, 200),
    "/accounts/password/change/": (LOGIN, 200),
    "/accounts/password/set/": (LOGIN, "/accounts/password/change/"),
    "/accounts/password/reset/": (200, 200),
    "/accounts/password/reset/done/": (200, 200),
    "/accounts/password/reset/key/{uidb36}-{key}/": (200, 200),
    "/accounts/password/reset/key/done/": (200, 200),
    "/accounts/login/code/confirm/": (LOGIN, HOME),
    "/accounts/2fa/": (LOGIN, 200),
    "/accounts/2fa/authenticate/": (LOGIN, HOME),
    "/accounts/2fa/reauthenticate/": (LOGIN, REAUTHENTICATE),
    "/accounts/2fa/totp/activate/": (LOGIN, REAUTHENTICATE),
    "/accounts/2fa/totp/deactivate/": (LOGIN, 404),  # there is none
    "/accounts/2fa/recovery-codes/": (LOGIN, 404),
    "/accounts/2fa/recovery-codes/generate/": (LOGIN, REAUTHENTICATE),
    "/accounts/2fa/recovery-codes/download/": (LOGIN, 404),
    "/accounts/2fa/webauthn/": (LOGIN, 200),
    "/accounts/2fa/webauthn/add/": (LOGIN, REAUTHENTICATE),
    "/accounts/2fa/webauthn/reauthenticate/": (LOGIN, REAUTHENTICATE),
    "/accounts/2fa/webauthn/login/": (LOGIN, HOME),
    "/accounts/2fa/webauthn/keys/{pk}/remove/": (LOGIN, REAUTHENTICATE),
    "/accounts/2fa/webauthn/keys/{pk}/edit/": (LOGIN, REAUTHENTICATE),
    "/accounts/sessions/": (LOGIN, 200),
    "/accounts/3rdparty/": (LOGIN, 200),
    "/accounts/3rdparty/signup/": (LOGIN, LOGIN),  # nobody has come from elsewhere
    "/accounts/3rdparty/login/cancelled/": (200, 200),
    "/accounts/3rdparty/login/error/": (401, 401),
    "/accounts/social/signup/": ("/accounts/3rdparty/signup/", "/accounts/3rdparty/signup/"),  # older addresses
    "/accounts/social/login/cancelled/": ("/accounts/3rdparty/login/cancelled/", "/accounts/3rdparty/login/cancelled/"),
    "/accounts/social/login/error/": ("/accounts/3rdparty/login/error/", "/accounts/3rdparty/login/error/"),
    "/accounts/social/connections/": ("/accounts/3rdparty/", "/accounts/3rdparty/"),
}

TOKENLESS: dict[str, int | str] = {"/docs": 405, "/stripe/webhook": 400}  # what a post without CSRF token is answered where it is not 403

ADMIN_LOGIN = "/admin/login/"

# What a guest, a person and an operator with all rights are answered.
ADMIN_PAGES: dict[str, tuple[int | str, int | str, int | str]] = {
    "/admin/": (ADMIN_LOGIN, ADMIN_LOGIN, 200),
    "/admin/login/": (LOGIN, 403, "/admin/"),
    "/admin/logout/": ("/admin/", "/admin/", 405),
    "/admin/password_change/": (ADMIN_LOGIN, ADMIN_LOGIN, 200),
    "/admin/password_change/done/": (ADMIN_LOGIN, ADMIN_LOGIN, 200),
    "/admin/autocomplete/": (ADMIN_LOGIN, ADMIN_LOGIN, 403),  # of nothing
    "/admin/jsi18n/": (ADMIN_LOGIN, ADMIN_LOGIN, 200),
    "/admin/r/{content_type_id}/{object_id}/": (ADMIN_LOGIN, ADMIN_LOGIN, 404),
    "/admin/accounts/user/{id}/password/": (ADMIN_LOGIN, ADMIN_LOGIN, 200),
    "/admin/accounts/user/{object_id}/grant/": (ADMIN_LOGIN, ADMIN_LOGIN, 200),
    "/admin/accounts/user/{object_id}/suspend/": (ADMIN_LOGIN, ADMIN_LOGIN, 200),
    "/admin/accounts/user/{object_id}/look/": (ADMIN_LOGIN, ADMIN_LOGIN, 200),
    "/admin/accounts/user/{object_id}/forget/": (ADMIN_LOGIN, ADMIN_LOGIN, 200),
    "/admin/llm/provider/{object_id}/sync/": (ADMIN_LOGIN, ADMIN_LOGIN, 405),  # only posted to
    "/admin/billing/usageevent/export/": (ADMIN_LOGIN, ADMIN_LOGIN, 200),
    "/admin/{app_label}/": (ADMIN_LOGIN, ADMIN_LOGIN, 200),
    "/admin/{url}": (ADMIN_LOGIN, ADMIN_LOGIN, 404),
}
# Where a password alone leads an operator.
UNPROVEN: dict[str, int | str] = {"/admin/login/": "/accounts/2fa/", "/admin/logout/": "/admin/"}
# What an operator with all rights may do with each kind of row; viewing is always one of it.
ADMIN = {
    "auth/group": "add change delete",
    "account/emailaddress": "delete",
    "mfa/authenticator": "delete",
    "usersessions/usersession": "delete",
    "admin/logentry": "",
    "accounts/user": "add change",
    "accounts/apikey": "delete",
    "accounts/logintoken": "delete",
    "accounts/device": "delete",
    "accounts/clientlog": "delete",
    "accounts/impersonation": "",
    "accounts/clientrelease": "add change delete",
    "billing/tier": "add change delete",
    "billing/subscription": "change delete",
    "billing/tierprice": "",
    "billing/order": "",
    "billing/invoice": "",
    "billing/declaration": "change",
    "djstripe/webhookeventtrigger": "",
    "billing/usageday": "",
    "billing/usageevent": "",
    "billing/outboxmail": "",
    "billing/price": "add",
    "llm/provider": "add change delete",
    "llm/languagemodel": "add change delete",
    "triforce/text": "add change delete",
    "triforce/announcement": "add change delete",
    "triforce/taskstate": "",
}
ADMIN_VIEWS = ("", "add/", "{object_id}/", "{object_id}/change/", "{object_id}/delete/", "{object_id}/history/")


@pytest.fixture(autouse=True)
def no_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole table in a minute is no use that a limit is for."""
    monkeypatch.setattr(rates, "_look", lambda *args, **kwargs: rates.Verdict(True, 1, 0))


# -- the cast ---------------------------------------------------------------------------------------------------------


class Cast:
    """Alice, who has one of everything; Bob, who is another; Root, an operator; Dora, whose account is disabled."""

    def __init__(self) -> None:
        self.alice = User.objects.create_user(ALICE, PASSWORD, name=MARK)
        self.alice.trust_email()
        self.bob = User.objects.create_user("bob@example.org", PASSWORD)
        self.root = User.objects.create_superuser("root@example.org")
        self.dora = User.objects.create_user("dora@example.org", is_active=False)
        Device.objects.create(user=self.alice, name=MARK, client_id=f"{MARK}-laptop", secret_digest=digest_of("secret"))
        UserSettings.objects.create(user=self.alice, values={"note": MARK}, encrypted_data=MARK)
        store_logs(self.alice, [{"message": MARK}], {"host": MARK})
        self.receipt = receipt_of(self.alice)

    def path(self, template: str, **other: Any) -> str:
        """Where Alice's things are, fresh, for some are used up; `other` stands in the path instead."""
        make = {
            "me": lambda: ALICE,
            "key_id": lambda: create_key(self.alice, name=MARK)[0].pk,
            "device_id": lambda: add_device(self.alice, name=MARK, kind="desktop")[0].device_id,
            "request_id": lambda: self.receipt.request_id,
            "conversation_id": lambda: self.conversation(binned="/restore" in template).pk,
            "attachment_id": lambda: Attachment.objects.create(user=self.alice, name=MARK, kind="text", size=1, tokens=1, text=MARK).pk,
        }
        return re.sub(r"{(\w+)}", lambda found: str(other[found[1]] if found[1] in other else make[found[1]]()), template)

    def conversation(self, binned: bool) -> Conversation:
        row = Conversation.objects.create(user=self.alice, title=MARK, deleted=timezone.now() if binned else None)
        row.leaf = Turn.objects.create(id=uuid.uuid4(), conversation=row, prompt=MARK, answer=MARK, state=Turn.State.DONE)
        row.save()
        return row

    def belongings(self) -> list[Any]:
        """All that is Alice's, to see whether somebody changed it."""
        alice = self.alice
        rows: list[Any] = [User.objects.filter(pk=alice.pk).values_list("email", "name", "password", "is_staff", "default_model", "brumo")]
        rows += [alice.api_keys.values_list("pk", "name", "revoked", "expires", "scopes").order_by("pk")]
        rows += [alice.devices.values_list("pk", "name", "secret_digest").order_by("pk")]
        rows += [UserSettings.objects.filter(user=alice).values_list("values", "encrypted_data", "revision")]
        rows += [alice.login_tokens.values_list("pk", "revoked").order_by("pk")]
        rows += [alice.client_logs.values_list("message"), alice.receipts.values_list("request_id", "charged")]
        rows += [alice.conversations.values_list("pk", "title", "deleted", "share_token").order_by("pk")]
        rows += [Turn.objects.filter(conversation__user=alice).values_list("pk", "answer").order_by("pk")]
        rows += [alice.attachments.values_list("pk", "name").order_by("pk")]
        rows += [UsageDay.objects.filter(subject=alice.subject).values_list("used", "reserved")]
        return [list(found) for found in rows]


def receipt_of(user: User) -> UsageEvent:
    now = clock.now()
    return UsageEvent.objects.create(
        request_id=f"req_{MARK}-{user.pk}", account=user, subject=user.subject, tier="registered", entry_point="client", day=now.date(),
        usage_class="cloud", requested_model=MARK, state="settled", reserved=0, created=now, expires=now, closed=now,
    )  # fmt: skip


def token(user: User) -> Headers:
    return {"Authorization": f"Bearer {issue_token(user)[0]}"}


def key(user: User, scopes: tuple[str, ...] = SCOPES, **fields: Any) -> Headers:
    return {"X-API-Key": create_key(user, name=MARK if user.email == ALICE else "k", scopes=scopes, **fields)[1]}


def session(user: User | None = None, csrf: bool = True) -> Headers:
    client = Client()
    if user is None:  # a sign-in under way has one too
        store = SessionStore()
        store["under way"] = True
        store.save()
        client.cookies[settings.SESSION_COOKIE_NAME] = store.session_key
    else:
        client.force_login(user)
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    return {"Cookie": f"{cookie}; csrftoken={'a' * 32}", "X-CSRFToken": "a" * 32} if csrf else {"Cookie": cookie}


def proven(user: User) -> Headers:
    """A session of the staff's, opened with a second factor."""
    cookies = enter(Client(), user).cookies
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())
    return {"Cookie": f"{cookie}; csrftoken={'a' * 32}", "X-CSRFToken": "a" * 32}


def dead_token(user: User) -> Headers:
    headers = token(user)
    user.login_tokens.update(revoked=True)
    return headers


def dead_key(user: User) -> Headers:
    headers = key(user)
    user.api_keys.update(revoked=True)
    return headers


def dead_session(user: User) -> Headers:
    headers = session(user)
    Session.objects.all().delete()
    return headers


@pytest.fixture
def cast(live: LiveServer, upstream: FakeUpstream) -> Iterator[Cast]:
    release = ClientRelease.objects.create(
        version="1.0.0", platform="linux", build_date=date(2026, 1, 31), checksum="0" * 64, download_url="https://example.org/a.deb",
        filename="a.deb",
    )  # fmt: skip
    yield Cast()
    release.delete()


# -- P20: the API -----------------------------------------------------------------------------------------------------

NOBODY = (401, "authentication_required")
INVALID = (401, "invalid_token")
UNREAD = ("nobody", "nonsense for a token", "a key of nobody", "Alice's session without CSRF token", "Bob's token beside Alice's key")
SCOPE = (403, "insufficient_scope")
NOT_THERE = (404, "not_found")


def ways(cast: Cast, operation: str, door: Door) -> Iterator[tuple[str, Callable[[], Headers], Outcome]]:
    """Each way to come to a door, and what its line in the table makes of it. Credentials are made on the way: some doors use them up."""
    alice, bob, root, dora = cast.alice, cast.bob, cast.root, cast.dora
    ok, names_alice = (door.status, ""), {"X-User-ID": ALICE}
    guest = ok if door.who == CALLER else NOBODY
    another = NOT_THERE if "{" in operation else ok
    by_key, anothers_key = (SCOPE, SCOPE) if door.who == OWNER else (ok, another)
    by_narrow_key = SCOPE if door.who == OWNER or door.scope else ok
    narrow = tuple(scope for scope in SCOPES if scope != door.scope)
    unproven = ok if operation.startswith("GET") else (403, "permission_denied")

    yield "nobody", dict, guest
    yield "nobody, naming Alice", lambda: names_alice, guest
    yield "nonsense for a token", lambda: {"Authorization": "Bearer nonsense"}, INVALID
    yield "another scheme", lambda: {"Authorization": "Basic YWxpY2U6eA=="}, INVALID
    yield "a key of nobody", lambda: {"X-API-Key": new_key()}, INVALID
    yield "a revoked token", lambda: dead_token(alice), INVALID
    yield "a revoked key", lambda: dead_key(alice), INVALID
    yield "an expired key", lambda: key(alice, expires=timezone.now() - timedelta(days=1)), INVALID
    yield "a disabled account's token", lambda: token(dora), INVALID
    yield "a disabled account's key", lambda: key(dora), INVALID
    yield "a disabled account's session", lambda: session(dora), INVALID
    yield "a session that has ended", lambda: dead_session(alice), INVALID
    yield "a session of nobody's", lambda: session(), guest
    yield "Alice's token", lambda: token(alice), ok
    yield "Alice's token, naming her", lambda: token(alice) | names_alice, ok
    yield "Alice's key", lambda: key(alice), by_key
    yield "Alice's key for a bearer", lambda: {"Authorization": f"Bearer {key(alice)['X-API-Key']}"}, by_key
    yield "Alice's key without the scope", lambda: key(alice, narrow), by_narrow_key
    yield "Alice's token beside that key", lambda: token(alice) | key(alice, narrow), by_narrow_key
    yield "Alice's session", lambda: session(alice), ok
    yield "Alice's session without CSRF token", lambda: session(alice, csrf=False), unproven
    yield "Alice's session from another origin", lambda: session(alice) | {"Origin": "https://evil.example"}, unproven
    yield "Bob's token", lambda: token(bob), another
    yield "Bob's key", lambda: key(bob), anothers_key
    yield "Bob's session", lambda: session(bob), another
    yield "Bob's token, naming Alice", lambda: token(bob) | names_alice, (403, "user_id_mismatch")
    yield "Bob's token beside Alice's key", lambda: token(bob) | key(alice), (400, "ambiguous_credentials")
    yield "Bob's token beside Alice's session", lambda: token(bob) | session(alice), (400, "ambiguous_credentials")
    yield "an operator's token", lambda: token(root), another
    yield "an operator's key", lambda: key(root), anothers_key
    yield "an operator's session", lambda: session(root), another


def ask(http: httpx.Client, operation: str, path: str, headers: Headers) -> httpx.Response:
    door = API[operation]
    body = {"files" if door.upload else "json": door.body}
    return http.request(operation.partition(" ")[0], path, headers=headers, **body)


def template_in(operation: str) -> str:
    return operation.partition(" ")[2]


def outcome(response: httpx.Response) -> Outcome:
    """Also that a refusal has the one shape, and a 401 its header."""
    if response.status_code < 400:
        return response.status_code, ""
    body = response.json()
    assert body["detail"] == body["error"]["message"]
    assert (response.status_code == 401) == (response.headers.get("WWW-Authenticate") == "Bearer")
    return response.status_code, body["error"]["code"]


@pytest.mark.parametrize("operation", API)
def test_p20_p27_each_door_opens_to_whom_its_line_names(operation: str, cast: Cast, http: httpx.Client) -> None:
    door, template = API[operation], template_in(operation)
    found, told = {}, {}
    for way, make, expected in ways(cast, operation, door):
        if door.who == ANYONE and way not in UNREAD:
            continue
        headers, path = make(), cast.path(template)
        stranger = door.who != ANYONE and not way.startswith("Alice's")
        before = cast.belongings() if stranger and not operation.startswith("GET") else []
        response = ask(http, operation, path, headers)
        found[way], told[way] = outcome(response), (door.status, "") if door.who == ANYONE else expected
        if stranger:
            assert MARK not in response.text, f"{way} reads of Alice"
            assert not before or cast.belongings() == before, f"{way} changes what is Alice's"
    assert found == told


@pytest.mark.parametrize("path", ["/v1/client/chat", "/v1/client/tier"])
def test_a_cookie_of_a_session_that_has_ended_is_taken_back(cast: Cast, http: httpx.Client, path: str) -> None:
    response = http.request("POST" if path.endswith("chat") else "GET", path, headers=dead_session(cast.alice), json={"message": "Hi"})
    assert outcome(response) == INVALID
    assert any(
        line.startswith(f"{settings.SESSION_COOKIE_NAME}=;") and "Max-Age=0" in line for line in response.headers.get_list("set-cookie")
    )
    assert http.get("/models", headers=dead_session(cast.alice)).status_code == 200  # a page is shown to everybody


def test_p20_every_route_has_its_line() -> None:
    """One to be declared API, page or admin page. Nothing is declared that is not there."""
    found = {(is_api(route.template), template_of(route.template), route.methods) for route in routes()}
    operations = {f"{method.upper()} {template}" for api, template, methods in found if api for method in methods}
    assert operations == set(API)
    admin = {f"/admin/{kind}/{view}" for kind in ADMIN for view in ADMIN_VIEWS} | set(ADMIN_PAGES)
    assert {template for api, template, _methods in found if not api} == set(PAGES) | admin


def test_p20_the_lean_handler_has_no_door_of_its_own() -> None:
    assert {template_in(operation) for operation in API} >= LEAN_PATHS


@pytest.mark.parametrize("path", ["/mcp", "/v1/mcp", "/v1/chat/completions", "/v1/nothing", "/healthy", "/ws/chat/"])
def test_p20_an_address_without_a_line_is_not_there(path: str, cast: Cast, http: httpx.Client) -> None:
    for headers in ({}, token(cast.alice), token(cast.root)):
        assert {http.request(method, path, headers=headers).status_code for method in METHODS} == {404}


@pytest.mark.parametrize("path", ["/ws/nothing", "/v1/client/chat", "/"])
def test_p20_no_other_websocket_opens(path: str, cast: Cast, live: LiveServer) -> None:
    """There is /ws/chat/ alone; who may send what over it is tests/test_socket.py's."""
    for headers in ({}, token(cast.alice), session(cast.alice) | {"Origin": live.url}):
        with pytest.raises(InvalidStatus) as refusal, connect(f"ws://127.0.0.1:{live.port}{path}", additional_headers=headers):
            pass
        assert refusal.value.response.status_code == 403


def test_p20_the_other_spelling_is_the_same_door(cast: Cast, http: httpx.Client) -> None:
    found, told = {}, {}
    for operation, door in API.items():
        for way, make, expected in ways(cast, operation, door):
            if way in ("nobody", "nonsense for a token", "Alice's token", "Bob's token"):
                answer = ask(http, operation, other_spelling(cast.path(template_in(operation))), make())
                found[operation, way] = outcome(answer)
                told[operation, way] = (door.status, "") if door.who == ANYONE else expected
    assert found == told


def test_p20_no_other_method_opens_it(cast: Cast, http: httpx.Client) -> None:
    for template in {template_in(operation) for operation in API}:
        doors = {operation.partition(" ")[0]: door for operation, door in API.items() if template_in(operation) == template}
        shut = any(door.who in (USER, OWNER) for door in doors.values())
        path, refused = cast.path(template), 403 if template == "/readyz" else 405  # there Django's CSRF check comes first
        for method in {name.upper() for name in METHODS} - set(doors):
            assert http.request(method, path, json={}, headers=token(cast.alice)).status_code == refused, (method, path)
            assert http.request(method, path, json={}).status_code == (401 if shut else refused), (method, path)
        if shut:
            assert outcome(http.options(path)) == NOBODY, path
            assert http.head(path).status_code == 401, path


@pytest.mark.parametrize("operation", [operation for operation in API if "{" in operation])
def test_p20_anothers_id_answers_as_one_that_is_not_there(operation: str, cast: Cast, http: httpx.Client) -> None:
    template, headers = template_in(operation), token(cast.bob)
    nowhere = {"me": "nobody@example.org", "key_id": 2**62, "device_id": uuid.uuid4(), "request_id": "req_none"}
    nowhere |= dict.fromkeys(("conversation_id", "attachment_id"), uuid.uuid4())
    pairs = [(cast.path(template), cast.path(template, **nowhere))]
    if re.search(r"{(?!me)", template):  # under Bob's own name, the thing itself is Alice's
        pairs.append((cast.path(template, me="me"), cast.path(template, **nowhere | {"me": "me"})))
    for anothers, unknown in pairs:
        answers = [ask(http, operation, path, headers) for path in (anothers, unknown)]
        assert [outcome(answer) for answer in answers] == [NOT_THERE, NOT_THERE]
        assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize("operation", [operation for operation in API if "{me}" in operation])
def test_p20_nobody_is_somebody_else_in_another_spelling(operation: str, cast: Cast, http: httpx.Client) -> None:
    template, alice, bob = template_in(operation), token(cast.alice), token(cast.bob)
    for me in (str(cast.alice.pk), ALICE.upper(), f" {ALICE} "):
        assert outcome(ask(http, operation, cast.path(template, me=me), alice)) == (API[operation].status, ""), me
        assert outcome(ask(http, operation, cast.path(template, me=me), bob)) == NOT_THERE, me
    for me in (f"{ALICE},bob@example.org", f"{ALICE}%00", f"{cast.alice.pk}.0", f"{cast.bob.pk}.0", "*", "0", "-1"):
        assert outcome(ask(http, operation, cast.path(template, me=me), bob)) == NOT_THERE, me


def test_p20_lists_hold_the_callers_own_alone(cast: Cast, http: httpx.Client) -> None:
    headers, receipt = token(cast.bob), receipt_of(cast.bob)
    create_key(cast.bob, name="bobs")
    add_device(cast.bob, name="bobs", kind="desktop")

    def listed(path: str, rows: str, name: str) -> list[str]:
        return [row[name] for row in http.get(path, headers=headers).json()[rows]]

    assert listed("/v1/usage", "results", "request_id") == [receipt.request_id]
    assert listed(f"/v1/usage?cursor={2**61}&limit=500&model={MARK}&from=2000-01-01", "results", "request_id") == [receipt.request_id]
    assert listed("/v1/keys", "keys", "name") == listed("/v1/users/me/devices", "devices", "device_name") == ["bobs"]


def test_p20_what_is_written_is_the_writers(cast: Cast, http: httpx.Client) -> None:
    """Whoever the body names."""
    headers = token(cast.bob)
    http.post("/v1/users/me/devices", json={"device_name": "d", "user_id": ALICE}, headers=headers)
    http.post("/v1/client/logs", json={"logs": [{"message": "m", "user": ALICE, "user_id": cast.alice.pk}]}, headers=headers)
    http.post("/v1/client/chat", json={"message": "Hi"}, headers=headers)
    assert list(Device.objects.filter(name="d").values_list("user", flat=True)) == [cast.bob.pk]
    assert list(ClientLog.objects.filter(message="m").values_list("user", flat=True)) == [cast.bob.pk]
    assert list(UsageEvent.objects.exclude(pk=cast.receipt.pk).values_list("account", flat=True)) == [cast.bob.pk]


# -- P20: pages -------------------------------------------------------------------------------------------------------


def template_of(pattern: str) -> str:
    """A route's template without what a regular expression has in it."""
    return re.sub(r"\(\?P(\{\w+\})(?:[^()]|\([^()]*\))*\)", r"\1", pattern).replace("^", "").replace("$", "")


def shown(response: httpx.Response) -> int | str:
    """The status, or where one is sent."""
    return str(response.headers["Location"]).partition("?")[0] if response.is_redirect else response.status_code


def signed_in(live: LiveServer, user: User) -> httpx.Client:
    """By the page and a password, and asked for it again a moment ago."""
    client = httpx.Client(base_url=live.url)
    client.get(LOGIN)
    for page, form in ((LOGIN, {"login": user.email}), (REAUTHENTICATE, {})):
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
        assert shown(client.post(page, data={**form, "password": PASSWORD})) == HOME
    client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
    return client


@pytest.mark.parametrize("template", PAGES)
def test_p20_each_page_opens_to_whom_its_line_names(template: str, cast: Cast, http: httpx.Client) -> None:
    names = {"key": "a:b:c", "uidb36": "1", "pk": 1, "slug": "imprint", "interval": "month", "model_id": FREE, "token": "x"}
    path = cast.path(template, **names, announcement_id=1)
    guest, person = PAGES[template]
    for no_credential in ({}, token(cast.alice), key(cast.alice), {"X-User-ID": ALICE}):
        assert shown(http.get(path, headers=no_credential)) == guest
    assert shown(http.get(path, headers=session(cast.alice))) == person
    hers, before = re.search(r"{(key|device|request|conversation)_id}", template), cast.belongings()
    bobs = http.request("POST" if hers and person == 405 else "GET", path, headers=session(cast.bob))
    assert shown(bobs) == (404 if hers else person)
    assert MARK not in bobs.text.replace(path, "")
    assert cast.belongings() == before
    for without_csrf_token in ({}, session(cast.alice, csrf=False)):
        assert http.post(path, headers=without_csrf_token).status_code == TOKENLESS.get(template, 403)


@pytest.mark.parametrize("template", ADMIN_PAGES)
def test_p20_each_admin_page_opens_to_operators(template: str, cast: Cast, http: httpx.Client) -> None:
    openai = Provider.objects.get(slug="openai").pk
    object_id = cast.alice.pk if "user" in template else openai if "provider" in template else 1
    ids = {"content_type_id": 1, "object_id": object_id, "id": cast.alice.pk, "app_label": "accounts", "url": "nothing"}
    path, (guest, person, operator) = template.format(**ids), ADMIN_PAGES[template]
    for no_credential in ({}, token(cast.root), key(cast.root)):
        assert shown(http.get(path, headers=no_credential)) == guest
    assert shown(http.get(path, headers=session(cast.alice))) == person
    assert shown(http.get(path, headers=session(cast.root))) == UNPROVEN.get(template, ADMIN_LOGIN)
    assert shown(http.get(path, headers=proven(cast.root))) == operator
    assert http.post(path, headers={"Cookie": proven(cast.root)["Cookie"]}).status_code == 403


@pytest.fixture
def rows(cast: Cast) -> Iterator[dict[str, Any]]:
    """The id of one row of each kind."""
    now, alice = clock.now(), cast.alice
    group = Group.objects.create(name=MARK)
    price = Price.objects.create(model_id="x/y", input=1, output=1, source="test")
    made: dict[str, Any] = {
        "auth/group": group,
        "account/emailaddress": EmailAddress.objects.get(user=alice),
        "mfa/authenticator": Authenticator.objects.create(user=alice, type=Authenticator.Type.TOTP, data={}),
        "usersessions/usersession": UserSession.objects.create(user=alice, ip="192.0.2.1", session_key="x"),
        "accounts/user": alice,
        "accounts/apikey": create_key(alice, name=MARK)[0],
        "accounts/logintoken": LoginToken.objects.create(user=alice, jti="x", expires=now),
        "accounts/device": alice.devices.get(),
        "accounts/clientlog": alice.client_logs.get(),
        "accounts/clientrelease": ClientRelease.objects.get(),
        "billing/tier": get_tier("pro"),
        "billing/subscription": Subscription.objects.create(user=alice, tier=get_tier("pro")),
        "billing/usageday": UsageDay.objects.create(subject=alice.subject, usage_class=UsageClass.CLOUD, day=now.date()),
        "admin/logentry": LogEntry.objects.create(user=cast.root, object_repr="x", action_flag=1),
        "accounts/impersonation": Impersonation.objects.create(user=alice, operator=cast.root, reason="x"),
        "triforce/announcement": Announcement.objects.create(text_de="x", text_en="x", starts_at=now + timedelta(days=1)),
        "triforce/taskstate": TaskState.objects.create(task="x"),
        "billing/usageevent": cast.receipt,
        "billing/outboxmail": OutboxMail.objects.create(dedupe="x", to=ALICE, subject="x", body="x"),
        "billing/price": price,
        "llm/provider": Provider.objects.get(slug="openai"),
        "llm/languagemodel": LanguageModel.objects.first(),
        "triforce/text": Text.objects.first(),
    }
    sold = TierPrice.objects.create(stripe_id="price_x", tier=get_tier("pro"), interval="month", amount=1, currency="eur")
    made |= {
        "billing/tierprice": sold,
        "billing/order": Order.objects.create(user=alice, price=sold, consent="x"),
        "billing/invoice": Invoice.objects.create(stripe_id="in_x", user=alice, status="paid", total=1, currency="eur", created=now),
        "billing/declaration": Declaration.objects.create(kind="cancel", name="x", email=ALICE, contract="x"),
        "djstripe/webhookeventtrigger": WebhookEventTrigger.objects.create(remote_ip="192.0.2.1", headers={}, body="x"),
    }
    yield {kind: row.pk for kind, row in made.items()}
    for kind in ("order", "invoice", "declaration", "tierprice"):
        made[f"billing/{kind}"].delete()
    group.delete()
    price.delete()
    Announcement.objects.all().delete()
    TaskState.objects.filter(task="x").delete()
    made["djstripe/webhookeventtrigger"].delete()


@pytest.mark.parametrize("kind", ADMIN)
def test_p20_rows_open_to_operators_with_the_right(kind: str, cast: Cast, rows: dict[str, Any], http: httpx.Client) -> None:
    root, rightless = proven(cast.root), proven(User.objects.create_user("staff@example.org", is_staff=True))
    strangers = [{}, session(cast.alice), token(cast.root)]
    for view in ADMIN_VIEWS:
        path = f"/admin/{kind}/{view}".format(object_id=rows[kind])
        right = {"add/": "add", "{object_id}/change/": "change", "{object_id}/delete/": "delete"}.get(view, "")
        may = not right or right in ADMIN[kind].split()
        assert {shown(http.get(path, headers=stranger)) for stranger in strangers} == {ADMIN_LOGIN}, path
        if view == "{object_id}/":  # an old address
            assert shown(http.get(path, headers=root)) == f"{path}change/"
            continue
        assert shown(http.get(path, headers=root)) == (200 if may or right == "change" else 403), path
        assert shown(http.get(path, headers=rightless)) == 403, path
        if not may:
            assert shown(http.post(path, headers=root)) == 403, path


def test_p20_pages_change_nothing_of_anothers(cast: Cast, live: LiveServer) -> None:
    authenticator = Authenticator.objects.create(user=cast.alice, type=Authenticator.Type.WEBAUTHN, data={"name": MARK})
    UserSession.objects.create(user=cast.alice, ip="192.0.2.1", session_key="x")

    def hers() -> list[Any]:
        kinds = (EmailAddress, Authenticator, UserSession)
        return [cast.belongings(), *(list(kind.objects.filter(user=cast.alice).values()) for kind in kinds)]

    before = hers()
    with closing(signed_in(live, cast.bob)) as bob:
        for page in ("remove", "edit"):
            for method in ("GET", "POST"):
                answer = bob.request(method, f"/accounts/2fa/webauthn/keys/{authenticator.pk}/{page}/")
                assert (shown(answer), MARK in answer.text) == (404, False)
        for action in ("action_remove", "action_primary", "action_send"):
            bob.post("/accounts/email/", data={action: "", "email": ALICE})
        bob.post("/accounts/sessions/")
    assert hers() == before


def test_p20_a_reset_link_is_its_owners_alone(cast: Cast, http: httpx.Client) -> None:
    def offers_a_form(account: User, link_of: User) -> bool:
        key = f"{user_pk_to_url_str(account)}-{default_token_generator.make_token(link_of)}"
        with httpx.Client(base_url=http.base_url, follow_redirects=True) as visitor:
            return 'name="password1"' in visitor.get(f"/accounts/password/reset/key/{key}/").text

    assert offers_a_form(cast.bob, link_of=cast.bob)
    assert not offers_a_form(cast.alice, link_of=cast.bob)


# -- P27: a key's rights, and the tier's gate -------------------------------------------------------------------------

GATED = [operation for operation, door in API.items() if door.body == {"message": "Hi"}]  # every door to a model
ABOVE = (403, "model_not_in_tier")
FREE = "ollama/deepseek-v3.1:671b-cloud"


def ask_for(http: httpx.Client, operation: str, headers: Headers, **fields: Any) -> Outcome:
    return outcome(http.post(template_in(operation), json={"message": "Hi", **fields}, headers=headers))


@pytest.mark.parametrize("operation", GATED)
def test_p27_no_entry_point_has_a_way_round_the_tier(
    operation: str, cast: Cast, http: httpx.Client, upstream: FakeUpstream, keyed_openai: str
) -> None:
    headers = token(cast.alice)
    http.post("/v1/users/me/settings", json={"settings": {"default_model": keyed_openai}}, headers=headers)
    ways_to_ask: list[dict[str, Any]] = [
        {"model": keyed_openai},
        {"model": keyed_openai.partition("/")[2]},
        {"model": keyed_openai, "stream": True},
        {"model": keyed_openai, "substitution": "any"},
        {"model": keyed_openai, "substitution": "family"},
    ]
    for fields in ways_to_ask:
        for caller in ({}, headers, key(cast.alice), key(cast.alice, models=[keyed_openai]), session(cast.alice), token(cast.root)):
            assert ask_for(http, operation, caller, **fields) == ABOVE, fields
    assert ask_for(http, operation, headers) == ask_for(http, operation, key(cast.alice)) == ABOVE  # her default
    assert not upstream.chats
    assert UsageEvent.objects.count() == 1  # the one she came with


@pytest.mark.parametrize("operation", GATED)
def test_p27_a_key_has_its_owners_rights_of_this_moment(
    operation: str, cast: Cast, http: httpx.Client, upstream: FakeUpstream, keyed_openai: str
) -> None:
    held = key(cast.alice, models=[keyed_openai, FREE], daily_tokens=10**9)
    for tier, told in (("pro", (200, "")), ("registered", ABOVE), ("enterprise", (200, "")), ("registered", ABOVE)):
        grant(cast.alice, get_tier(tier))
        assert ask_for(http, operation, held, model=keyed_openai) == told, tier
    User.objects.filter(pk=cast.alice.pk).update(is_active=False)
    assert ask_for(http, operation, held, model=FREE) == INVALID
    User.objects.filter(pk=cast.alice.pk).update(is_active=True)
    assert ask_for(http, operation, held, model=FREE) == (200, "")
    cast.alice.delete()
    assert ask_for(http, operation, held, model=FREE) == INVALID


@pytest.mark.parametrize("operation", GATED)
def test_p27_a_key_for_one_model_opens_no_other(operation: str, cast: Cast, http: httpx.Client, keyed_openai: str) -> None:
    grant(cast.alice, get_tier("pro"))
    held = key(cast.alice, models=[FREE])
    assert ask_for(http, operation, held, model=FREE) == (200, "")
    assert ask_for(http, operation, held, model=keyed_openai) == SCOPE
    assert ask_for(http, operation, held | token(cast.alice), model=keyed_openai) == SCOPE


def test_p27_a_key_of_more_tokens_than_its_owners_spends_no_more(cast: Cast, http: httpx.Client, upstream: FakeUpstream) -> None:
    day, limit = clock.now().date(), get_tier("registered").daily_tokens
    UsageDay.objects.create(subject=cast.alice.subject, usage_class=UsageClass.CLOUD, day=day, limit=limit, used=limit)
    held = key(cast.alice, daily_tokens=10**9)
    assert ask_for(http, "POST /v1/client/chat", held) == (429, "quota_exceeded")
    assert http.post("/v1/quote", json={"message": "Hi"}, headers=held).json()["reason"] == "quota_exceeded"
    assert not upstream.chats


def test_p27_a_stored_answer_is_not_had_after_a_downgrade(
    cast: Cast, http: httpx.Client, upstream: FakeUpstream, keyed_openai: str
) -> None:
    held = key(cast.alice) | {"Idempotency-Key": "once"}
    grant(cast.alice, get_tier("pro"))
    assert ask_for(http, "POST /v1/client/chat", held, model=keyed_openai) == (200, "")
    grant(cast.alice, get_tier("registered"))
    assert ask_for(http, "POST /v1/client/chat", held, model=keyed_openai) == ABOVE
    assert len(upstream.chats) == 1


@pytest.fixture
def leads_up(keyed_openai: str, upstream: FakeUpstream) -> Iterator[str]:
    """A model for guests that does not answer, and whose only fallback is above them."""
    row = LanguageModel.objects.create(
        provider=Provider.objects.get(slug="ollama"),
        native_id="leads-up",
        model_id="ollama/leads-up",
        min_tier=Tier.objects.get(slug="guest"),
        capabilities=["chat"],
        fallback=[keyed_openai],
    )
    upstream.always(Answer(fault="500"), model="leads-up")
    yield row.model_id
    row.delete()


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("substitution", ["any", "family"])
def test_p27_no_fallback_leads_above_the_tier_or_out_of_the_key(
    substitution: str, leads_up: str, cast: Cast, http: httpx.Client, upstream: FakeUpstream
) -> None:
    asking: dict[str, Any] = {"model": leads_up, "substitution": substitution}
    for caller in ({}, token(cast.alice), key(cast.alice)):
        ask_for(http, "POST /v1/client/chat", caller, **asking)
    grant(cast.alice, get_tier("pro"))
    assert ask_for(http, "POST /v1/client/chat", key(cast.alice, models=[leads_up]), **asking)[0] in (502, 503)
    asked = {chat.model for chat in upstream.chats}
    assert "leads-up" in asked and "gpt-test" not in asked
    assert ask_for(http, "POST /v1/client/chat", key(cast.alice), **asking) == (200, "")
    assert upstream.chats[-1].model == "gpt-test"


def test_p27_no_list_names_a_model_above_the_tier(cast: Cast, http: httpx.Client, keyed_openai: str) -> None:
    lists = ["", "?detail=1", "?q=gpt-test", "?provider=openai", "?detail=1&provider=openai", "/availability"]
    views_status.forget_states()
    for caller in ({}, token(cast.alice), key(cast.alice)):
        assert not [path for path in lists if keyed_openai in http.get(f"/v1/client/models{path}", headers=caller).text]
    grant(cast.alice, get_tier("pro"))
    for caller in (token(cast.alice), key(cast.alice)):
        assert [path for path in lists if keyed_openai in http.get(f"/v1/client/models{path}", headers=caller).text] == lists
