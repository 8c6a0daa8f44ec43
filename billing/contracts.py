"""The tables of what is sold: prices at Stripe, orders with their consent, invoices, and what customers declare without signing in."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Interval(models.TextChoices):
    """How long a paid period is; Stripe's words."""

    MONTH = "month", _("monthly")
    YEAR = "year", _("yearly")


class TierPrice(models.Model):
    """A price at Stripe and the tier that it sells. Written by `sync_stripe`; one no longer sold still says what its buyers have."""

    stripe_id = models.CharField(_("Stripe ID"), max_length=255, unique=True)
    tier = models.ForeignKey("billing.Tier", on_delete=models.PROTECT, related_name="prices", verbose_name=_("tier"))
    interval = models.CharField(_("interval"), max_length=5, choices=Interval)
    amount = models.DecimalField(_("amount"), max_digits=8, decimal_places=2)
    currency = models.CharField(_("currency"), max_length=3)
    is_sold = models.BooleanField(_("sold"), default=True)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("price at Stripe")
        verbose_name_plural = _("prices at Stripe")
        app_label = "billing"
        ordering = ["tier", "interval", "-created"]
        constraints = [
            models.UniqueConstraint(fields=["tier", "interval"], condition=models.Q(is_sold=True), name="one_price_sold"),
        ]

    def __str__(self) -> str:
        return f"{self.tier} {self.get_interval_display()}: {self.amount} {self.currency.upper()}"


class Order(models.Model):
    """Somebody pressed the order button: what they were shown, and what they agreed to. `id` comes with the page, so twice is once."""

    id = models.UUIDField(_("ID"), primary_key=True, default=uuid.uuid4)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="orders", verbose_name=_("account"))
    price = models.ForeignKey(TierPrice, on_delete=models.PROTECT, verbose_name=_("price"))
    consent = models.TextField(_("consent"), help_text=_("The sentences agreed to, as they were shown"))
    texts = models.JSONField(_("texts"), default=dict, help_text=_("Which version of each legal text was in force"))
    checkout_id = models.CharField(_("Stripe checkout"), max_length=255, blank=True)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        app_label = "billing"
        ordering = ["-created"]

    def __str__(self) -> str:
        return f"{self.user} · {self.price}"


class Invoice(models.Model):
    """An invoice of Stripe's, as far as it is shown and counted. The document itself stays with Stripe."""

    stripe_id = models.CharField(_("Stripe ID"), max_length=255, unique=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="invoices", verbose_name=_("account")
    )
    number = models.CharField(_("number"), max_length=100, blank=True)
    status = models.CharField(_("status"), max_length=20, help_text=_("draft, open, paid, void or uncollectible"))
    total = models.DecimalField(_("total"), max_digits=10, decimal_places=2, help_text=_("VAT included"))
    amount_paid = models.DecimalField(
        _("amount paid"), max_digits=10, decimal_places=2, default=0, db_default=0, help_text=_("In money; a credit pays the rest")
    )
    tax = models.DecimalField(_("tax"), max_digits=10, decimal_places=2, default=0)
    currency = models.CharField(_("currency"), max_length=3)
    created = models.DateTimeField(_("created"))
    paid_at = models.DateTimeField(_("paid at"), null=True)
    page = models.URLField(_("page at Stripe"), max_length=2048, blank=True)
    pdf = models.URLField(_("PDF"), max_length=2048, blank=True)

    class Meta:
        verbose_name = _("invoice")
        verbose_name_plural = _("invoices")
        app_label = "billing"
        ordering = ["-created"]
        indexes = [models.Index(fields=["user", "-created"], name="invoice_user"), models.Index(fields=["paid_at"], name="invoice_paid")]

    def __str__(self) -> str:
        return self.number or self.stripe_id


class Declaration(models.Model):
    """A cancellation or a withdrawal, declared on a page that asks for no sign-in. What arrived is kept as it was written."""

    class Kind(models.TextChoices):
        CANCEL = "cancel", _("cancellation")
        WITHDRAW = "withdraw", _("withdrawal")

    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    name = models.CharField(_("name"), max_length=100)
    email = models.EmailField(_("e-mail address"))
    contract = models.CharField(_("contract"), max_length=200, help_text=_("Which contract it is about, in their words"))
    extraordinary = models.BooleanField(_("extraordinary"), default=False, help_text=_("For an important reason, at once"))
    reason = models.TextField(_("reason"), blank=True)
    ends_on = models.DateField(_("ends on"), null=True, blank=True, help_text=_("Wanted end; empty = as soon as possible"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="declarations", verbose_name=_("account")
    )
    effect = models.CharField(_("effect"), max_length=200, blank=True, help_text=_("What we did by ourselves"))
    done = models.BooleanField(_("completed"), default=False, help_text=_("Nothing is left to do by hand"))
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("cancellation or withdrawal")
        verbose_name_plural = _("cancellations and withdrawals")
        app_label = "billing"
        ordering = ["-created"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.email}"


def declared_by(user: Any) -> models.Q:
    """The declarations that are this person's: found by account, or made with the account's address."""
    return models.Q(user=user) | models.Q(email=user.email)
