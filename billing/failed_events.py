"""Events of Stripe's that could not be handled and have not come through since."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Max
from djstripe.models import Event, WebhookEventTrigger

from billing import clock

DAY = timedelta(days=1)
LOOKED_AT = 5000  # of what came last: the table has no index by time
MOST = 200


@dataclass(frozen=True, slots=True)
class Named:
    """What an event calls itself; "" where it is not readable."""

    id: str
    type: str


def failed_events() -> list[Named]:
    """Those of the last day, each once, the newest first. One that was sent again and handled, or found by the nightly look, is none."""
    newest = WebhookEventTrigger.objects.aggregate(pk=Max("pk"))["pk"] or 0
    came = WebhookEventTrigger.objects.filter(pk__gt=newest - LOOKED_AT, valid=True, processed=False, created__gte=clock.now() - DAY)
    bodies = came.exclude(traceback="").order_by("-pk").values_list("body", flat=True)[:MOST]
    found = dict.fromkeys(named(body) for body in bodies)
    handled = set(Event.objects.filter(id__in=[one.id for one in found]).values_list("id", flat=True))
    return [one for one in found if one.id not in handled]


def named(body: str) -> Named:
    """The event in a request's body."""
    try:
        event = json.loads(body)
    except json.JSONDecodeError:
        event = None
    found = event if isinstance(event, dict) else {}
    return Named(str(found.get("id", "")), str(found.get("type", "")))
