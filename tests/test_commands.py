"""The operator's commands about people and tiers."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.keys import is_well_formed
from accounts.models import ApiKey, User
from billing.models import Subscription, Tier
from billing.tiers import get_tier, tier_for
from tests.people import browser, make_user

pytestmark = pytest.mark.django_db


def run(*args: str) -> str:
    out = StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


def test_create_key_prints_it_once():
    make_user()
    plain = run("create_key", "ALICE@example.org", "--name", "ci", "--scopes", "chat, usage").strip()
    assert is_well_formed(plain)
    assert ApiKey.objects.values_list("name", "scopes").get() == ("ci", ["chat", "usage"])
    assert browser(HTTP_X_API_KEY=plain).get("/v1/auth/me").status_code == 200


@pytest.mark.parametrize("args", [["nobody@example.org"], ["alice@example.org", "--scopes", "root"], ["alice@example.org", "--scopes", ""]])
def test_create_key_refuses(args):
    make_user()
    with pytest.raises(CommandError):
        run("create_key", *args)
    assert not ApiKey.objects.exists()


def test_set_tier_replaces_the_grant_before():
    user = make_user()
    for wanted, slug in [("Unlimited", "enterprise"), ("pro", "pro"), ("free", "registered")]:
        assert run("set_tier", user.email, wanted) == f"{user.email} is on {slug}.\n"
        assert tier_for(user).slug == slug


def test_set_tier_leaves_what_was_paid():
    user = make_user()
    Subscription.objects.create(user=user, tier=get_tier("enterprise"), source=Subscription.Source.STRIPE)
    assert "paid subscription" in run("set_tier", user.email, "pro")
    assert tier_for(user).slug == "enterprise"


@pytest.mark.parametrize("args", [["nobody@example.org", "pro"], ["alice@example.org", "gold"], ["alice@example.org", "guest"]])
def test_set_tier_refuses(args):
    make_user()
    with pytest.raises(CommandError):
        run("set_tier", *args)
    assert not Subscription.objects.exists()


def test_set_tier_limit_changes_what_is_named():
    before = Tier.objects.get(slug="pro")
    run("set_tier_limit", "PRO", "--daily-tokens", "0", "--concurrency", "3")
    after = Tier.objects.get(slug="pro")
    assert (after.daily_tokens, after.concurrency, after.requests_per_minute) == (0, 3, before.requests_per_minute)
    assert get_tier("pro").concurrency == 3


@pytest.mark.parametrize(
    "args", [["pro"], ["gold", "--concurrency", "1"], ["pro", "--concurrency", "-1"], ["pro", "--daily-tokens", "many"]]
)
def test_set_tier_limit_refuses(args):
    with pytest.raises(CommandError):
        run("set_tier_limit", *args)


def test_demo_makes_an_account_a_tier_once(settings):
    settings.DEBUG = settings.EMAIL_IS_REAL = True
    lines = run("demo").splitlines()
    assert len(lines) == User.objects.count() == Tier.objects.filter(is_guest=False).count()
    for line in lines:
        email, _password, password, _key, key = line.split()
        me = browser(HTTP_X_API_KEY=key).get("/v1/auth/me").json()
        assert me["tier"] == email.partition("@")[0]
        assert browser().post("/v1/auth/login", {"email": email, "password": password}, format="json").status_code == 200
    again = run("demo")
    assert "tf_live_" not in again and ApiKey.objects.count() == len(lines)


def test_demo_refuses_outside_debug(settings):
    settings.DEBUG = False
    with pytest.raises(CommandError):
        run("demo")
    assert not User.objects.exists()


def test_an_operators_address_counts_as_verified(settings):
    settings.EMAIL_IS_REAL = True
    user = User.objects.create_superuser("root@example.org", "a long enough passphrase")
    run("set_tier", user.email, "pro")
    assert browser(HTTP_X_API_KEY=run("create_key", user.email).strip()).get("/v1/auth/me").json()["tier"] == "pro"
