"""The two ways out of a contract without signing in: in two steps, kept as written, confirmed by mail, and telling nobody anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.test import Client

from accounts.models import User
from billing import clock, declarations, refunds
from billing.models import Declaration, OutboxMail, Subscription, TierPrice
from billing.stripe_api import client as stripe
from billing.tiers import tier_for
from tests.fakes.stripe import Simulator
from tests.simulated import simulator
from tests.test_subscriptions import mails, press, subscribe

__all__ = ["simulator"]
CANCEL, WITHDRAW = "/contracts/cancel", "/contracts/withdraw"
WRITTEN = {"name": "Ursula Bär", "email": "ursula@example.org", "contract": "Pro"}


def subscribed(simulator: Simulator, user: User) -> Subscription:
    """For a minute already: a declaration ends what ran when it was made."""
    row = subscribe(simulator, user)
    Subscription.objects.update(starts_at=clock.now() - timedelta(minutes=1))
    return row


@pytest.fixture
def client() -> Client:
    return Client(headers={"accept-language": "en"})


def shown(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "button"), [(CANCEL, "Cancel now"), (WITHDRAW, "Confirm the withdrawal")])
def test_it_is_declared_in_two_steps_and_confirmed_by_mail(client: Client, path: str, button: str) -> None:
    assert f'href="{path}"' in shown(client.get("/"))
    second = shown(client.post(path, WRITTEN))
    assert button in second and "Ursula Bär" in second
    assert not Declaration.objects.exists()
    done = shown(client.post(path, {**WRITTEN, "confirmed": "yes"}))
    assert "It has arrived." in done
    row = Declaration.objects.get()
    assert (row.name, row.email, row.contract, row.user) == ("Ursula Bär", "ursula@example.org", "Pro", None)
    mail = OutboxMail.objects.get()
    assert mail.to == row.email
    for words in ("Ursula Bär", "Pro", f"{row.created:%Y-%m-%dT%H:%M}"):
        assert words in mail.body and words in mail.html and words in done


@pytest.mark.django_db
def test_an_important_reason_is_named(client: Client) -> None:
    page = shown(client.post(CANCEL, {**WRITTEN, "extraordinary": "on", "confirmed": "yes"}))
    assert "an important reason must be named" in page
    assert not Declaration.objects.exists()
    client.post(CANCEL, {**WRITTEN, "extraordinary": "on", "reason": "It sings.", "ends_on": "2027-01-31", "confirmed": "yes"})
    row = Declaration.objects.get()
    assert (row.extraordinary, row.reason, str(row.ends_on), row.done) == (True, "It sings.", "2027-01-31", False)


@pytest.mark.django_db
def test_many_from_one_address_are_refused(client: Client) -> None:
    pages = [shown(client.post(CANCEL, {**WRITTEN, "confirmed": "yes"})) for _ in range(11)]
    assert "too many within the hour" in pages[-1]
    assert Declaration.objects.count() == 10


def test_a_cancellation_ends_the_contract_with_its_period(simulator: Simulator, http: httpx.Client, make_user: Callable[..., User]) -> None:
    user = make_user(email="ursula@example.org")
    subscribed(simulator, user)
    stranger = _declare(http, CANCEL, email="nobody@example.org")
    found = _declare(http, CANCEL)
    names = r"nobody|ursula|\d"
    assert re.sub(names, "", stranger) == re.sub(names, "", found)  # it tells nobody whether there is such an account
    assert not Subscription.objects.get().cancel_at_period_end  # nor does the time that it takes
    assert declarations.carry_out_waiting() == 2
    row = Declaration.objects.get(email=user.email)
    assert row.user == user and row.done and row.effect.endswith(f"ends {Subscription.objects.get().ends_at:%Y-%m-%d}")
    assert Subscription.objects.get().cancel_at_period_end and tier_for(user).slug == "pro"
    assert mails(user)[-2:] == ["declaration", "ending"]


def test_a_withdrawal_waits_for_an_operator_and_is_not_renewed(
    simulator: Simulator, http: httpx.Client, make_user: Callable[..., User], settings: Any
) -> None:
    settings.OPERATOR_EMAILS = ["root@example.org"]
    user = make_user(email="ursula@example.org")
    subscribed(simulator, user)
    _declare(http, WITHDRAW)
    declarations.carry_out_waiting()
    assert not Declaration.objects.get().done
    assert OutboxMail.objects.filter(to="root@example.org", subject__contains="withdraw").exists()
    assert Subscription.objects.get().cancel_at_period_end and tier_for(user).slug == "pro"
    refunds.refund_and_end(Subscription.objects.get())
    assert tier_for(user).slug == "registered"


def test_what_found_stripe_away_is_done_at_night(
    simulator: Simulator, http: httpx.Client, make_user: Callable[..., User], settings: Any
) -> None:
    user = make_user(email="ursula@example.org")
    subscribed(simulator, user)
    settings.STRIPE_API_HOST = "http://127.0.0.1:1"
    assert "It has arrived." in _declare(http, CANCEL)
    declarations.carry_out_waiting()
    assert not Declaration.objects.get().done and not Subscription.objects.get().cancel_at_period_end
    settings.STRIPE_API_HOST = simulator.url
    assert declarations.carry_out_waiting() == 1
    assert Declaration.objects.get().done and Subscription.objects.get().cancel_at_period_end


def test_an_old_declaration_ends_no_contract_made_after_it(
    simulator: Simulator, http: httpx.Client, make_user: Callable[..., User]
) -> None:
    user = make_user(email="ursula@example.org")
    _declare(http, CANCEL)
    subscribe(simulator, user)
    assert declarations.carry_out_waiting() == 1
    assert declarations.carry_out_waiting() == 0
    assert not Subscription.objects.get().cancel_at_period_end


def test_a_wanted_end_that_is_later_leaves_the_contract_alone_until_its_last_period(
    simulator: Simulator, http: httpx.Client, make_user: Callable[..., User], settings: Any
) -> None:
    settings.OPERATOR_EMAILS = ["root@example.org"]
    subscribed(simulator, make_user(email="ursula@example.org"))
    _declare(http, CANCEL, ends_on=f"{clock.now() + timedelta(days=45):%Y-%m-%d}")
    declarations.carry_out_waiting()
    row = Declaration.objects.get()
    assert (row.effect, row.done, Subscription.objects.get().cancel_at_period_end) == ("", False, False)
    assert OutboxMail.objects.filter(to="root@example.org", subject__contains="cancel").count() == 1
    Subscription.objects.update(period_ends_at=clock.now() + timedelta(days=60))
    declarations.carry_out_waiting()
    assert Subscription.objects.get().cancel_at_period_end and Declaration.objects.get().effect


def test_of_two_contracts_both_end_and_a_change_that_is_called_off_is_named(
    simulator: Simulator, http: httpx.Client, make_user: Callable[..., User]
) -> None:
    user = make_user(email="ursula@example.org", language="en")
    row = subscribe(simulator, user, "enterprise")
    press(simulator, user, "pro", "month")
    method = stripe().payment_methods.attach("pm_card_visa", {"customer": row.customer_id})
    price = TierPrice.objects.get(tier__slug="pro", interval="month", is_sold=True).stripe_id
    stripe().subscriptions.create({"customer": row.customer_id, "items": [{"price": price}], "default_payment_method": method.id})
    simulator.settle()
    Subscription.objects.update(starts_at=clock.now() - timedelta(minutes=1))
    _declare(http, CANCEL)
    declarations.carry_out_waiting()
    assert list(Subscription.objects.values_list("cancel_at_period_end", flat=True)) == [True, True]
    assert Declaration.objects.get().done and Declaration.objects.get().effect.count("not renewed") == 2
    assert "Your planned change to Pro is called off" in OutboxMail.objects.get(subject__startswith="Unlimited ends").body


@pytest.mark.django_db
def test_a_stranger_cannot_make_it_post_words_and_links(client: Client) -> None:
    lure = {"name": "Win at https://evil.example/x", "contract": "www.evil.example", "reason": "Buy this now.", "confirmed": "yes"}
    for _ in range(5):
        client.post(CANCEL, {**WRITTEN, **lure})
    assert Declaration.objects.count() == 5 and OutboxMail.objects.filter(to=WRITTEN["email"]).count() == 3
    for mail in OutboxMail.objects.all():
        for words in (mail.body, mail.html):
            assert "https://evil" not in words and "evil.example" not in words and "Buy this" not in words
    client.post(CANCEL, {**WRITTEN, "email": "b@example.org", "extraordinary": "on", "reason": "It sings.", "confirmed": "yes"})
    assert "It sings." in OutboxMail.objects.get(to="b@example.org").body


def _declare(http: httpx.Client, path: str, **changes: str) -> str:
    http.headers["Accept-Language"] = "en"
    http.get(path)
    sent = {**WRITTEN, **changes, "confirmed": "yes", "csrfmiddlewaretoken": http.cookies["csrftoken"]}
    return re.sub(r'value="[^"]{30,}"', "", http.post(path, data=sent).text)
