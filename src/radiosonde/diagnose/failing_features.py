"""Finds common properties of failing calls: values of a feature that are over-represented among their rows.

The host counts the cells of rows whose call raised beside the cells of all rows. A value, a range of neighbouring cells, or "missing" is
*shared* when failing rows have it more often than the other rows of the same windows, by the log-likelihood ratio of the two by two table
(Wilks, Annals of Mathematical Statistics 9, 1938), minus the logarithm of the number of values and ranges tried. One bad row that is
retried counts once for each retry, so the ratio is divided by the dispersion of failures.

Cells are marginal: of two features that go together both are named, the stronger one first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.model import ABOVE, BELOW, NULL, SPECIAL_CELLS, UNSEEN
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from radiosonde.model import SeriesKey, Window
    from radiosonde.reference.profile import FeatureProfile, Reference

    Numbers = NDArray[np.float64]

MIN_ROWS, MIN_SHARE, MIN_LIFT, MIN_LN_E = 10, 0.3, 2.0, 7.0
"""Failing rows it takes, the share of them that has the value, how many times that of the others it is, and the least evidence."""


class FailedRows(NamedTuple):
    """Cells of failing rows and of the other rows, of one grid, in numbers of independent rows.

    Attributes:
        names: features.
        profiles: reference of each; None without one.
        failed: rows of calls that raised, shape (features, cells).
        others: rows of calls that did not.
    """

    names: tuple[str, ...]
    profiles: tuple[FeatureProfile | None, ...]
    failed: Numbers
    others: Numbers


class Shared(NamedTuple):
    """Something that failing rows have in common.

    Attributes:
        feature: the feature.
        value: its value or range, in words that follow the name.
        share: share of the failing rows that have it.
        share_others: share of the other rows.
        ln_e: evidence, everything tried paid for.
    """

    feature: str
    value: str
    share: float
    share_others: float
    ln_e: float

    @property
    def words(self) -> str:
        """The sentence."""
        return f"{percent(self.share)} of the failing rows have {self.feature} {self.value}; {percent(self.share_others)} of the others"  # fmt: skip


def failed_rows(
    windows: Sequence[Window],
    references: Mapping[tuple[str, str], Reference],
    keys: Collection[SeriesKey],
    start_ns: int,
    end_ns: int,
) -> FailedRows | None:
    """Return the cells of failing and of other rows, of the grid with most failing ones; None where no failing row was counted.

    Args:
        windows: windows of the model.
        references: reference profile by (model, version).
        keys: series to take.
        start_ns: first window to take.
        end_ns: end of the time.
    """
    inside = [
        window
        for window in windows
        if window.features is not None and window.key in keys and start_ns <= window.start_ns < end_ns
    ]
    failing: dict[str, float] = {}
    for window in inside:
        if window.features is not None and window.features.failed_cells.size:
            rows = float(window.features.failed_cells[0].sum()) if len(window.features.failed_cells) else 0.0
            failing[window.features.grid] = failing.get(window.features.grid, 0.0) + rows
    if not failing or not max(failing.values()):
        return None
    grid = max(failing, key=lambda name: (failing[name], name))
    parts = [
        (window.key, window.features)
        for window in inside
        if window.features is not None and window.features.grid == grid
    ]
    failed, every = (np.zeros(parts[0][1].cells.shape) for _ in range(2))
    for _, part in parts:
        every += part.evidence_ratio * part.cells
        if part.failed_cells.size:
            failed += part.evidence_ratio * part.failed_cells
    versions = {(key.model, key.version) for key, _ in parts}
    reference = next((references[each] for each in sorted(versions) if each in references), None)
    known = {profile.name: profile for profile in reference.features} if reference else {}
    names = parts[0][1].names
    # Many failing rows are sampled and weighted: the weighted count may exceed that of all rows.
    return FailedRows(names, tuple(known.get(name) for name in names), failed, np.maximum(every - failed, 0.0))


def shared_values(rows: FailedRows, dispersion: float = 1.0, most: int = 3) -> list[Shared]:
    """Return the common properties of the failing rows, strongest first, at most one value or range per feature.

    Args:
        rows: cells of failing and other rows.
        dispersion: dispersion of failures.
        most: largest number of results.
    """
    tried = sum(len(_ranges(rows, feature)) for feature in range(len(rows.names)))
    found = []
    for feature, name in enumerate(rows.names):
        failed, others = rows.failed[feature], rows.others[feature]
        if failed.sum() < MIN_ROWS or others.sum() < MIN_ROWS:
            continue
        # Of ranges that hold the same rows the widest: its ends are where no row is.
        judged = (_judged(failed, others, cells) for cells in _ranges(rows, feature))
        best = max(judged, key=lambda each: (each[0], len(each[1])))
        ln_e = best[0] / max(dispersion, 1.0) - float(np.log(max(tried, 1)))
        _, cells, share, share_others = best
        if ln_e >= MIN_LN_E:
            found.append(Shared(name, _words(rows.profiles[feature], cells, failed.size), share, share_others, ln_e))
    return sorted(found, key=lambda each: -each.ln_e)[:most]


def smallest_share(rows: FailedRows, dispersion: float = 1.0) -> float:
    """Return the share of the failing rows that a value which one in a hundred others has would need to be named; NaN where none is enough."""
    count, others = float(rows.failed[0].sum()), float(rows.others[0].sum())
    tried = sum(len(_ranges(rows, feature)) for feature in range(len(rows.names)))
    if count < MIN_ROWS or others < MIN_ROWS:
        return float("nan")
    for share in np.linspace(MIN_SHARE, 1.0, 15):
        # One time in ten fewer of them have it.
        hits = max(share * count - 1.28 * np.sqrt(count * share * (1 - share)), 0.0)
        gain = _gain(hits, count, 0.01 * others, others) / max(dispersion, 1.0) - np.log(tried)
        if gain >= MIN_LN_E and hits / count >= MIN_SHARE:
            return float(share)
    return float("nan")


def _ranges(rows: FailedRows, feature: int) -> list[list[int]]:
    """Return the values and ranges of neighbouring cells to try, as lists of cells."""
    body = rows.failed.shape[1] - len(SPECIAL_CELLS)
    profile = rows.profiles[feature]
    if profile is not None and profile.kind == "categorical":
        return [[cell] for cell in range(profile.body)] + [[NULL], [UNSEEN]]
    order = [BELOW, *range(profile.body if profile is not None else body), ABOVE]
    spans = [
        order[first:last]
        for first in range(len(order))
        for last in range(first + 1, len(order) + 1)
        # A range of half of all cells or more is not specific.
        if last - first <= max(len(order) // 2, 1)
    ]
    return [*spans, [NULL], [UNSEEN]]


def _judged(failed: Numbers, others: Numbers, cells: list[int]) -> tuple[float, list[int], float, float]:
    hits, count = float(failed[cells].sum()), float(failed.sum())
    other_hits, all_others = float(others[cells].sum()), float(others.sum())
    share, share_others = hits / count, other_hits / all_others
    matters = share >= MIN_SHARE and share >= MIN_LIFT * share_others
    return (_gain(hits, count, other_hits, all_others) if matters else 0.0), cells, share, share_others


def _gain(hits: float, count: float, other_hits: float, others: float) -> float:
    """Return the log-likelihood ratio of two binomial samples with shares of their own against one share for both."""
    pooled = (hits + other_hits) / (count + others)
    gain = 0.0
    for seen, trials in ((hits, count), (other_hits, others)):
        for events, expected in ((seen, pooled * trials), (trials - seen, (1 - pooled) * trials)):
            gain += events * float(np.log(events / expected)) if events > 0 else 0.0
    return gain


def _words(profile: FeatureProfile | None, cells: list[int], width: int) -> str:
    if cells == [NULL]:
        return "missing"
    if cells == [UNSEEN]:
        return "a value that is not in the reference"
    if profile is None:
        numbers = [cell for cell in cells if cell >= 0]
        return f"in cells {numbers[0]} to {numbers[-1]} of {width - len(SPECIAL_CELLS)}" if numbers else "outside the reference range"  # fmt: skip
    if profile.kind == "categorical":
        return f"= {profile.categories[cells[0]]}"
    if not profile.bounds:
        return "outside the reference range"
    edges = (profile.low, *profile.bounds)
    low = None if cells[0] == BELOW else edges[-1] if cells[0] == ABOVE else edges[cells[0]]
    high = None if cells[-1] == ABOVE else edges[0] if cells[-1] == BELOW else edges[cells[-1] + 1]
    if low is None or high is None:
        return f"\u2264 {high:.4g}" if low is None else f"> {low:.4g}"
    return f"between {low:.4g} and {high:.4g}"
