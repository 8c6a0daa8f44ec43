"""What a guest used today goes along into the account they sign in with: there is no second free quota."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable

from django.db import transaction
from django.db.models import F

from billing import clock
from billing.models import Tier, UsageClass, UsageDay, UsageEvent
from billing.quota import Balance
from billing.request_ids import new_request_id
from billing.tiers import get_tier

CARRIED_OVER = "carried_over"  # the rule on the receipt that says so


def carry_over(visitor: str, *, account_id: int, subject: str, tier: str, unlimited: Iterable[str] = ()) -> int:
    """Count today's tokens of a guest's browser on the account, once, on a receipt of their own for each class. Returns how many.

    `unlimited` names the providers whose tokens are without a limit in that tier. Where the tier has less left than was used, the rest
    of its day is gone, and no more. The guests' own counter of that network address stays as it is: others may be behind it. The visitor's
    receipts become readable by the account.
    """
    now = clock.now()
    with transaction.atomic():
        theirs = UsageEvent.objects.filter(visitor=visitor).exclude(state=UsageEvent.State.OPEN)
        rows = list(theirs.select_for_update().order_by("request_id").values_list("pk", flat=True))
        used = UsageEvent.objects.filter(pk__in=rows, day=now.date(), charged__gt=0).values_list("served_model", "charged")
        sums, free = Counter[str](), set(unlimited)
        for model, charged in used:
            sums[UsageClass.UNLIMITED if model.partition("/")[0] in free else UsageClass.CLOUD] += charged
        UsageEvent.objects.filter(pk__in=rows).update(visitor="", account_id=account_id)
        return sum(_count(tokens, klass, account_id=account_id, subject=subject, tier=tier) for klass, tokens in sorted(sums.items()))


def _count(used: int, usage_class: str, *, account_id: int, subject: str, tier: str) -> int:
    now = clock.now()
    row, _made = UsageDay.objects.select_for_update().get_or_create(subject=subject, usage_class=usage_class, day=now.date())
    charged = min(used, _room(row, get_tier(tier)))
    UsageEvent.objects.create(
        request_id=new_request_id(),
        account_id=account_id,
        subject=subject,
        tier=tier,
        entry_point="sign-in",
        day=now.date(),
        usage_class=usage_class,
        state=UsageEvent.State.SETTLED,
        rule=CARRIED_OVER,
        reserved=used,
        charged=charged,
        created=now,
        expires=now,
        closed=now,
    )
    UsageDay.objects.filter(pk=row.pk).update(used=F("used") + charged)
    return charged


def _room(row: UsageDay, tier: Tier) -> int:
    """What that counter has left."""
    limit = tier.enforced_tokens if row.usage_class == UsageClass.CLOUD else None
    rest = Balance(row.used, row.reserved, limit).remaining
    return sys.maxsize if rest is None else rest
