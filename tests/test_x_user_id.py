"""X-User-ID names nobody by itself; with a credential it must name the same user; a trusted proxy's signature makes it one."""

from __future__ import annotations

import time

import pytest

from accounts.caller import caller_for
from accounts.errors import InvalidToken
from accounts.keys import create_key
from accounts.proxy import Seen, sign
from billing.errors import InvalidRequest
from tests.people import browser, error_of, make_user, with_session

pytestmark = pytest.mark.django_db
OPEN, OWN = "/v1/client/update/version?platform=none", "/v1/auth/me"
VALUES = ["absent", "own", "own id", "capitals", "another", "an admin", "unknown", "empty", "null", "two", "comma", "control", "long"]


def header_value(kind: str, alice) -> str | None:
    return {
        "absent": None,
        "own": "alice@example.org",
        "own id": str(alice.pk),
        "capitals": " ALICE@Example.ORG ",
        "another": "bob@example.org",
        "an admin": "root@example.org",
        "unknown": "nobody@example.org",
        "empty": "",
        "null": "Null",
        "two": "alice@example.org,bob@example.org",
        "comma": ",",
        "control": "alice@example.org\x00",
        "long": "a" * 255,
    }[kind]


@pytest.fixture
def alice():
    make_user("bob@example.org")
    make_user("root@example.org", is_staff=True, is_superuser=True)
    return make_user()


def client_of(credential: str, alice):
    match credential:
        case "none":
            return browser()
        case "key":
            return browser(HTTP_X_API_KEY=create_key(alice, name="k")[1])
        case "session":
            return with_session(alice)
        case _:
            return browser(HTTP_X_API_KEY="tf_live_bad")


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("credential", ["none", "key", "session", "bad key"])
def test_p21_x_user_id(credential, value, alice):
    client, sent = client_of(credential, alice), header_value(value, alice)
    headers = {} if sent is None else {"X-User-ID": sent}
    opened, own = client.get(OPEN, headers=headers), client.get(OWN, headers=headers)
    if value in ("two", "comma", "control", "long"):
        assert error_of(opened) == error_of(own) == (400, "invalid_request")
    elif credential == "bad key":
        assert error_of(opened) == error_of(own) == (401, "invalid_token")
        assert own["WWW-Authenticate"] == "Bearer"
    elif credential == "none":
        assert error_of(opened) == (404, "not_found")  # let in, as a guest: there is no release
        assert error_of(own) == (401, "authentication_required")
    elif value in ("another", "an admin", "unknown"):
        assert error_of(opened) == error_of(own) == (403, "user_id_mismatch")
    else:
        assert error_of(opened) == (404, "not_found")
        assert own.status_code == 200 and own.json()["user_id"] == "alice@example.org"


@pytest.mark.parametrize("name", ["remote-user", "x_user_id", "x-forwarded-user", "x-client-id"])
def test_p21_no_other_header_names_anybody(name, alice):
    assert caller_for({name: "alice@example.org"}, "192.0.2.1").is_guest


def test_p21_alone_it_asks_no_database(alice, django_assert_num_queries):
    caller_for({}, "192.0.2.1")
    with django_assert_num_queries(0):
        assert caller_for({"x-user-id": "alice@example.org"}, "192.0.2.1").is_guest


# -- trusted-proxy mode ----------------------------------------------------------------------------------------------

PEER, TARGET = "192.0.2.10", "/v1/usage?limit=1"


@pytest.fixture
def trusting(settings):
    settings.TRUSTED_PROXY_SECRET = "0123456789abcdef0123456789abcdef"
    settings.TRUSTED_PROXY_CIDRS = ["192.0.2.0/24"]


def vouched(user: str, *, peer: str = PEER, moment: int | None = None, signed: Seen | None = None, signed_user: str | None = None):
    """The caller of a request in which a proxy vouches for `user`."""
    seen = Seen(peer, "GET", TARGET)
    stamp = str(int(time.time()) if moment is None else moment)
    v1 = sign(stamp, signed or seen, user if signed_user is None else signed_user)
    headers = {"x-user-id": user, "x-triforce-proxy-auth": f"t={stamp},v1={v1}"}
    return caller_for(headers, "198.51.100.1", seen=seen)


@pytest.mark.parametrize("name", ["alice@example.org", "ALICE@example.org"])
def test_p21_a_trusted_proxy_speaks_for_a_verified_person(name, trusting, alice):
    alice.trust_email()
    caller = vouched(name)
    assert (caller.user_id, caller.carrier) == (alice.pk, "proxy")
    assert caller.scopes is not None  # so it manages neither account nor keys nor billing
    assert vouched(str(alice.pk)).user_id == alice.pk


def test_p21_it_is_off_by_default(alice):
    alice.trust_email()
    seen = Seen(PEER, "GET", TARGET)
    headers = {"x-user-id": alice.email, "x-triforce-proxy-auth": "t=1,v1=00"}
    assert caller_for(headers, "198.51.100.1", seen=seen).is_guest


def test_p21_it_speaks_for_nobody_else(trusting, alice):
    for name in ("alice@example.org", "nobody@example.org", "root@example.org"):  # unverified, unknown, staff
        with pytest.raises(InvalidToken):
            vouched(name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"peer": "198.51.100.9"},
        {"moment": 1},
        {"signed": Seen(PEER, "POST", TARGET)},
        {"signed": Seen(PEER, "GET", "/v1/keys")},
        {"signed_user": "bob@example.org"},
    ],
)
def test_p21_a_wrong_signature_is_refused(wrong, trusting, alice):
    alice.trust_email()
    with pytest.raises(InvalidToken):
        vouched("alice@example.org", **wrong)


@pytest.mark.parametrize("signature", ["", "t=,v1=", "v1=00", "t=١,v1=00", "nonsense", "t=99999999999999999999,v1=é"])
def test_p21_garbage_for_a_signature_is_refused(signature, trusting, alice):
    headers = {"x-user-id": "alice@example.org", "x-triforce-proxy-auth": signature}
    with pytest.raises(InvalidToken):
        caller_for(headers, "198.51.100.1", seen=Seen(PEER, "GET", TARGET))


def test_p21_a_proxy_cannot_vouch_for_two(trusting, alice):
    alice.trust_email()
    with pytest.raises(InvalidRequest):
        vouched("alice@example.org,bob@example.org")


def test_p21_a_proxys_request_through_the_door_cannot_manage_keys(trusting, alice):
    alice.trust_email()
    client = browser(REMOTE_ADDR=PEER)

    def signed(method: str, path: str) -> dict[str, str]:
        stamp = str(int(time.time()))
        v1 = sign(stamp, Seen(PEER, method, path), alice.email)
        return {"X-User-ID": alice.email, "X-TriForce-Proxy-Auth": f"t={stamp},v1={v1}"}

    assert client.get("/v1/auth/me", headers=signed("GET", "/v1/auth/me")).json()["carrier"] == "proxy"
    refused = client.post("/v1/keys", {"name": "k"}, format="json", headers=signed("POST", "/v1/keys"))
    assert error_of(refused) == (403, "insufficient_scope")
    assert not client.cookies
