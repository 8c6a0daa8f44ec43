"""How providers and models did over time: each background look counts on its day, and the days are shown on the pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import F
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from billing import clock
from llm.models import LanguageModel, Looks, ModelDay, Provider, ProviderDay, Status

DAYS = 30
COLUMNS = {Status.HEALTHY: "good", Status.DEGRADED: "degraded", Status.OFFLINE: "bad"}  # what else is shown says nothing
ALL_WELL, MOSTLY = 0.99, 0.5  # of a day's looks


@dataclass(frozen=True, slots=True)
class Bar:
    """One day. share: of the looks, those that found the provider well; None = nobody looked."""

    day: date
    share: float | None

    @property
    def look(self) -> str:
        """The class of its colour."""
        if self.share is None:
            return ""
        return "good" if self.share >= ALL_WELL else "warn" if self.share >= MOSTLY else "bad"

    def __str__(self) -> str:
        day = date_format(self.day, "SHORT_DATE_FORMAT")
        return f"{day}: –" if self.share is None else f"{day}: {100 * self.share:.0f} %"


@dataclass(frozen=True, slots=True)
class History:
    """The last days, the oldest first."""

    bars: tuple[Bar, ...]

    @property
    def words(self) -> str:
        """The same for who does not see it."""
        known = [bar.share for bar in self.bars if bar.share is not None]
        if not known:
            return _("not looked at yet")
        return _("well in %(percent).1f %% of all looks") % {"percent": 100 * sum(known) / len(known)}


def note(provider: Provider, status: str) -> None:
    """Count one look."""
    column = COLUMNS.get(Status(status))
    if column is not None:
        row, _made = ProviderDay.objects.get_or_create(provider=provider, day=clock.now().date())
        ProviderDay.objects.filter(pk=row.pk).update(**{column: F(column) + 1})


def note_models() -> int:
    """Count what is known of each model now, and forget what no page shows any more; the number of models counted."""
    today = clock.now().date()
    ModelDay.objects.filter(day__lt=today - timedelta(days=DAYS)).delete()
    known = dict(LanguageModel.objects.filter(enabled=True, status__in=COLUMNS).values_list("pk", "status"))
    ModelDay.objects.bulk_create([ModelDay(language_model_id=pk, day=today) for pk in known], ignore_conflicts=True, batch_size=500)
    for status, column in COLUMNS.items():
        of_status = [pk for pk, found in known.items() if found == status]
        for start in range(0, len(of_status), 500):
            rows = ModelDay.objects.filter(day=today, language_model__in=of_status[start : start + 500])
            rows.update(**{column: F(column) + 1})
    return len(known)


def history(providers: Iterable[Provider]) -> dict[int, History]:
    """By the provider's pk."""
    return _histories([one.pk for one in providers], "provider_id", ProviderDay)


def model_history(models: Iterable[LanguageModel]) -> dict[int, History]:
    """By the model's pk."""
    return _histories([one.pk for one in models], "language_model_id", ModelDay)


def _histories(wanted: list[int], column: str, table: type[Looks]) -> dict[int, History]:
    today = clock.now().date()
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    rows = table._default_manager.filter(day__gte=days[0], **{f"{column}__in": wanted})
    shares = {(getattr(row, column), row.day): row.good / ((row.good + row.degraded + row.bad) or 1) for row in rows}
    return {pk: History(tuple(Bar(day, shares.get((pk, day))) for day in days)) for pk in wanted}
