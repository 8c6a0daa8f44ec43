"""accounts.caller: who is asking, by every carrier."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import override_settings
from django.utils import timezone

from accounts import last_used
from accounts.address import client_address, guest_subject, network_of
from accounts.caller import Caller, caller_for
from accounts.errors import AmbiguousCredentials, InvalidToken
from accounts.keys import create_key
from accounts.models import LoginToken
from accounts.tokens import issue_token
from billing.grants import grant
from billing.models import Subscription
from billing.tiers import get_tier
from tests.people import PASSWORD, make_user

pytestmark = pytest.mark.django_db
ADDRESS = "192.0.2.7"


def bearer(value: str) -> dict[str, str]:
    return {"authorization": f"Bearer {value}"}


def ask(headers: dict[str, str], **more) -> Caller:
    return caller_for(headers, ADDRESS, **more)


def test_nobody_is_a_guest():
    caller = ask({})
    assert caller.is_guest and caller.carrier == "guest" and caller.tier.is_guest
    assert caller.subject == guest_subject(ADDRESS)


def test_a_login_token_is_its_user():
    user = make_user(default_model="x/y", brumo=False, substitution="strict", quota_mails=False, language="en")
    caller = ask(bearer(issue_token(user)[0]))
    assert (caller.user_id, caller.email, caller.carrier, caller.subject) == (user.pk, user.email, "token", f"user:{user.pk}")
    assert (caller.default_model, caller.brumo, caller.scopes) == ("x/y", False, None)
    assert (caller.substitution, caller.quota_mails, caller.language) == ("strict", False, "en")
    assert caller.tier.is_default and caller.token_id == LoginToken.objects.get().pk


@pytest.mark.parametrize("carrier", ["authorization", "x-api-key"])
def test_a_key_is_its_user_with_its_limits(carrier):
    user = make_user()
    key, plain = create_key(user, name="k", scopes=["chat"], models=["a/b"], daily_tokens=7)
    caller = ask(bearer(plain) if carrier == "authorization" else {"x-api-key": plain})
    assert (caller.user_id, caller.carrier, caller.key_id) == (user.pk, "key", key.pk)
    assert (caller.scopes, caller.key_models, caller.key_daily_tokens) == (frozenset({"chat"}), ("a/b",), 7)
    assert caller.may("chat") and not caller.may("usage")


def test_a_session_is_its_user():
    user = make_user()
    caller = ask({}, session_user=user)
    assert (caller.user_id, caller.carrier, caller.scopes) == (user.pk, "session", None)


@pytest.mark.parametrize("count", range(1, 3))
def test_one_query_a_credential(count, django_assert_num_queries):
    user = make_user()
    _key, plain = create_key(user, name="k")
    token, _client_id = issue_token(user)
    ask({"x-api-key": plain})  # tiers and the last use are in memory from here on
    headers = {"x-api-key": plain} if count == 1 else {"x-api-key": plain, **bearer(token)}
    with django_assert_num_queries(count):
        ask(headers)


@pytest.mark.parametrize(
    "headers",
    [
        bearer("nonsense"),
        bearer("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."),
        bearer("tf_live_" + "a" * 36),
        bearer(""),
        {"authorization": "Basic YTpi"},
        {"authorization": ""},
        {"x-api-key": ""},
        {"x-api-key": "sk-ant-1"},
    ],
)
def test_a_bad_credential_is_never_a_guest(headers):
    with pytest.raises(InvalidToken) as refusal:
        ask(headers)
    assert refusal.value.headers == {"WWW-Authenticate": "Bearer"}


def test_a_bad_credential_spoils_a_good_one():
    with pytest.raises(InvalidToken):
        ask({"x-api-key": "tf_live_x", **bearer(issue_token(make_user())[0])})


@pytest.mark.parametrize("change", [{"revoked": True}, {"expires": timezone.now() - timedelta(seconds=5)}])
def test_a_dead_token_is_refused(change):
    token, _client_id = issue_token(make_user())
    LoginToken.objects.update(**change)
    with pytest.raises(InvalidToken):
        ask(bearer(token))


def test_an_expired_jwt_is_refused(settings):
    settings.LOGIN_TOKEN_DAYS = -1
    token, _client_id = issue_token(make_user())
    LoginToken.objects.update(expires=timezone.now() + timedelta(days=1))
    with pytest.raises(InvalidToken):
        ask(bearer(token))


def test_a_token_of_another_secret_is_refused():
    user = make_user()
    with override_settings(SECRET_KEY="another secret key, another secret key, another secret"):
        token, _client_id = issue_token(user)
    with pytest.raises(InvalidToken):
        ask(bearer(token))


@pytest.mark.parametrize("carrier", ["token", "key", "session"])
def test_p23_a_disabled_account_is_out_at_once(carrier):
    user = make_user()
    token, plain = issue_token(user)[0], create_key(user, name="k")[1]
    user.is_active = False
    user.save(update_fields=["is_active"])
    with pytest.raises(InvalidToken):
        ask(
            {"token": bearer(token), "key": {"x-api-key": plain}, "session": {}}[carrier],
            session_user=user if carrier == "session" else None,
        )


def test_p23_a_changed_password_ends_the_logins():
    user = make_user()
    token, _client_id = issue_token(user)
    user.set_password("another passphrase")
    user.save()
    with pytest.raises(InvalidToken):
        ask(bearer(token))


def test_p23_a_password_hashed_anew_ends_nothing():
    user = make_user()
    token, _client_id = issue_token(user)
    with override_settings(
        PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2PasswordHasher", "django.contrib.auth.hashers.MD5PasswordHasher"]
    ):
        assert user.check_password(PASSWORD)
    assert user.password.startswith("pbkdf2")
    assert ask(bearer(token)).user_id == user.pk


def test_two_principals_are_ambiguous():
    alice, bob = make_user(), make_user("bob@example.org")
    with pytest.raises(AmbiguousCredentials):
        ask({"x-api-key": create_key(alice, name="k")[1], **bearer(issue_token(bob)[0])})
    with pytest.raises(AmbiguousCredentials):
        ask(bearer(issue_token(bob)[0]), session_user=alice)


def test_two_keys_are_ambiguous_even_of_one_owner():
    alice = make_user()
    with pytest.raises(AmbiguousCredentials):
        ask({"x-api-key": create_key(alice, name="a")[1], **bearer(create_key(alice, name="b")[1])})


def test_the_same_principal_twice_is_fine_and_the_key_limits_it():
    alice = make_user()
    key, plain = create_key(alice, name="k", scopes=["usage"])
    for headers, session_user in [
        ({"x-api-key": plain, **bearer(plain)}, None),
        ({"x-api-key": plain, **bearer(issue_token(alice)[0])}, None),
        (bearer(plain), alice),
    ]:
        caller = ask(headers, session_user=session_user)
        assert (caller.key_id, caller.scopes) == (key.pk, frozenset({"usage"}))


def test_the_highest_subscription_in_force_gives_the_tier():
    user = make_user()
    headers = bearer(issue_token(user)[0])
    now, day = timezone.now(), timedelta(days=1)
    for slug, starts, ends in [
        ("enterprise", now - 2 * day, now - day),
        ("enterprise", now + day, None),
        ("registered", now - day, None),
        ("pro", now - day, now + day),
    ]:
        Subscription.objects.create(user=user, tier=get_tier(slug), starts_at=starts, ends_at=ends)
    assert ask(headers).tier.slug == "pro"


def test_a_grant_counts_from_the_next_request():
    user = make_user()
    headers = bearer(issue_token(user)[0])
    assert ask(headers).tier.slug == "registered"
    grant(user, get_tier("unlimited"))
    assert ask(headers).tier.slug == "enterprise"
    grant(user, get_tier("free"))
    assert ask(headers).tier.slug == "registered"


def test_an_unverified_address_gives_a_guests_rights_where_mail_is_real(settings):
    user = make_user()
    grant(user, get_tier("pro"))
    headers = bearer(issue_token(user)[0])
    assert ask(headers).tier.slug == "pro"
    settings.EMAIL_IS_REAL = True
    caller = ask(headers)
    assert caller.tier.is_guest and caller.user_id == user.pk and not caller.is_guest
    assert caller.subject == ask({}).subject  # one purse for all who come from there
    assert caller.owner == caller.share == user.subject != ask({}).owner
    user.trust_email()
    proven = ask(headers)
    assert (proven.tier.slug, proven.subject, proven.share) == ("pro", user.subject, "")


def test_last_used_is_written_once_a_minute(django_assert_num_queries, monkeypatch):
    monkeypatch.setattr(last_used, "_written", {})
    key, plain = create_key(make_user(), name="k")
    ask({"x-api-key": plain})
    key.refresh_from_db()
    first = key.last_used
    assert first is not None
    with django_assert_num_queries(1):
        ask({"x-api-key": plain})
    key.refresh_from_db()
    assert key.last_used == first


@pytest.mark.parametrize(
    ("forwarded_for", "trusted", "expected"),
    [
        ("", 1, "10.0.0.1"),
        ("203.0.113.9", 0, "10.0.0.1"),
        ("203.0.113.9", 1, "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9", 1, "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.0.0.2", 2, "203.0.113.9"),
        ("203.0.113.9", 2, "10.0.0.1"),
        ("203.0.113.9:4711", 1, "203.0.113.9"),
        ("[2001:db8::1]:4711", 1, "2001:db8::1"),
        ("2001:db8::1", 1, "2001:db8::1"),
        ("::ffff:203.0.113.9", 1, "203.0.113.9"),
        ("unknown", 1, "10.0.0.1"),
    ],
)
def test_the_address_is_what_the_trusted_proxies_saw(forwarded_for, trusted, expected):
    assert client_address("10.0.0.1", forwarded_for, trusted) == expected


def test_guests_share_an_ipv6_network_and_a_mapped_address():
    assert guest_subject("2001:db8::1") == guest_subject("2001:db8::ffff:2") != guest_subject("2001:db8:0:1::1")
    assert guest_subject("192.0.2.1") == guest_subject("::ffff:192.0.2.1") != guest_subject("192.0.2.2")
    assert network_of("2001:db8::1") == "2001:db8::/64"


def test_a_guests_subject_is_new_every_day_and_no_address():
    today, tomorrow = timezone.now().date(), timezone.now().date() + timedelta(days=1)
    assert guest_subject(ADDRESS, today) != guest_subject(ADDRESS, tomorrow)
    assert ADDRESS not in guest_subject(ADDRESS)
