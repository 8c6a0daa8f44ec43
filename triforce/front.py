"""The administration's front page: is all well? Every figure is a sum kept by billing.rollup or a look at what is small."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, Q, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts.models import User
from billing import clock, price_list, revenue, slots
from billing.charts import Chart, chart
from billing.failed_events import failed_events
from billing.figures import Figures, Mark
from billing.models import OutboxMail, UsageEvent
from billing.outbox import MOST_TRIES
from llm import health, prices
from llm.models import Provider, Status
from llm.providers import is_on
from triforce import schedule
from triforce.models import TaskState

DAYS = 30
ERRORS_WARN, ERRORS_BAD = 0.02, 0.10  # of a day's requests
ESTIMATED_WARN = 0.05
STUCK_SECONDS = 60  # an open receipt older than this: the sweeper does not run
NEWCOMERS = "front:newcomers"  # in the cache
MAIL_MINUTES = 15  # an unsent mail older than this
ROLL_UP = "billing.tasks.roll_up"
COUNTED_WITHIN = timedelta(minutes=5)  # figures that were added up longer ago are old
LOOKED_AT_WITHIN = schedule.LATE + timedelta(seconds=settings.AVAILABILITY_SECONDS)  # a provider's status that is older says nothing


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure. `look`: good, warn or bad where it says something about how things are."""

    name: str
    value: str
    note: str = ""
    look: str = ""
    link: str = ""


def front(request: HttpRequest) -> dict[str, Any]:
    """The page's context; what somebody may not see is not in it."""
    user: Any = request.user
    today = clock.now().date()
    rows = _rows(today)
    moved = Mark.objects.values_list("moved", flat=True).first()
    context: dict[str, Any] = {"as_of": moved, "today": today, "tiles": [], "charts": []}
    if user.has_perm("billing.view_usageevent"):
        context["tiles"] += [*_traffic([row for row in rows if row["day"] == today]), _counted(moved), *_queues()]
        context["providers"] = _providers()
        context["tiles"].append(_health(context["providers"]))
        context["charts"] += _charts(rows, today)
    if user.has_perm("billing.view_figures"):
        context["tiles"] += _money(rows, today)
        context["spend"] = _spend_by_provider(rows, today)
        context["charts"].append(_spend(rows, today))
    if user.has_perm("accounts.view_user"):
        tile, newcomers = _people(today)
        context["tiles"].append(tile)
        context["charts"].append(newcomers)
    if user.has_perm("billing.view_outboxmail") or user.has_perm("triforce.view_taskstate"):
        context["tiles"] += [*_mails(), *_tasks()]
    if settings.STRIPE_SECRET_KEY and user.has_perm("djstripe.view_webhookeventtrigger"):
        context["tiles"].append(_events())
    looks = {tile.look for tile in context["tiles"]}
    context["verdict"] = next((look for look in ("bad", "warn") if look in looks), "good")
    return context


def _rows(today: date) -> list[dict[str, Any]]:
    """The sums of each day and model."""
    figures = Figures.objects.filter(day__gt=today - timedelta(days=DAYS)).order_by().values("day", "model_id")
    names = {"requests": "requests", "errors": "errors", "estimated": "estimated", "over": "over_limit", "charged": "charged",
             "spend": "spend", "unpriced": "unpriced"}  # fmt: skip
    sums = figures.annotate(**{f"{name}_sum": Sum(column) for name, column in names.items()})
    found: list[dict[str, Any]] = [dict(row) for row in sums]
    return [{"day": row["day"], "model_id": row["model_id"], **{name: row[f"{name}_sum"] for name in names}} for row in found]


def _traffic(rows: list[dict[str, Any]]) -> list[Tile]:
    requests, errors, estimated, over, charged = (
        sum(row[name] for row in rows) for name in ("requests", "errors", "estimated", "over", "charged")
    )
    share = errors / requests if requests else 0.0
    guessed = estimated / requests if requests else 0.0
    receipts = reverse("admin:billing_usageevent_changelist")
    look = "bad" if share >= ERRORS_BAD else "warn" if share >= ERRORS_WARN else "good"
    tiles = [
        Tile(_("Requests today"), f"{requests:,}", link=receipts),
        Tile(_("Tokens today"), f"{charged:,}"),
        Tile(_("Errors today"), f"{errors:,}", f"{100 * share:.1f} %", look, f"{receipts}?error_code__isempty=0"),
        Tile(_("Estimated"), f"{100 * guessed:.1f} %", _("of today's receipts: the provider reported no usage"),
             "warn" if guessed >= ESTIMATED_WARN else "good", f"{receipts}?estimated__exact=1"),
    ]  # fmt: skip
    if over:
        words = _("of tiers on trial would have been refused")
        tiles.append(Tile(_("Over the limit"), f"{over:,}", words, "warn", f"{receipts}?over_limit__exact=1"))
    return tiles


def _counted(moved: datetime | None) -> Tile:
    """Whether the receipts are still added up: without it every figure here stands still."""
    now = clock.now()
    expected = TaskState.objects.filter(task=ROLL_UP).values_list("since", flat=True).first()
    age = now - (moved or expected or now)
    name, minutes = _("Figures"), int(age.total_seconds() // 60)
    if age <= COUNTED_WITHIN:
        return Tile(name, _("up to date"), look="good")
    words = _("since receipts were last added up: is the background work running?")
    return Tile(name, _("%(minutes)s min") % {"minutes": f"{minutes:,}"}, words, "bad")


def _queues() -> list[Tile]:
    gates = [slots.crowd(f"provider:{slug}") for slug in Provider.objects.filter(concurrency__gt=0).values_list("slug", flat=True)]
    waiting, held = sum(waiting for _held, waiting in gates), sum(held for held, _waiting in gates)
    running = UsageEvent.objects.filter(state=UsageEvent.State.OPEN).order_by()  # by the index of what is open
    stuck = running.filter(expires__lt=clock.now() - timedelta(seconds=STUCK_SECONDS))[:1000].count()
    words = _("%(stuck)d not swept: is the background work running?") % {"stuck": stuck} if stuck else ""
    return [
        Tile(_("Queue"), str(waiting), _("%(held)d at providers with a gate") % {"held": held}, "warn" if waiting else "good"),
        Tile(_("Running now"), str(running[:1000].count()), words, "bad" if stuck else ""),
    ]


def _money(rows: list[dict[str, Any]], today: date) -> list[Tile]:
    spent = sum((row["spend"] for row in rows if row["day"] == today), Decimal(0))
    month = sum((row["spend"] for row in rows), Decimal(0))
    unpriced = sum(row["unpriced"] for row in rows if row["day"] == today)
    income = revenue.monthly_revenue()
    margin, paid, held = income - revenue.eur(month), reverse("admin:billing_subscription_changelist"), prices.waiting().count()
    notes = [_("%(month)s USD in 30 days") % {"month": f"{month:,.2f}"}]
    if unpriced:
        notes.append(_("%(count)d answers without a known price") % {"count": unpriced})
    tiles = [
        Tile(_("Spend today"), f"{spent:,.2f} USD", ", ".join(notes), "warn" if unpriced else ""),
        Tile(_("Revenue"), f"{income:,.2f} EUR", _("a month, from paid subscriptions in force"), link=paid),
        Tile(_("Margin"), f"{margin:,.2f} EUR", _("a month's revenue less 30 days' spend"), "warn" if margin < 0 else "good"),
    ]
    if settings.STRIPE_SECRET_KEY:
        tiles += _prices_at_stripe()
    if held:
        tiles.append(
            Tile(_("Prices"), str(held), _("wait for a yes"), "warn", f"{reverse('admin:billing_price_changelist')}?state=waiting")
        )
    return tiles


def _prices_at_stripe() -> list[Tile]:
    """Prices that are not sold as they stand in the admin, if there are any."""
    found = price_list.differences()
    told = _("%(tier)s %(interval)s: %(wanted)s, sold at %(sold)s EUR")
    notes = [told % {"tier": one.tier, "interval": one.interval.label, "wanted": one.wanted, "sold": one.sold} for one in found]
    words = "; ".join([*notes, _("if it stays so, look at the background tasks or run manage.py sync_stripe")])
    return [Tile(_("Prices at Stripe"), str(len(found)), words, "warn", reverse("admin:billing_tierprice_changelist"))] if found else []


def _spend_by_provider(rows: list[dict[str, Any]], today: date) -> list[tuple[str, Decimal, Decimal]]:
    """(provider, USD today, USD in 30 days), the dearest first."""
    sums: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for row in rows:
        provider = row["model_id"].partition("/")[0]
        sums[provider][0] += row["spend"] if row["day"] == today else 0
        sums[provider][1] += row["spend"]
    return sorted(((name, *both) for name, both in sums.items()), key=lambda one: (-one[2], one[0]))  # type: ignore[misc]


def _spend(rows: list[dict[str, Any]], today: date) -> Chart:
    sums: dict[date, Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[row["day"]] += row["spend"]
    return chart(_("Spend"), sums, today, unit="USD")


def _people(today: date) -> tuple[Tile, Chart]:
    """A day that is over is counted once: its number is kept until it leaves the chart."""
    known: dict[date, int] = cache.get(NEWCOMERS) or {}
    days = [today - timedelta(days=back) for back in range(DAYS)]
    by_day = {day: known[day] for day in days if day in known}
    by_day |= _joined([day for day in days if day not in by_day])
    cache.set(NEWCOMERS, {day: count for day, count in by_day.items() if day != today}, timeout=86400)
    tile = Tile(_("New accounts today"), f"{by_day[today]:,}", link=reverse("admin:accounts_user_changelist"))
    return tile, chart(_("New accounts"), by_day, today)


def _joined(days: list[date]) -> dict[date, int]:
    """New accounts by UTC day, in one scan. (Grouped by day, SQLite would call a function of Python's for each account.)"""
    starts = {day: datetime.combine(day, time(), UTC) for day in days}
    counts = {
        f"on_{number}": Count("pk", filter=Q(date_joined__gte=start, date_joined__lt=start + timedelta(days=1)))
        for number, start in enumerate(starts.values())
    }
    found = User.objects.filter(date_joined__gte=min(starts.values())).aggregate(**counts)
    return {day: found[f"on_{number}"] for number, day in enumerate(starts)}


def _mails() -> list[Tile]:
    now, mails = clock.now(), reverse("admin:billing_outboxmail_changelist")
    unsent = OutboxMail.objects.filter(sent_at=None)
    late = unsent.filter(created__lt=now - timedelta(minutes=MAIL_MINUTES), attempts__lt=MOST_TRIES)[:1000].count()
    given_up = unsent.filter(attempts__gte=MOST_TRIES)[:1000].count()
    words = _("%(late)d wait, %(lost)d given up") % {"late": late, "lost": given_up}
    return [
        Tile(
            _("Failed mails"), str(late + given_up), words, "bad" if late else "warn" if given_up else "good", f"{mails}?sent_at__isempty=1"
        )
    ]


def _tasks() -> list[Tile]:
    tasks, now = reverse("admin:triforce_taskstate_changelist"), clock.now()
    rows = list(TaskState.objects.all())
    told = "%s: %s, %s"
    failing = [
        told % (row.task, row.error, date_format(row.failed, "SHORT_DATETIME_FORMAT")) for row in rows if row.failed and row.is_failing
    ]
    kinds = {
        _("Failing tasks"): failing,
        _("Overdue tasks"): [row.task for row in rows if schedule.overdue_since(row, now)],
    }
    return [Tile(name, str(len(found)), "; ".join(found), "bad" if found else "good", tasks) for name, found in kinds.items()]


def _events() -> Tile:
    """What Stripe told and we could not take in."""
    found = failed_events()
    kinds, where = Counter(one.type for one in found), reverse("admin:djstripe_webhookeventtrigger_changelist")
    words = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common(3))
    return Tile(_("Failed events of Stripe's"), str(len(found)), words, "bad" if found else "good", f"{where}?handled=failed")


def _providers() -> list[dict[str, Any]]:
    rows = [row for row in Provider.objects.filter(enabled=True) if is_on(row)]
    histories = health.history(rows)
    fresh = clock.now() - LOOKED_AT_WITHIN
    stale = {row.pk for row in rows if row.checked_at and row.checked_at < fresh}
    looks = {row.pk: "stale" if row.pk in stale else _look(row.status) for row in rows}
    return [{"row": row, "history": histories[row.pk], "look": looks[row.pk]} for row in rows]


def _health(providers: list[dict[str, Any]]) -> Tile:
    """How many providers that are set up answer; none of several is a disaster, one of several a remark. An old look is no answer."""
    down = [one["row"].name for one in providers if one["look"] == "bad"]
    stale = [one["row"].name for one in providers if one["look"] == "stale"]
    well = len(providers) - len(down) - len(stale)
    look = "good" if well == len(providers) else "warn" if well else "bad"
    notes = [", ".join(down)] if down else []
    if stale:
        notes.append(_("not looked at for long: %(names)s") % {"names": ", ".join(stale)})
    return Tile(_("Providers"), f"{well} / {len(providers)}", "; ".join(notes), look, reverse("admin:llm_provider_changelist"))


def _look(status: str) -> str:
    return {Status.HEALTHY: "good", Status.DEGRADED: "warn", Status.OFFLINE: "bad"}.get(Status(status), "")


def _charts(rows: list[dict[str, Any]], today: date) -> list[Chart]:
    sums: dict[str, dict[date, Any]] = {name: defaultdict(int) for name in ("requests", "charged", "errors")}
    for row in rows:
        for name, values in sums.items():
            values[row["day"]] += row[name]
    return [
        chart(_("Requests"), sums["requests"], today),
        chart(_("Tokens"), sums["charged"], today),
        chart(_("Errors"), sums["errors"], today),
    ]
