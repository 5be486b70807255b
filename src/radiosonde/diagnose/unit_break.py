"""Detects a unit change of a feature: an e-detector on values off its lattice.

The lattice is learned from the feature's own past and kept while it holds. A value that is off it teaches the lattice
nothing for `_LAG_BLOCKS` blocks: any two units have a common lattice if it may be fine enough (mph and m/s share one of
0.0018), so one that learned from the first hours of a new unit would hold both and see no break. Each block of a few hours contributes its
distinct values (not rows: a thousand rows share one reading): how many are on, how many off. A Shiryaev-Roberts
detector over three shares of affected rows (10, 30, 70 %) accumulates the likelihood ratio; under a lattice that still
holds, its average run length is at least its threshold, `ARL_BLOCKS` blocks per feature (Shin, Ramdas and Rinaldo 2023).
Distinct values of a block are not quite independent, so their log-likelihood is halved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.lattice import Lattice, fit_lattice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.feature_panel import Retained

ARL_BLOCKS = 1e7
_DISPERSION = 2.0
_OFF_SHARES = (0.1, 0.3, 0.7)
_OFF_BEFORE = 0.02
_MIN_OFF_VALUES = 6
_QUIET = 100.0
_LAG_BLOCKS = 4
"""A day: by then the detector has either risen due to values off the lattice, or fallen back."""
_GROWTH = 1.2
"""Growth of the values of a feature without a lattice before one is fitted again."""


class UnitBreak(NamedTuple):
    """The values left their lattice.

    Attributes:
        start: first affected step, most likely.
        earliest: start of the likelihood set.
        latest: end of it.
        end: one past the last affected step (size of the axis while it lasts).
        lattice: the lattice before.
        off_share: share of the rows after that are off it.
        ln_e: evidence: log of the detector, corrected for looks.
    """

    start: int
    earliest: int
    latest: int
    end: int
    lattice: Lattice
    off_share: float
    ln_e: float


def find_unit_break(held: Retained, size: int, *, block: int, warm_up: int) -> UnitBreak | None:
    """Return the first lasting departure from the feature's lattice; None if it holds, or if there is none to hold.

    Args:
        held: retained values.
        size: steps of the axis.
        block: steps per block.
        warm_up: steps to learn the first lattice from; extended until 8 distinct values were seen.
    """
    lattice: Lattice | None = None
    past = _Past(held)
    learned = warm_up
    detector = np.zeros(len(_OFF_SHARES))
    peak = 0.0
    for start in range(warm_up, size, block):
        if lattice is None or detector.max() < _QUIET:
            settled = max(start - _LAG_BLOCKS * block, learned)
            if lattice is None or not lattice.holds(_between(held, learned, settled)).all():
                lattice = past.fitted(settled, again=lattice is not None)
            learned = settled
        if lattice is None:
            continue
        fresh = np.unique(_between(held, start, start + block))
        off = int((~lattice.holds(fresh)).sum())
        detector = (1 + detector) * np.exp(np.minimum(_gains(off, fresh.size), 300.0))
        detector = np.minimum(detector, 1e280)
        peak = max(peak, float(detector.mean()))
        if detector.mean() > ARL_BLOCKS:
            found = _confirm(held, lattice, warm_up, start, size, float(np.log(peak)))
            if found is not None:
                return found
            detector[:] = 0
            learned = start + block
            lattice = past.fitted(learned)
    return None


def has_lattice(held: Retained) -> bool:
    """Return whether the values of a feature repeat a step at all, as `find_unit_break` requires."""
    return fit_lattice(np.unique(held.values)) is not None


def _between(held: Retained, low: int, high: int) -> NDArray[np.float64]:
    return held.values[slice(*np.searchsorted(held.steps, (low, high)))]


class _Past:
    """The distinct values up to a step that only grows, and the lattice they lie on.

    A feature without a lattice needs a fit at every block. Sorting its whole past each time would cost the square of its length, so values
    are merged into the known ones, and a failed fit is retried after a fifth more values.
    """

    def __init__(self, held: Retained) -> None:
        self._held = held
        self._until = 0
        self._values: NDArray[np.float64] = np.empty(0)
        self._fresh: list[NDArray[np.float64]] = []
        self._waiting = 0
        self._enough = 0.0

    def fitted(self, settled: int, *, again: bool = True) -> Lattice | None:
        """Return the lattice of all values before step *settled*; None without one, or if a new fit is too expensive.

        Args:
            settled: not before that of the last call.
            again: fit even if few values have come since a fit failed.
        """
        fresh = _between(self._held, self._until, settled)
        self._until = max(self._until, settled)
        self._fresh.append(fresh)
        self._waiting += fresh.size
        if not again and self._values.size + self._waiting < self._enough:
            return None
        merged = np.concatenate([self._values, np.sort(np.concatenate(self._fresh))])
        merged.sort(kind="stable")  # merges two ascending runs
        self._values = merged[np.concatenate(([True], merged[1:] != merged[:-1]))] if merged.size else merged
        self._fresh, self._waiting = [], 0
        lattice = fit_lattice(self._values)
        self._enough = 0.0 if lattice is not None else _GROWTH * self._values.size
        return lattice


def _gains(off: int, total: int) -> NDArray[np.float64]:
    shares = np.array(_OFF_SHARES)
    gain = off * np.log(shares / _OFF_BEFORE) + (total - off) * np.log((1 - shares) / (1 - _OFF_BEFORE))
    return np.asarray(gain / _DISPERSION, dtype=np.float64)


def _confirm(held: Retained, lattice: Lattice, low: int, alarm: int, size: int, ln_peak: float) -> UnitBreak | None:
    """Place the onset by step, find where it ends, and demand that it is more than a few odd values."""
    off_pair = ~lattice.holds(held.values)
    off = np.bincount(held.steps[off_pair], minlength=size)
    total = np.bincount(held.steps, minlength=size)
    share = min(max(off[alarm:].sum() / max(total[alarm:].sum(), 1), 0.05), 0.95)
    gain = off * np.log(share / _OFF_BEFORE) + (total - off) * np.log((1 - share) / (1 - _OFF_BEFORE))
    end = _end(gain, alarm, size)
    suffix = gain[low:end][::-1].cumsum()[::-1]
    start = low + int(suffix.argmax())
    # Steps in which nothing was counted carry no evidence; the first one with values is the one to name.
    while start < end - 1 and not total[start]:
        start += 1
    likely = np.flatnonzero(suffix >= suffix.max() - 3.3 * _DISPERSION)
    if np.unique(held.values[off_pair & (held.steps >= start) & (held.steps < end)]).size < _MIN_OFF_VALUES:
        return None
    rows = held.rows[(held.steps >= start) & (held.steps < end)].sum()
    rows_off = held.rows[off_pair & (held.steps >= start) & (held.steps < end)].sum()
    ln_e = max(float(suffix.max()) / _DISPERSION - float(np.log(size)), min(ln_peak, float(np.log(ARL_BLOCKS))))
    return UnitBreak(
        start, low + int(likely[0]), low + int(likely[-1]), end, lattice, float(rows_off / max(rows, 1)), ln_e
    )


def _end(gain: NDArray[np.float64], began: int, size: int) -> int:
    """Return where the evidence stops growing: the end of the best prefix, or *size* if that is the last data."""
    prefix = gain[began:].cumsum()
    last = int(np.flatnonzero(gain)[-1]) if gain.any() else size - 1
    # A step or two without an off value at the very end is chance, not recovery.
    return size if prefix[last - began] >= prefix.max() - 3.3 * _DISPERSION else began + int(prefix.argmax()) + 1
