"""Which announcements somebody sees: those of now, for everybody or for their tier, that they have not put away."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest

from billing import clock
from billing.revision import Snapshot
from billing.tiers import guest_tier, tier_for
from triforce.models import Announcement

COOKIE = "announcements"  # the pks of those put away, with dots between them
MOST_KEPT = 50


@dataclass(frozen=True)
class _Known:
    row: Announcement
    tiers: frozenset[int]


def _load() -> tuple[_Known, ...]:
    rows = Announcement.objects.prefetch_related("tiers")
    return tuple(_Known(row, frozenset(tier.pk for tier in row.tiers.all())) for row in rows)


_known = Snapshot("announcements", _load)


def shown_to(request: HttpRequest) -> list[Announcement]:
    """The newest first. Asks for the reader's tier only where one of them is not for everybody."""
    now, away = clock.now(), put_away(request)
    running = [one for one in _known.get() if one.row.starts_at <= now and (one.row.ends_at is None or now < one.row.ends_at)]
    running = [one for one in running if not (one.row.dismissible and one.row.pk in away)]
    if not any(one.tiers for one in running):
        return [one.row for one in running]
    user = getattr(request, "user", None)
    tier = tier_for(user) if user is not None and user.is_authenticated else guest_tier()
    return [one.row for one in running if not one.tiers or tier.pk in one.tiers]


def put_away(request: HttpRequest) -> list[int]:
    """The pks that this browser put away, the newest last."""
    return [int(pk) for pk in request.COOKIES.get(COOKIE, "").split(".") if pk.isascii() and pk.isdecimal() and len(pk) < 19][-MOST_KEPT:]
