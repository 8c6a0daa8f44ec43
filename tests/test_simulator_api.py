"""The payment simulator's API as the Stripe SDK meets it: key, shapes of errors, idempotency, pages, expand, faults."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import stripe

from tests.fakes.stripe import KEY, Simulator
from tests.shop import Shop


@pytest.mark.parametrize("key", ["sk_live_" + "a" * 24, "rk_live_" + "a" * 24, "sk_test_short", "pk_test_" + "a" * 24])
def test_it_takes_no_other_key_than_a_test_one(fake_stripe: Simulator, key: str) -> None:
    client: Any = stripe.StripeClient(key, base_addresses={"api": fake_stripe.url}, max_network_retries=0)
    with pytest.raises(stripe.AuthenticationError) as caught:
        client.v1.accounts.retrieve_current()
    assert caught.value.http_status == 401
    assert caught.value.error and caught.value.error.type == "invalid_request_error"
    assert key not in str(caught.value)


def test_it_asks_for_a_key(fake_stripe: Simulator) -> None:
    answer = httpx.get(f"{fake_stripe.url}/v1/account")
    assert answer.status_code == 401 and "API key" in answer.json()["error"]["message"]


def test_it_answers_to_its_own_name_alone(fake_stripe: Simulator) -> None:
    answer = httpx.get(f"{fake_stripe.url}/v1/account", headers={"Host": "evil.example", "Authorization": f"Bearer {KEY}"})
    assert answer.status_code == 403
    answer = httpx.post(f"{fake_stripe.url}/simulator/clock", json={"days": 1}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


def test_it_tells_version_and_request(shop: Shop) -> None:
    account = shop.v1.accounts.retrieve_current()
    assert account.id.startswith("acct_") and account.country == "DE"
    headers = account.last_response.headers
    assert headers["request-id"].startswith("req_") and headers["Stripe-Version"] == stripe.api_version


def test_it_says_what_is_missing(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.customers.retrieve("cus_nobody")
    assert (caught.value.http_status, caught.value.code, caught.value.param) == (404, "resource_missing", "id")


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({}, "parameter_missing", "name"),
        ({"name": "Pro", "colour": "red"}, "parameter_unknown", "colour"),
        ({"name": "Pro", "active": "perhaps"}, None, "active"),
        ({"name": {"de": "Pro"}}, None, "name"),
    ],
)
def test_it_refuses_bad_parameters_by_name(shop: Shop, given: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.products.create(given)
    assert (caught.value.http_status, caught.value.code, caught.value.param) == (400, code, param)
    assert shop.v1.products.list().data == []


def test_it_names_unknown_parameters_inside_others(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.checkout(subscription_data={"trial_days": 7})
    assert caught.value.param == "subscription_data[trial_days]"


def test_it_knows_no_other_paths(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.payouts.list()
    assert caught.value.http_status == 404 and "/v1/payouts" in str(caught.value)


def test_it_answers_a_repeated_key_as_before(shop: Shop) -> None:
    options = {"idempotency_key": "order-1"}
    first = shop.v1.customers.create({"email": "a@example.org"}, options)
    second = shop.v1.customers.create({"email": "a@example.org"}, options)
    assert first.id == second.id and second.last_response.headers["Idempotent-Replayed"] == "true"
    assert len(shop.v1.customers.list().data) == 1 and len(shop.events("customer.created")) == 1


def test_it_refuses_a_key_with_other_parameters(shop: Shop) -> None:
    shop.v1.customers.create({"email": "a@example.org"}, {"idempotency_key": "order-1"})
    with pytest.raises(stripe.IdempotencyError) as caught:
        shop.v1.customers.create({"email": "b@example.org"}, {"idempotency_key": "order-1"})
    assert caught.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError):
        shop.v1.products.create({"name": "a@example.org"}, {"idempotency_key": "order-1"})


def test_a_refused_request_may_be_repeated_with_its_key(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.products.create({"nme": "Pro"}, {"idempotency_key": "order-1"})
    assert shop.v1.products.create({"name": "Pro"}, {"idempotency_key": "order-1"}).name == "Pro"


def test_it_lists_in_pages_newest_first(shop: Shop) -> None:
    made = [shop.v1.customers.create({"email": f"{number}@example.org"}).id for number in range(25)][::-1]
    page = shop.v1.customers.list()
    assert [row.id for row in page.data] == made[:10] and page.has_more and page.url == "/v1/customers"
    page = shop.v1.customers.list({"limit": 20, "starting_after": made[9]})
    assert [row.id for row in page.data] == made[10:] and not page.has_more
    page = shop.v1.customers.list({"limit": 3, "ending_before": made[10]})
    assert [row.id for row in page.data] == made[7:10] and page.has_more
    assert [row.id for row in shop.v1.customers.list({"limit": 7}).auto_paging_iter()] == made
    assert [row.id for row in shop.v1.customers.list({"email": "3@example.org"}).data] == [made[-4]]
    with pytest.raises(stripe.InvalidRequestError, match="limit"):
        shop.v1.customers.list({"limit": 101})
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.customers.list({"starting_after": "cus_nobody"})


def test_it_lists_by_time(shop: Shop) -> None:
    early = shop.v1.customers.create({"email": "early@example.org"}).id
    between = shop.fake.move_clock(days=1)
    shop.fake.move_clock(days=1)
    late = shop.v1.customers.create({"email": "late@example.org"}).id
    assert [row.id for row in shop.v1.customers.list({"created": {"gte": between}}).data] == [late]
    assert [row.id for row in shop.v1.customers.list({"created": {"lt": between}}).data] == [early]


def test_it_expands_what_is_asked_for(shop: Shop) -> None:
    plain = shop.subscribed()
    assert isinstance(plain.customer, str) and isinstance(plain.latest_invoice, str)
    deep = ["customer.tax_ids", "latest_invoice.payments.data.payment.payment_intent.latest_charge", "default_payment_method"]
    found = shop.v1.subscriptions.retrieve(plain.id, {"expand": deep})
    assert found.customer.email == "alice@example.org" and found.customer.tax_ids.data == []
    charge = found.latest_invoice.payments.data[0].payment.payment_intent.latest_charge
    assert (charge.object, charge.amount, charge.paid) == ("charge", 1899, True)
    assert found.default_payment_method.card.last4 == "4242"
    listed = shop.v1.subscriptions.list({"expand": ["data.customer"]}).data[0]
    assert listed.customer.email == "alice@example.org"
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        shop.v1.subscriptions.retrieve(plain.id, {"expand": ["moon"]})


@pytest.mark.parametrize(
    ("kind", "error"), [("500", stripe.APIError), ("429", stripe.RateLimitError), ("reset", stripe.APIConnectionError)]
)
def test_it_fails_on_demand(shop: Shop, kind: str, error: type[Exception]) -> None:
    shop.fake.fail_next(kind, count=2)
    for _ in range(2):
        with pytest.raises(error):
            shop.v1.customers.create({"email": "a@example.org"})
    shop.v1.customers.create({"email": "a@example.org"})
    assert len(shop.v1.customers.list().data) == 1


def test_it_times_out_on_demand(shop: Shop) -> None:
    shop.fake.fail_next("timeout", seconds=30)
    hasty: Any = stripe.StripeClient(
        KEY, base_addresses={"api": shop.fake.url}, max_network_retries=0, http_client=stripe.RequestsClient(timeout=0.2)
    )
    with pytest.raises(stripe.APIConnectionError):
        hasty.v1.customers.list()
    assert shop.v1.customers.list().data == []


def test_a_lost_answer_is_not_lost_work(fake_stripe: Simulator) -> None:
    shop = Shop(fake_stripe, retries=2)  # the SDK repeats with the same idempotency key
    fake_stripe.fail_next("reset_after")
    made = shop.v1.customers.create({"email": "a@example.org"})
    assert [row.id for row in shop.v1.customers.list().data] == [made.id]


def test_it_remembers_when_it_is_killed(fake_stripe: Simulator) -> None:
    shop = Shop(fake_stripe)
    subscription = shop.subscribed()
    now = fake_stripe.move_clock(days=3)
    fake_stripe.process.kill()
    fake_stripe.process.wait()
    fake_stripe.stop()
    fake_stripe.start()
    again = Shop(fake_stripe)
    assert again.subscription(subscription.id).status == "active"
    assert 0 <= fake_stripe.now() - now < 60
