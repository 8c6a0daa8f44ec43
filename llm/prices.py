"""Prices as versions. Nothing negative, missing or absurd gets in, and a jump waits for an operator's yes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db.models import QuerySet

from billing.models import Price
from llm.models import LanguageModel

JUMP = 3  # times more, or less, than the price in use
MOST = Decimal(1_000_000)  # USD per million tokens: above this it is a unit mixed up
PLACES = Decimal("0.000001")
AUTOMATIC = ("snapshot", "live")  # beginnings of the sources that are no person


@dataclass(frozen=True, slots=True)
class Quote:
    """A price in USD per million tokens. None = not sold apart."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Quote | None:
        """The quote in `values` (input, output, cached_input, cache_write); None where a part is no price or one of the first two lacks."""
        try:
            parts = {name: _amount(values.get(name)) for name in ("input", "output", "cached_input", "cache_write")}
        except (InvalidOperation, ValueError):
            return None
        return None if parts["input"] is None or parts["output"] is None else cls(**parts)  # type: ignore[arg-type]


def _amount(value: Any) -> Decimal | None:
    """Raises ValueError or InvalidOperation for what is no price: -1, NaN, "free", True."""
    if value is None:
        return None
    if isinstance(value, bool):
        raise ValueError("a boolean is no price")
    amount = Decimal(str(value))
    if not amount.is_finite() or not 0 <= amount < MOST:
        raise ValueError("not a price")
    return amount.quantize(PLACES)


def quoted(price: Price) -> Quote:
    """The quote a version holds."""
    return Quote(price.input, price.output, price.cached_input, price.cache_write)


def propose(model: LanguageModel, price: Mapping[str, Any], source: str) -> Price | None:
    """Write a new version of the model's price, in USD per million tokens, where it is one and differs; None where not.

    What jumped by more than JUMP is written unapproved and not used. source: where it comes from, "snapshot …", "live" or a person's.
    """
    quote = Quote.of(price)
    versions = write_versions([(model, quote)] if quote else [], source)
    return versions[0] if versions else None


def write_versions(offers: Iterable[tuple[LanguageModel, Quote]], source: str) -> list[Price]:
    """The same for many models at once: three queries. Sets `model.price` where the new version is in use."""
    wanted = list(offers)
    newest = _newest(model.model_id for model, _quote in wanted)
    versions: list[tuple[LanguageModel, Price]] = []
    for model, quote in wanted:
        if _is_news(quote, model.price, newest.get(model.model_id), source):
            values = dict(zip(("input", "output", "cached_input", "cache_write"), astuple(quote), strict=True))
            approved = model.price is None or not jumped(quoted(model.price), quote)
            versions.append((model, Price(model_id=model.model_id, source=source, approved=approved, **values)))
    Price.objects.bulk_create([version for _model, version in versions])
    in_use = []
    for model, version in versions:
        if version.approved:
            model.price = version
            in_use.append(model)
    if in_use and all(model.pk for model in in_use):
        LanguageModel.objects.bulk_update(in_use, ["price"], batch_size=500)
    return [version for _model, version in versions]


def _newest(model_ids: Iterable[str]) -> dict[str, Price]:
    """The newest version that no person wrote, by model."""
    wanted = set(model_ids)
    if not wanted:
        return {}
    rows = Price.objects.filter(model_id=next(iter(wanted))) if len(wanted) == 1 else Price.objects.all()
    return {row.model_id: row for row in rows.order_by("pk") if row.model_id in wanted and row.source.startswith(AUTOMATIC)}


def _is_news(quote: Quote, in_use: Price | None, newest: Price | None, source: str) -> bool:
    """Not what is in use, not what was offered last (an operator may have said no to it), and never over a person's own price."""
    if in_use is not None and (quoted(in_use) == quote or (source.startswith(AUTOMATIC) and not in_use.source.startswith(AUTOMATIC))):
        return False
    return newest is None or quoted(newest) != quote or not source.startswith(AUTOMATIC)


def jumped(before: Quote, after: Quote) -> bool:
    """Did a part of the price move by more than JUMP times, either way? From or to nothing is a jump."""
    pairs = zip(astuple(before), astuple(after), strict=True)
    return any(old is not None and new is not None and not old / JUMP <= new <= old * JUMP for old, new in pairs)


def approve(price: Price) -> bool:
    """Put a version into use, as an operator says. False where its model is gone."""
    model = LanguageModel.objects.filter(model_id=price.model_id).first()
    if model is None:
        return False
    Price.objects.filter(pk=price.pk).update(approved=True, declined=False)
    model.price = price
    model.save(update_fields=["price"])
    return True


def waiting() -> QuerySet[Price, Price]:
    """The versions that jumped and that nobody has said yes or no to."""
    return Price.objects.filter(approved=False, declined=False)


def decline(prices: QuerySet[Price, Price]) -> int:
    """Say no to versions that wait; the number of them. The same price is not offered again."""
    return prices.filter(approved=False, declined=False).update(declined=True)
