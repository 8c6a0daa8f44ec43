"""A new subscription with its first invoice."""

from __future__ import annotations

from billing.simulator import discounts
from billing.simulator.invoices import make
from billing.simulator.items import item_of, period_from
from billing.simulator.lines import whole
from billing.simulator.store import Object
from billing.simulator.world import World, listing, new_id, render


def begin(
    world: World,
    customer: Object,
    items: list[Object],
    *,
    trial_end: int | None = None,
    method: str | None = None,
    metadata: dict[str, str] | None = None,
    automatic_tax: bool = False,
    tax_rates: list[Object] | None = None,
    description: str | None = None,
    trial_settings: str = "create_invoice",
    coupons: list[dict[str, str]] | None = None,
    checkout: str | None = None,
) -> tuple[Object, Object]:
    """A new subscription and its first invoice, still a draft. `items`: {price, quantity, metadata}; times in Unix seconds."""
    now = world.now(customer["id"])
    id = new_id("sub")
    made: Object = {
        "id": id,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": automatic_tax, "liability": {"type": "self"} if automatic_tax else None},
        "billing_cycle_anchor": trial_end or now,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible", "updated_at": None},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": now,
        "currency": items[0]["price"]["currency"],
        "customer": customer["id"],
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": method,
        "default_source": None,
        "default_tax_rates": [render(rate) for rate in tax_rates or []],
        "description": description,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "latest_invoice": None,
        "livemode": False,
        "metadata": metadata or {},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {"payment_method_options": None, "payment_method_types": None, "save_default_payment_method": "off"},
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": now,
        "status": "trialing" if trial_end else "incomplete",
        "test_clock": customer["test_clock"],
        "transfer_data": None,
        "trial_end": trial_end,
        "trial_settings": {"end_behavior": {"missing_payment_method": trial_settings}},
        "trial_start": now if trial_end else None,
    }
    made["items"] = listing([], f"/v1/subscription_items?subscription={id}", total_count=len(items))
    world.add(made)
    for wanted in items:
        made["items"]["data"].append(item_of(made, wanted, period_from(made, wanted["price"], now, trial_end)))
    for coupon in coupons or []:
        discounts.redeem(world, made, checkout=checkout, **coupon)
    period = (now, made["items"]["data"][0]["current_period_end"])
    lines = [whole(world, made, item, period, free=trial_end is not None) for item in made["items"]["data"]]
    return made, make(world, made, lines, "subscription_create", (now, now))
