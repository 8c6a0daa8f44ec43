"""What the operator looks at: sums of receipts by day, added up as they are closed, so that no page ever reads the ledger for them."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import Value
from django.db.models.functions import Coalesce, NullIf


def answered_by() -> Coalesce:
    """Of a receipt, what `model_id` is of the figures: the model that answered, else the one asked for."""
    return Coalesce(NullIf("served_model", Value("")), "requested_model")


class Figures(models.Model):
    """The receipts of one UTC day, tier and model, added up. `spend` is what providers take, in USD by the receipts' price versions."""

    day = models.DateField()
    tier = models.CharField(max_length=20)
    model_id = models.CharField(max_length=200, help_text="The model that answered, else the one asked for")
    requests = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    estimated = models.BigIntegerField(default=0)
    over_limit = models.BigIntegerField(default=0)
    unpriced = models.BigIntegerField(default=0, help_text="Answers whose price is not known")
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    charged = models.BigIntegerField(default=0)
    counted = models.BigIntegerField(default=0, db_default=0, help_text="Of `charged`, what counts against the daily limit")
    spend = models.DecimalField(max_digits=16, decimal_places=6, default=Decimal(0))
    counted_spend = models.DecimalField(
        max_digits=16, decimal_places=6, default=Decimal(0), db_default=Decimal(0), help_text="Of `spend`, what `counted` took"
    )

    class Meta:
        app_label = "billing"
        constraints = [models.UniqueConstraint(fields=["day", "tier", "model_id"], name="figures_once")]

    def __str__(self) -> str:
        return f"{self.day} {self.tier} {self.model_id}"


class TierDay(models.Model):
    """What one subject used in one tier on one UTC day: whom another limit would have stopped. Kept billing.rollup.KEPT days."""

    day = models.DateField()
    tier = models.CharField(max_length=20)
    subject = models.CharField(max_length=80)
    requests = models.BigIntegerField(default=0)
    over_limit = models.BigIntegerField(default=0)
    counted = models.BigIntegerField(default=0, help_text="Tokens charged against the daily limit")
    tokens = models.BigIntegerField(default=0, help_text="All tokens charged")
    minute_peak = models.IntegerField(default=0, db_default=0, help_text="Most requests within one minute of the clock")
    at_once = models.IntegerField(default=0, db_default=0, help_text="Most requests that ran at one moment")

    class Meta:
        app_label = "billing"
        constraints = [models.UniqueConstraint(fields=["subject", "day", "tier"], name="tier_day_once")]
        indexes = [
            models.Index(fields=["tier", "counted"], name="tier_day_counted"),
            models.Index(fields=["tier", "tokens"], name="tier_day_tokens"),
            models.Index(fields=["tier", "minute_peak"], name="tier_day_minute_peak"),
            models.Index(fields=["tier", "at_once"], name="tier_day_at_once"),
            models.Index(fields=["tier", "day"], condition=models.Q(over_limit__gt=0), name="tier_day_over"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.tier} {self.subject}: {self.counted} of {self.tokens}"


class Mark(models.Model):
    """How far the receipts are added up: all up to this pk, and none after it. One row."""

    receipt = models.BigIntegerField(default=0)
    rules = models.PositiveSmallIntegerField(default=0, db_default=0, help_text="billing.rollup.RULES when the sums were begun")
    moved = models.DateTimeField(null=True)

    class Meta:
        app_label = "billing"

    def __str__(self) -> str:
        return str(self.receipt)
