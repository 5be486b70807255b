"""Bounds the number of exported time series: units with the least traffic are dropped first, and counted.

Unbounded export makes a backend fail for all its users, and cutting arbitrary points would make the rest wrong. Each kind of unit (series,
releases, features) is granted an equal share of the bound, filled by rank; the unused part of a share goes to the others, in that order. So
neither a cohort explosion silences drift, nor five hundred features the
outcomes of a canary.
"""

from __future__ import annotations

from collections.abc import Sequence

from radiosonde.export.blocks import Unit

MAX_SERIES = 10_000
"""Time series per process by default. A Prometheus of modest size bears a hundred such processes."""


def keep_units(kinds: Sequence[Sequence[Unit]], limit: int) -> tuple[list[Unit], int]:
    """Return the units that fit into *limit* time series, and the number of time series of the others."""
    ranked = [sorted(kind, key=lambda unit: unit.rank) for kind in kinds]
    total = sum(unit.series for kind in ranked for unit in kind)
    if total <= limit:
        return [unit for kind in ranked for unit in kind], 0
    taken = [_fitting(kind, 0, limit // len(kinds)) for kind in ranked]
    left = limit - sum(_series(kind[:count]) for kind, count in zip(ranked, taken, strict=True))
    kept: list[Unit] = []
    for kind, count in zip(ranked, taken, strict=True):
        more = _fitting(kind, count, left)
        left -= _series(kind[count:more])
        kept += kind[:more]
    return kept, total - _series(kept)


def _fitting(units: Sequence[Unit], start: int, limit: int) -> int:
    """Return the end of the longest run from *start* that fits into *limit*; a unit too large ends it."""
    for index in range(start, len(units)):
        limit -= units[index].series
        if limit < 0:
            return index
    return len(units)


def _series(units: Sequence[Unit]) -> int:
    return sum(unit.series for unit in units)
