"""What a guest used today goes along into the account they sign in with: there is no second free quota."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F, Sum

from billing import clock
from billing.models import UsageClass, UsageDay, UsageEvent
from billing.request_ids import new_request_id

CARRIED_OVER = "carried_over"  # the rule on the receipt that says so


def carry_over(visitor: str, *, account_id: int, subject: str, tier: str) -> int:
    """Count today's tokens of a guest's browser on the account, once, on a receipt of their own. Returns how many.

    The guests' own counter of that network address stays as it is: others may be behind it. The visitor's receipts become
    readable by the account.
    """
    now = clock.now()
    with transaction.atomic():
        theirs = UsageEvent.objects.filter(visitor=visitor).exclude(state=UsageEvent.State.OPEN)
        rows = list(theirs.select_for_update().values_list("pk", flat=True))
        used = UsageEvent.objects.filter(pk__in=rows, day=now.date()).aggregate(sum=Sum("charged"))["sum"] or 0
        UsageEvent.objects.filter(pk__in=rows).update(visitor="", account_id=account_id)
        if used:
            _count(used, account_id=account_id, subject=subject, tier=tier)
    return used


def _count(used: int, *, account_id: int, subject: str, tier: str) -> None:
    now = clock.now()
    UsageEvent.objects.create(
        request_id=new_request_id(),
        account_id=account_id,
        subject=subject,
        tier=tier,
        entry_point="sign-in",
        day=now.date(),
        usage_class=UsageClass.CLOUD,
        state=UsageEvent.State.SETTLED,
        rule=CARRIED_OVER,
        reserved=used,
        charged=used,
        created=now,
        expires=now,
        closed=now,
    )
    row, _made = UsageDay.objects.get_or_create(subject=subject, usage_class=UsageClass.CLOUD, day=now.date())
    UsageDay.objects.filter(pk=row.pk).update(used=F("used") + used)
