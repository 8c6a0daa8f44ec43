"""What happens by itself as time passes: renewals, retries, trials and their ends, schedules, expiries."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from billing.simulator.checkout import expire_session
from billing.simulator.collection import DAY, ENDED, collect, end, expire, method_of
from billing.simulator.invoices import DRAFT_SECONDS, make
from billing.simulator.items import ends_at, period_from
from billing.simulator.lines import whole
from billing.simulator.schedules import next_phase, phase_due
from billing.simulator.store import Object
from billing.simulator.world import World, render

Due = tuple[int, str, Callable[[], object]]  # when, a name that orders what is due at once, what to do
INCOMPLETE_SECONDS = 23 * 3600
TRIAL_NOTICE_DAYS = 3
UPCOMING_DAYS = 7


def pass_time(world: World, until: int, clock: str | None, kept: Callable[[], None]) -> None:
    """Do all that is due up to `until`, in order, on a test clock or (None) on the common one. `kept` after each step."""
    while due := min(_dues(world, clock), default=None, key=lambda row: row[:2]):
        moment, _, act = due
        if moment > until:
            break
        world.moment = moment
        try:
            act()
        finally:
            world.moment = None
        kept()


def _dues(world: World, clock: str | None) -> Iterator[Due]:
    for row in list(world.store.all("subscription")):
        if row["test_clock"] == clock and row["status"] not in ENDED:
            yield from _of_subscription(world, row)
    for row in list(world.store.all("invoice")):
        if row["test_clock"] == clock:
            yield from _of_invoice(world, row)
    if clock is None:
        for row in list(world.store.all("checkout.session")):
            if row["status"] == "open":
                yield row["expires_at"], "session", lambda id=row["id"]: expire_session(world, world.get("checkout.session", id))  # type: ignore[misc]


def _of_subscription(world: World, row: Object) -> Iterator[Due]:
    def act(step: Callable[[World, Object], object]) -> Callable[[], object]:
        return lambda: step(world, world.get("subscription", row["id"]))

    if row["status"] == "incomplete":
        yield row["created"] + INCOMPLETE_SECONDS, "expire", act(expire)
        return
    period_end = ends_at(row)
    noticed = row.get("_noticed")
    if row["status"] == "trialing" and noticed != period_end:
        yield max(row["created"], row["trial_end"] - TRIAL_NOTICE_DAYS * DAY), "notice", act(_trial_will_end)
    if row["status"] == "active" and noticed != period_end and not row["cancel_at"]:
        yield max(row["created"], period_end - UPCOMING_DAYS * DAY), "notice", act(_upcoming)
    if row["cancel_at"]:
        yield row["cancel_at"], "cancel", act(lambda world, found: end(world, found, "cancellation_requested"))
    if row["schedule"] and (moment := phase_due(world, row)) is not None:
        yield moment, "phase", act(next_phase)
    yield period_end, "renew", act(_renew)


def _of_invoice(world: World, row: Object) -> Iterator[Due]:
    def pay() -> None:
        collect(world, world.get("invoice", row["id"]))

    if row["status"] == "draft" and row["automatically_finalizes_at"] and row["auto_advance"]:
        yield row["automatically_finalizes_at"], "finalize", pay
    if row["status"] == "open" and row["next_payment_attempt"]:
        yield row["next_payment_attempt"], "retry", pay


def _trial_will_end(world: World, subscription: Object) -> None:
    subscription["_noticed"] = subscription["trial_end"]
    world.emit("customer.subscription.trial_will_end", subscription)


def _upcoming(world: World, subscription: Object) -> None:
    """Tell of the invoice to come, which has no id yet."""
    ends = ends_at(subscription)
    subscription["_noticed"] = ends
    with world.store.preview():
        draft = render(next_invoice(world, world.get("subscription", subscription["id"])))
    draft |= {"billing_reason": "upcoming", "next_payment_attempt": ends + DRAFT_SECONDS}
    world.emit("invoice.upcoming", {name: value for name, value in draft.items() if name != "id"})


def next_invoice(world: World, subscription: Object) -> Object:
    """The draft of the renewal to come; for previews."""
    ends = ends_at(subscription)
    return _invoice(world, subscription, ends)


def _renew(world: World, subscription: Object) -> None:
    before = render(subscription)
    now = world.now()
    if subscription["status"] == "trialing":
        ending = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
        if ending == "cancel" and not method_of(world, subscription):
            end(world, subscription, "payment_failed")
            return
        subscription["status"] = "active"
        subscription["billing_cycle_anchor"] = now
    _invoice(world, subscription, now)
    world.changed("customer.subscription.updated", subscription, before)


def _invoice(world: World, subscription: Object, start: int) -> Object:
    """Begin the period at `start` and draft its invoice, which is finalized an hour later."""
    lines, last = [], subscription["items"]["data"][0]["current_period_start"]
    for item in subscription["items"]["data"]:
        if item["current_period_end"] <= start:
            item["current_period_start"], item["current_period_end"] = period_from(subscription, item["price"], start)
            lines.append(whole(world, subscription, item, (start, item["current_period_end"])))
    draft = make(world, subscription, lines, "subscription_cycle", (last, start))
    if subscription["status"] == "unpaid":  # its invoices stay drafts until somebody pays the old ones
        draft |= {"auto_advance": False, "automatically_finalizes_at": None}
    return draft
