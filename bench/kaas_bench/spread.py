"""Minimum, median and maximum of a few measured values."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """What a handful of runs gave; the unit is the caller's."""

    low: float
    middle: float
    high: float
    runs: int

    def text(self, digits: int = 1) -> str:
        """`21.3 (20.1–23.0)`: median, then minimum and maximum; alone where all are the same."""
        if self.low == self.high:
            return f"{self.middle:.{digits}f}"
        return f"{self.middle:.{digits}f} ({self.low:.{digits}f}–{self.high:.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    """Spread of at least one value; ValueError for none."""
    if not values:
        raise ValueError("no values: no run came to its end")
    return Spread(min(values), statistics.median(values), max(values), len(values))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """How ours compares with theirs, without a unit.

    The middle is the quotient of the medians; the ends are the least and the most favourable pairing of any two runs,
    so that they bound every ratio that the runs could have given.
    """
    mine, other = spread(ours), spread(theirs)
    return Spread(mine.low / other.high, mine.middle / other.middle, mine.high / other.low, min(mine.runs, other.runs))
