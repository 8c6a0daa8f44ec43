"""Which known ids are nearest to a mistyped one. Pure, and quick enough for a thousand ids in every 404."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from heapq import nlargest

SHORTLIST = 12  # what difflib, which is slow, compares


class Nearest:
    """Compares letter triples first, then the best few in earnest."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._triples = {known: _triples(known) for known in ids}

    def to(self, wanted: str, ids: Iterable[str], count: int = 3) -> list[str]:
        """The `count` of `ids` nearest to `wanted`, the nearest first; of equals the one listed first."""
        triples = _triples(wanted)
        shortlist = nlargest(SHORTLIST, ids, key=lambda known: _overlap(triples, self._triples.get(known) or _triples(known)))
        return nlargest(count, shortlist, key=lambda known: _likeness(wanted, known))


def _triples(text: str) -> frozenset[str]:
    padded = f"  {text.casefold()} "
    return frozenset(padded[start : start + 3] for start in range(len(padded) - 2))


def _overlap(wanted: frozenset[str], known: frozenset[str]) -> float:
    return len(wanted & known) / (len(wanted) + len(known))


def _likeness(wanted: str, known: str) -> float:
    """0 to 1; one who left the provider out is compared without it."""
    wanted, known = wanted.casefold(), known.casefold()
    ends = [known] if "/" in wanted else [known, known.partition("/")[2], known.rpartition("/")[2]]
    return max(SequenceMatcher(None, wanted, end, autojunk=False).ratio() for end in ends)
