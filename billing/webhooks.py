"""What Stripe's events set off. dj-stripe has verified each and hands it to `take`, in the transaction of the event itself.

No handler reads the event's content: it says that something changed, and the objects are fetched anew. So events may come twice,
late, in any order, or all at once; one that never comes is found by the nightly billing.reconcile.
"""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

from django.conf import settings
from django.dispatch import receiver
from djstripe.event_handlers import djstripe_receiver
from djstripe.models import APIKey, Customer, Event, WebhookEndpoint, WebhookEventTrigger
from djstripe.signals import webhook_pre_process

from billing import mails, outbox, refunds, subscriptions
from billing.db import wait_for_locks
from billing.stripe_api import client, id_of

LOCK_SECONDS = 10
ENDPOINT_ID = "triforce"  # ours, not Stripe's: the row stands for STRIPE_WEBHOOK_SECRET
SUBSCRIPTIONS = [
    "checkout.session.completed", "customer.subscription.created", "customer.subscription.deleted", "customer.subscription.paused",
    "customer.subscription.resumed", "customer.subscription.trial_will_end", "customer.subscription.updated",
    "subscription_schedule.aborted", "subscription_schedule.canceled", "subscription_schedule.completed", "subscription_schedule.created",
    "subscription_schedule.released", "subscription_schedule.updated",
]  # fmt: skip
INVOICES = ["invoice.finalized", "invoice.marked_uncollectible", "invoice.paid", "invoice.payment_failed", "invoice.voided"]
REFUNDS = ["charge.refunded"]
DISPUTES = ["charge.dispute.closed", "charge.dispute.created"]
EVENTS = [*SUBSCRIPTIONS, *INVOICES, *REFUNDS, *DISPUTES, "customer.deleted", "customer.updated"]  # what the endpoint must be sent


def endpoint() -> WebhookEndpoint:
    """The row that dj-stripe checks signatures with. STRIPE_WEBHOOK_SECRET wins over whatever secret it held."""
    wanted = {
        "secret": settings.STRIPE_WEBHOOK_SECRET,
        "url": f"{settings.PUBLIC_URL}/stripe/webhook",
        "livemode": settings.STRIPE_LIVE_MODE,
        "djstripe_validation_method": "verify_signature",
    }
    row = WebhookEndpoint.objects.filter(id=ENDPOINT_ID).first()
    if row is not None and all(getattr(row, name) == value for name, value in wanted.items()):
        return row
    new = {"djstripe_uuid": uuid.uuid4(), "enabled_events": EVENTS, "status": "enabled"}
    return WebhookEndpoint.objects.update_or_create(id=ENDPOINT_ID, defaults=wanted, create_defaults={**wanted, **new})[0]


@receiver(webhook_pre_process, sender=WebhookEventTrigger)
def ours(instance: WebhookEventTrigger, **kwargs: Any) -> None:
    """An event that came and is verified is for `take`: dj-stripe's own process() would copy whatever it is about."""
    instance.process = partial(take, instance)


def take(trigger: WebhookEventTrigger, **kwargs: Any) -> None:
    """What came is kept only where it is about somebody here. Who holds the customer's row for too long is waited for by Stripe, not here.

    kwargs: what dj-stripe's process() is given. Raises stripe.StripeError.
    """
    wait_for_locks(LOCK_SECONDS)
    trigger.event, trigger.processed = handle(trigger.json_body), True
    if not trigger.event.data:
        trigger.body, trigger.headers = "", {}


def handle(event: dict[str, Any]) -> Event:
    """Let dj-stripe and the handlers below do what an event asks for, once, in the caller's transaction. Raises stripe.StripeError.

    Two of one customer wait for each other. Of what is about nobody here, who left or buys something else from the same Stripe account,
    the number alone is kept, so that it is not asked about again.
    """
    _forget_other_keys()
    if known := Event.objects.filter(id=event["id"]).first():
        return known
    customer_id = customer_of(event["data"]["object"])
    if customer_id and subscriptions.customer_row(customer_id):
        subscriptions.lock(customer_id)
        if subscriptions.is_ours(customer_id):  # who left meanwhile has been waited for
            return Event.process(event, api_key=settings.STRIPE_SECRET_KEY)
    if event["type"] in DISPUTES:
        _tell_of_dispute(event["type"], event["data"]["object"])
    mark = {"type": event["type"], "livemode": event["livemode"], "data": {}}
    return Event.objects.get_or_create(id=event["id"], defaults=mark)[0]


def _forget_other_keys() -> None:
    """dj-stripe asks with the oldest key in its table. It must be the environment's, also after that was rolled."""
    APIKey.objects.exclude(secret=settings.STRIPE_SECRET_KEY).delete()


@djstripe_receiver(SUBSCRIPTIONS)
def subscription_changed(sender: Any, event: Event, **kwargs: Any) -> None:
    if customer_id := customer_of(event.data["object"]):
        subscriptions.refresh(customer_id)


@djstripe_receiver(INVOICES)
def invoice_changed(sender: Any, event: Event, **kwargs: Any) -> None:
    row = subscriptions.record_invoice(event.data["object"]["id"])
    if row is not None and row.status == "paid":
        mails.receipt(row)
    if customer_id := customer_of(event.data["object"]):
        subscriptions.refresh(customer_id)


@djstripe_receiver("customer.deleted")
def customer_deleted(sender: Any, event: Event, **kwargs: Any) -> None:
    """What ran with it has ended. dj-stripe has let go of the account, for which another one may be made."""
    subscriptions.refresh(event.data["object"]["id"])


@djstripe_receiver("customer.updated")
def customer_updated(sender: Any, event: Event, **kwargs: Any) -> None:
    """One that comes after the end must not bind the account again, which dj-stripe does by what the event says."""
    Customer.objects.filter(id=event.data["object"]["id"], date_purged__isnull=False).update(subscriber=None)


@djstripe_receiver(REFUNDS)
def money_went_back(sender: Any, event: Event, **kwargs: Any) -> None:
    if settings.REFUND_ENDS_RIGHTS:
        refunds.end_refunded(event.data["object"]["id"])


@djstripe_receiver(DISPUTES)
def payment_disputed(sender: Any, event: Event, **kwargs: Any) -> None:
    _tell_of_dispute(event.type, event.data["object"])


def _tell_of_dispute(kind: str, dispute: dict[str, Any]) -> None:
    """A person must answer the bank within days, also where who paid has left."""
    amount = f"{dispute.get('amount', 0) / 100:.2f} {str(dispute.get('currency', '')).upper()}"
    words = f"{kind}: {dispute['id']}, {amount}, reason {dispute.get('reason')}, status {dispute.get('status')}.\nAnswer it at Stripe.\n"
    outbox.tell_operators(f"A payment is disputed: {amount}", words, f"dispute:{kind}:{dispute['id']}")


def customer_of(thing: dict[str, Any]) -> str:
    """Whose it is, of what an event is about; "" where it is nobody's. Asks Stripe for a dispute's, which only its charge knows."""
    if thing.get("object") == "dispute":
        return id_of(client().charges.retrieve(id_of(thing["charge"])).customer)
    return id_of(thing if thing.get("object") == "customer" else thing.get("customer"))
