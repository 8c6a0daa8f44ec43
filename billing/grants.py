"""An operator's grant: a tier without payment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from billing import clock
from billing.models import Subscription, Tier
from billing.tiers import in_force


@transaction.atomic
def grant(user: Any, tier: Tier, *, note: str = "", ends_at: datetime | None = None) -> None:
    """Put the account on that tier from its next request on, in place of earlier grants. Paid subscriptions stay; the higher one counts.

    `ends_at` None = until further notice.
    """
    grants = Subscription.objects.filter(in_force(), user=user, source=Subscription.Source.GRANT)
    now = clock.now().replace(microsecond=0)  # SQLite's clock has no microseconds: a grant must not start in its future
    grants.update(ends_at=now)
    if not tier.is_default:
        Subscription.objects.create(user=user, tier=tier, source=Subscription.Source.GRANT, starts_at=now, ends_at=ends_at, note=note)
