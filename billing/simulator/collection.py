"""Getting an invoice paid, and what it does to the subscription: active, past due, and the end after the last retry."""

from __future__ import annotations

from billing.simulator.cards import MESSAGES, code_of
from billing.simulator.errors import ApiError, declined
from billing.simulator.invoices import finalize, give_up, mark_paid, subscription_of
from billing.simulator.methods import attach, named
from billing.simulator.params import Params
from billing.simulator.payments import charge, intent_for
from billing.simulator.routing import route
from billing.simulator.store import Object
from billing.simulator.world import World, render

DAY = 86_400
RETRY_DAYS = (3, 5, 7)  # between one failed charge and the next: a little over two weeks in all
ENDED = ("canceled", "incomplete_expired")
NO_METHOD = "no_payment_method"


def method_of(world: World, subscription: Object) -> Object | None:
    """What the subscription is paid with: its own payment method, else the customer's default."""
    customer = world.get("customer", subscription["customer"])
    id = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    return world.get("payment_method", id) if id else None


def collect(world: World, invoice: Object, *, method: Object | None = None, on_session: bool = False, confirmed: bool = False) -> str:
    """Finalize a draft and try to have it paid. "" when it is paid, else the decline code; the subscription follows."""
    subscription = subscription_of(world, invoice)
    if invoice["status"] == "draft":
        finalize(world, invoice)
    if invoice["amount_due"] == 0:
        return _settled(world, invoice, subscription)
    method = method or method_of(world, subscription)
    intent = intent_for(world, invoice)
    code = charge(world, intent, method, on_session=on_session, confirmed=confirmed) if method else NO_METHOD
    invoice["attempt_count"] += 1
    invoice["attempted"] = True
    if not code:
        return _settled(world, invoice, subscription)
    _failed(world, invoice, subscription, code)
    return code


def _settled(world: World, invoice: Object, subscription: Object) -> str:
    mark_paid(world, invoice)
    before = render(subscription)
    unpaid = [row for row in _open(world, subscription) if row["id"] != invoice["id"]]
    if subscription["status"] in ("incomplete", "past_due", "unpaid") and not unpaid:
        subscription["status"] = "active"
        world.changed("customer.subscription.updated", subscription, before)
        _delinquent(world, subscription, False)
    return ""


def _failed(world: World, invoice: Object, subscription: Object, code: str) -> None:
    before = render(subscription)
    attempts = invoice["attempt_count"]
    if subscription["status"] in ("active", "trialing", "past_due"):
        if attempts <= len(RETRY_DAYS):
            invoice["next_payment_attempt"] = world.now(invoice["customer"]) + RETRY_DAYS[attempts - 1] * DAY
        else:
            invoice["next_payment_attempt"] = None
        subscription["status"] = "past_due"
    if code == "authentication_required":
        world.emit("invoice.payment_action_required", invoice)
    world.emit("invoice.payment_failed", invoice)
    world.changed("customer.subscription.updated", subscription, before)
    if subscription["status"] == "past_due":
        _delinquent(world, subscription, True)
        if attempts > len(RETRY_DAYS):
            _last_retry_failed(world, subscription)


def _last_retry_failed(world: World, subscription: Object) -> None:
    ends = world.settings["dunning_ends"]
    if ends == "cancel":
        end(world, subscription, "payment_failed")
    elif ends == "unpaid":
        before = render(subscription)
        subscription["status"] = "unpaid"
        world.changed("customer.subscription.updated", subscription, before)


def end(world: World, subscription: Object, reason: str) -> Object:
    """Cancel it now: no retries any more, discounts and schedule are gone."""
    now = world.now(subscription["customer"])
    for invoice in _open(world, subscription):
        before = render(invoice)
        invoice |= {"next_payment_attempt": None, "auto_advance": False}
        world.changed("invoice.updated", invoice, before)
    for invoice in world.store.find("invoice", status="draft"):
        if subscription_of(world, invoice)["id"] == subscription["id"]:
            invoice |= {"auto_advance": False, "automatically_finalizes_at": None}
    if subscription["schedule"]:
        schedule = world.get("subscription_schedule", subscription["schedule"])
        schedule |= {"status": "canceled", "canceled_at": now, "current_phase": None}
        world.emit("subscription_schedule.canceled", schedule)
    subscription |= {"status": "canceled", "ended_at": now, "canceled_at": subscription["canceled_at"] or now, "schedule": None}
    subscription["cancellation_details"]["reason"] = subscription["cancellation_details"]["reason"] or reason
    world.emit("customer.subscription.deleted", subscription)
    _delinquent(world, subscription, False)
    return subscription


def refused(code: str) -> ApiError:
    """The answer to a request whose payment collect() says did not go through."""
    return declined(MESSAGES.get(code, "There is no payment method to charge."), code, code_of(code))


def expire(world: World, subscription: Object) -> None:
    """A subscription whose first invoice was not paid within 23 hours never comes to life."""
    before = render(subscription)
    subscription |= {"status": "incomplete_expired", "ended_at": world.now(subscription["customer"])}
    for invoice in _open(world, subscription):
        give_up(world, invoice, "void")
    world.changed("customer.subscription.updated", subscription, before)


def _open(world: World, subscription: Object) -> list[Object]:
    rows = world.store.find("invoice", customer=subscription["customer"], status="open")
    return [row for row in rows if row["parent"]["subscription_details"]["subscription"] == subscription["id"]]


def _delinquent(world: World, subscription: Object, value: bool) -> None:
    customer = world.get("customer", subscription["customer"])
    before = render(customer)
    customer["delinquent"] = value
    world.changed("customer.updated", customer, before)


@route("POST", "/v1/invoices/{id}/finalize")
def finalize_invoice(world: World, params: Params, id: str) -> Object:
    invoice = world.get("invoice", id)
    params.skip("auto_advance")
    if invoice["status"] != "draft":
        raise ApiError("This invoice is already finalized.", code="invoice_not_editable")
    finalize(world, invoice)
    if invoice["amount_due"] == 0:
        _settled(world, invoice, subscription_of(world, invoice))
    return invoice


@route("POST", "/v1/invoices/{id}/pay")
def pay_invoice(world: World, params: Params, id: str) -> Object:
    invoice = world.get("invoice", id)
    params.skip("off_session")
    chosen = params.text("payment_method")
    if invoice["status"] not in ("draft", "open", "uncollectible"):
        raise ApiError(f"Invoice is already {invoice['status']}.", code="invoice_not_editable")
    method = attach(world, named(world, chosen), world.get("customer", invoice["customer"])) if chosen else None
    if code := collect(world, invoice, method=method):
        message = MESSAGES.get(code, "There is no payment method to charge: neither the subscription nor the customer has a default.")
        error = declined(message, code, code_of(code))
        error.keeps = True  # the failed attempt has happened
        raise error
    return invoice
