"""dj-stripe's tables: copies of what Stripe holds of its customers. Each hangs on a customer, straight or over others, and goes with it.

Invoices stay with Stripe itself, as tax law has it; what we keep of them is billing.Invoice, without a name.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _
from djstripe.models import Charge, Customer, Event, IdempotencyKey, WebhookEventTrigger

from accounts.models import User
from triforce.privacy.store import Store, owned

OWN = "customer__subscriber"
PATHS = {  # from the table to the account, what hangs on another table before it
    "SourceTransaction": f"source__{OWN}",
    "Source": OWN,
    "Mandate": f"payment_method__{OWN}",
    "ApplicationFeeRefund": f"fee__charge__{OWN}",
    "ApplicationFee": f"charge__{OWN}",
    "Refund": f"charge__{OWN}",
    "Dispute": f"charge__{OWN}",
    "LineItem": f"subscription__{OWN}",
    "InvoiceItem_tax_rates": f"invoiceitem__{OWN}",
    "InvoiceItem": OWN,
    "Invoice_default_tax_rates": f"invoice__{OWN}",
    "Discount": OWN,
    "Charge": OWN,
    "Invoice": OWN,
    "UpcomingInvoice": OWN,
    "Session": OWN,
    "SetupIntent": OWN,
    "PaymentIntent": OWN,
    "PaymentMethod": OWN,
    "SubscriptionSchedule": OWN,
    "SubscriptionItem_tax_rates": f"subscriptionitem__subscription__{OWN}",
    "SubscriptionItem": f"subscription__{OWN}",
    "Subscription": OWN,
    "TaxId": OWN,
}
OPENS_SOMETHING = frozenset({"PaymentIntent", "SetupIntent", "Session"})  # their data holds a client secret, or the address of an open page
UNNAMED = (
    "Account", "AccountV2", "APIKey", "ActiveEntitlement", "BalanceTransaction", "BankAccount", "Card", "CountrySpec", "Coupon",
    "DjstripePaymentMethod", "EarlyFraudWarning", "Feature", "File", "FileLink", "IssuingAuthorization", "IssuingCard", "IssuingCardholder",
    "IssuingDispute", "IssuingTransaction", "Payout", "Price", "Product", "ProductFeature", "PromotionCode", "Review", "ScheduledQueryRun",
    "ShippingRate", "TaxCode", "TaxRate", "Transfer", "TransferReversal", "VerificationReport", "VerificationSession", "WebhookEndpoint",
)  # fmt: skip


def _customers(user: User) -> QuerySet[Any]:
    return Customer.objects.filter(subscriber=user).values("id")


def _events(user: User) -> QuerySet[Any]:
    ids = [row["id"] for row in _customers(user)]
    if not ids:
        return Event.objects.none()
    charges = list(Charge.objects.filter(customer__in=ids).values_list("id", flat=True))  # a dispute's event names nothing else
    return Event.objects.filter(Q(data__object__customer__in=ids) | Q(data__object__id__in=ids) | Q(data__object__charge__in=charges))


def _triggers(user: User) -> QuerySet[Any]:
    found = Q(event__in=_events(user).values("id"))
    for row in _customers(user):
        found |= Q(body__contains=row["id"])  # one that failed has no event
    return WebhookEventTrigger.objects.filter(found)


def _keys(user: User) -> QuerySet[Any]:
    return IdempotencyKey.objects.filter(action=f"customer:create:{user.pk}")


def _copy(table: str, path: str) -> Store:
    hidden = ("stripe_data",) if table in OPENS_SOMETHING else ()
    return owned(f"stripe_{table}", f"Stripe: {table}", apps.get_model("djstripe", table), *hidden, by=path)


STRIPE_STORES = (
    Store("stripe_messages", _("Messages of Stripe's about your payments"), WebhookEventTrigger, _triggers, frozenset({"headers"})),
    Store("stripe_events", _("What Stripe told us of your payments"), Event, _events),
    Store("stripe_keys", _("That a customer was made for you at Stripe"), IdempotencyKey, _keys, frozenset({"uuid"})),
    *(_copy(table, path) for table, path in PATHS.items()),
    owned("stripe_Customer", _("What Stripe knows you as"), Customer, by="subscriber"),
)
STRIPE_IMPERSONAL = frozenset(f"djstripe.{table}" for table in UNNAMED)
