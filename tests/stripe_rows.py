"""A row in every table that dj-stripe and our own billing keep of a customer, for the tests of privacy."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db.models import BigIntegerField, DecimalField, ForeignKey, JSONField, Model
from django.utils import timezone
from djstripe.models import (
    Account,
    APIKey,
    BalanceTransaction,
    Charge,
    Customer,
    Event,
    IdempotencyKey,
    Price,
    Product,
    TaxRate,
    WebhookEndpoint,
    WebhookEventTrigger,
)

from accounts.models import User
from billing.models import Declaration, Invoice, Order, Tier, TierPrice
from triforce.privacy.stripe_stores import PATHS

KEPT: tuple[Any, ...] = (
    Declaration, Order, TierPrice, Invoice, WebhookEventTrigger, Event, Customer, Charge, BalanceTransaction, TaxRate, Price, Product,
    WebhookEndpoint, IdempotencyKey, APIKey, Account,
)  # fmt: skip


def give_stripes_records(user: User, mark: str) -> None:
    """At least one of each, all of them leading to this account."""
    price, _made = TierPrice.objects.get_or_create(
        stripe_id="price_1", defaults={"tier": Tier.objects.get(slug="pro"), "interval": "month", "amount": 18.99, "currency": "eur"}
    )
    Order.objects.create(user=user, price=price, consent=mark)
    Invoice.objects.create(
        stripe_id=f"in_{user.pk}",
        user=user,
        number="F-1",
        status="paid",
        total=18.99,
        currency="eur",
        created=timezone.now(),
        page=f"https://x/{mark}",
    )
    Declaration.objects.create(kind="cancel", name=mark, email=user.email, contract="Pro")
    customer = Customer.objects.create(id=f"cus_{user.pk}", subscriber=user, email=user.email, livemode=False, stripe_data={"name": mark})
    event = Event.objects.create(id=f"evt_{user.pk}", type="invoice.paid", data={"object": {"customer": customer.id, "name": mark}})
    WebhookEventTrigger.objects.create(remote_ip="192.0.2.1", headers={}, body=mark, event=event)
    IdempotencyKey.objects.create(action=f"customer:create:{user.pk}", livemode=False)
    made: dict[str, Model] = {"Customer": customer, "TaxRate": TaxRate.objects.get_or_create(id="txr_1")[0]}
    made |= {"Account": Account.objects.get_or_create(id="acct_1")[0]}
    made |= {"BalanceTransaction": BalanceTransaction.objects.get_or_create(id="txn_1", defaults={"amount": 0})[0]}
    for table in reversed(PATHS):
        made[table] = _row(apps.get_model("djstripe", table), made, user, mark)


def forget_stripes_records() -> None:
    """What is kept of what was sold, after a test whose rows are committed."""
    for model in KEPT:
        model.objects.all().delete()


def _row(model: type[Model], made: dict[str, Model], user: User, mark: str) -> Model:
    """A row whose every reference that can lead to the customer does."""
    values: dict[str, Any] = {}
    for field in model._meta.concrete_fields:
        if isinstance(field, ForeignKey) and field.related_model.__name__ in made:
            values[field.attname] = getattr(made[field.related_model.__name__], field.target_field.attname)
        elif field.name == "id" and model._meta.pk.name != "id":
            values["id"] = f"{model.__name__}_{user.pk}"
        elif field.name == "stripe_data":
            values["stripe_data"] = {"name": mark}
        elif isinstance(field, JSONField) and not field.null and not field.has_default():
            values[field.name] = {}
        elif isinstance(field, DecimalField | BigIntegerField) and not field.null and not field.primary_key:
            values[field.name] = 0
    return model._base_manager.bulk_create([model(**values)])[0]  # an UpcomingInvoice does not save itself
