"""Which tier somebody has. Tiers are rows, kept in memory at most a second behind the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from billing.errors import InvalidRequest
from billing.models import Subscription, Tier
from billing.revision import Snapshot

ALIASES = {"free": "registered", "unlimited": "enterprise"}  # what older clients say


@dataclass(frozen=True)
class Tiers:
    """All tiers, lowest first, and the two that no subscription gives."""

    all: tuple[Tier, ...]
    guest: Tier
    default: Tier


def _load() -> Tiers:
    tiers = tuple(Tier.objects.order_by("position"))
    guest, default = [[tier for tier in tiers if getattr(tier, name)] for name in ("is_guest", "is_default")]
    if not guest or not default:
        raise ImproperlyConfigured("One tier must be the guests' and one the default: tick is_guest and is_default in the admin.")
    return Tiers(tiers, guest[0], default[0])


_tiers = Snapshot("tiers", _load)


def all_tiers() -> tuple[Tier, ...]:
    """Every tier, lowest first."""
    return _tiers.get().all


def guest_tier() -> Tier:
    return _tiers.get().guest


def default_tier() -> Tier:
    """The tier of an account without a subscription."""
    return _tiers.get().default


def get_tier(slug: str) -> Tier:
    """The tier of that slug or alias, in any case. Raises InvalidRequest."""
    wanted = slug.strip().casefold()
    wanted = ALIASES.get(wanted, wanted)
    for tier in all_tiers():
        if tier.slug == wanted:
            return tier
    known = ", ".join(tier.slug for tier in all_tiers())
    raise InvalidRequest(_("There is no tier %(slug)s. There are: %(known)s.") % {"slug": slug, "known": known}, field="tier")


def tier_from(position: int | None) -> Tier:
    """The tier at that position; None = the default tier."""
    return default_tier() if position is None else next((tier for tier in all_tiers() if tier.position == position), default_tier())


def in_force() -> Q:
    """The subscriptions that count now, as a filter on Subscription."""
    return Q(starts_at__lte=Now()) & (Q(ends_at=None) | Q(ends_at__gt=Now()))


def tier_for(user: Any) -> Tier:
    """The account's tier now: the highest of its subscriptions in force, else the default."""
    positions = Subscription.objects.filter(in_force(), user=user).values_list("tier__position", flat=True)
    return tier_from(max(positions, default=None))
