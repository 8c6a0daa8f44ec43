"""Somebody of the staff looks at the portal as somebody else: their pages, nothing that writes, nothing of their chats, and a trace."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from accounts import impersonation
from accounts.models import Impersonation, User
from accounts.sessions import user_of_cookies
from tests.server import LiveServer
from tests.staff import staff, staff_client
from triforce.impersonation import SEEN

db = pytest.mark.django_db
REASON = "Ticket 12: cannot see the receipts"


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice@example.org", name="Alice")


def look_at(client: Client, user: User) -> Any:
    return client.post(f"/admin/accounts/user/{user.pk}/look/", {"reason": REASON})


@pytest.fixture
def looking(alice: User) -> Client:
    client = staff_client("support")
    assert look_at(client, alice).url == "/dashboard"
    return client


def test_it_shows_their_pages_and_says_so(looking: Client, alice: User) -> None:
    page = looking.get("/account/privacy")
    assert page.context["user"] == alice
    assert "You are looking at" in page.content.decode() or "Du siehst" in page.content.decode()
    assert "no-cache" in page.headers["Cache-Control"]


@pytest.mark.parametrize("path", ["/", "/models", "/prices", "/status", "/dashboard", "/receipts", "/account/keys", "/account/devices",
                                  "/account/settings", "/account/privacy", "/dashboard/"])  # fmt: skip
def test_these_pages_are_shown(looking: Client, path: str) -> None:
    assert looking.get(path).status_code == 200


@pytest.mark.parametrize("loss", [{"is_staff": False}, {"is_active": False}])
def test_who_no_longer_works_here_no_longer_looks(looking: Client, alice: User, loss: dict[str, bool]) -> None:
    User.objects.filter(email="support@example.org").update(**loss)
    page = looking.get("/dashboard")
    assert page.status_code == 302 or page.context["user"].email == "support@example.org"
    assert loss.get("is_active") is False or Impersonation.objects.get().ended


CLOSED = ("/chat", "/admin/", "/admin/accounts/user/", "/accounts/2fa/", "/accounts/email/", "/accounts/sessions/",
    "/accounts/2fa/recovery-codes/", "/v1/conversations", "/v1/auth/me", "/v1/keys", "/v1/usage", "/nothing")  # fmt: skip


@pytest.mark.parametrize("path", CLOSED)
def test_nothing_else_is(looking: Client, path: str) -> None:
    answer = looking.get(path)
    assert answer.status_code == 403
    if path.startswith("/v1"):
        assert answer.json()["error"]["code"] == "read_only"


WRITTEN = ("/account/keys", "/account/settings", "/account/privacy/export", "/account/privacy/delete", "/language",
    "/appearance", "/v1/keys", "/v1/users/me/settings", "/admin/accounts/user/", "/accounts/logout/")  # fmt: skip


@pytest.mark.parametrize("path", WRITTEN)
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nothing_is_written(looking: Client, path: str, method: str) -> None:
    assert getattr(looking, method)(path, {}).status_code == 403
    assert User.objects.filter(email="alice@example.org", is_active=True).exists()


def test_it_leaves_a_trace_that_the_owner_sees(looking: Client, alice: User) -> None:
    row = Impersonation.objects.get()
    assert (row.user, row.operator.email, row.reason, row.ended) == (alice, "support@example.org", REASON, None)
    own = Client()
    own.force_login(alice)
    assert REASON in own.get("/account/privacy").content.decode()
    assert "support@example.org" not in own.get("/account/privacy").content.decode()
    assert LogEntry.objects.get().object_id == str(alice.pk)


def test_it_ends(looking: Client, alice: User) -> None:
    assert looking.post("/account/impersonation/end").url == "/admin/"
    assert Impersonation.objects.get().ended is not None
    assert looking.get("/dashboard").context["user"].email == "support@example.org"
    assert looking.get("/admin/").status_code == 200


def test_it_ends_by_itself_and_with_the_right(looking: Client, alice: User) -> None:
    row = Impersonation.objects.get()
    Impersonation.objects.update(started=row.started - timedelta(minutes=impersonation.MINUTES))
    assert looking.get("/dashboard").context["user"].email == "support@example.org"
    assert Impersonation.objects.get().ended is not None
    look_at(looking, alice)
    User.objects.get(email="support@example.org").groups.clear()
    assert looking.get("/dashboard").context["user"].email == "support@example.org"


@db
def test_staff_is_not_looked_at() -> None:
    root, client = staff(), staff_client("support")
    assert look_at(client, root).status_code in (302, 404)
    assert not Impersonation.objects.exists()


@db
def test_a_reason_is_needed(alice: User) -> None:
    client = staff_client("support")
    assert client.post(f"/admin/accounts/user/{alice.pk}/look/", {"reason": " "}).status_code == 200
    assert not Impersonation.objects.exists()


def test_somebody_who_becomes_staff_meanwhile_is_no_longer_seen(looking: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    assert looking.get("/dashboard").context["user"].email == "support@example.org"


def test_another_session_of_the_operators_is_untouched(looking: Client) -> None:
    other = Client()
    other.force_login(User.objects.get(email="support@example.org"))
    assert other.get("/dashboard").context["user"].email == "support@example.org"


def test_the_doors_in_front_of_the_middleware_are_closed(looking: Client) -> None:
    from accounts.errors import ReadOnly

    with pytest.raises(ReadOnly):
        user_of_cookies({name: morsel.value for name, morsel in looking.cookies.items()})


def test_every_page_that_is_shown_has_an_address() -> None:
    from django.urls import get_resolver

    assert not {name for name in SEEN if not get_resolver().reverse_dict.getlist(name)}


# -- over real sockets ------------------------------------------------------------------------------------------------


@pytest.fixture
def cookies(live: LiveServer) -> Iterator[dict[str, str]]:
    client = staff_client("support")
    look_at(client, User.objects.create_user("alice@example.org"))
    yield {name: morsel.value for name, morsel in client.cookies.items()} | {"csrftoken": "a" * 32}


def test_no_chat_opens_over_http_or_websocket(cookies: dict[str, str], live: LiveServer, http: httpx.Client) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    headers = {"Cookie": cookie, "X-CSRFToken": "a" * 32}
    for path in ("/v1/client/chat", "/v1/quote"):
        answer = http.post(path, json={"message": "Hi"}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "read_only")
    with pytest.raises(InvalidStatus) as refusal, connect(
        f"ws://127.0.0.1:{live.port}/ws/chat/", additional_headers={"Cookie": cookie, "Origin": live.url}
    ):  # fmt: skip
        pass
    assert refusal.value.response.status_code == 403
