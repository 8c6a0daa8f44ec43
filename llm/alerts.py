"""What of providers and prices needs a person: one mail a matter and day."""

from __future__ import annotations

from billing import clock, outbox
from llm import prices
from llm.models import Provider, Status
from llm.providers import is_on, provider_key


def tell_of_providers() -> None:
    """Tell the operators of keyed providers that cannot be reached, or that refuse our key, and of prices that wait for a yes."""
    today = clock.now().date()
    for provider in Provider.objects.filter(enabled=True, status=Status.OFFLINE):
        if is_on(provider) and provider_key(provider):
            body = f"{provider.name} does not answer, or does not accept our key. Its models fall back to others meanwhile.\n"
            outbox.tell_operators(f"{provider.name} is offline", body, f"offline:{provider.slug}:{today}")
    waiting = prices.waiting().count()
    if waiting:
        body = f"{waiting} prices changed by more than three times. They are not used until you approve them in the admin, under Prices.\n"
        outbox.tell_operators(f"{waiting} prices wait for your approval", body, f"prices:{today}")
