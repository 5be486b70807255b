"""Runs every data check on every feature and returns the signals as numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.cell_contrasts import Contrast, make_contrasts
from radiosonde.diagnose.conversions import Fit, fit_by_lattice, fit_by_quantiles
from radiosonde.diagnose.scan import BlockSums, Step, make_blocks, step_segments
from radiosonde.diagnose.share_scan import PAGE_LN_E, block_steps, scan_share
from radiosonde.diagnose.stuck import find_stuck_cell, find_stuck_value
from radiosonde.diagnose.unit_break import find_unit_break
from radiosonde.diagnose.version_scope import judge_versions
from radiosonde.model import ABOVE, BELOW, NULL, UNSEEN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.feature_panel import FeaturePanel, Retained
    from radiosonde.diagnose.panel import Axis
    from radiosonde.diagnose.unit_break import UnitBreak
    from radiosonde.reference.profile import FeatureProfile

TICKET_LN_E = 30.0
"""Evidence a mere change of distribution needs to call for a person; real seasons reach 22."""

MIN_RISE = {"missing": 0.03, "unseen": 0.003, "far": 0.002, "outside": 0.05}
TRANSIENT_H, LARGE_RISE = 24, 0.3
"""Missing values for less than so many hours are a note, unless their share rose by so much."""

_QUANTILE_RANKS = (0.05, 0.25, 0.5, 0.75, 0.95)
_CELL_RANKS, _LEAST_RANKS = 5, 0.3
"""Ranks at which a conversion is fitted to cells, and the share of the rows that they must span on both sides."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Something stood out in one feature.

    Attributes:
        check: ``unit``, ``far``, ``missing``, ``unseen``, ``stuck``, ``range``, ``location``, ``spread``, ``category:x``.
        feature: index of the feature.
        start: first affected step.
        earliest: start of the likelihood set.
        latest: end of it.
        end: one past the last affected step.
        before: statistic outside the segment.
        after: statistic inside.
        ln_e: evidence.
        fit: the unit conversion that explains it, if any.
        versions: indices of the affected versions; empty unless another one is demonstrably unaffected.
        untested: indices of the versions with too few rows since the start.
    """

    check: str
    feature: int
    start: int
    earliest: int
    latest: int
    end: int
    before: float
    after: float
    ln_e: float
    fit: Fit | None = None
    versions: tuple[int, ...] = ()
    untested: tuple[int, ...] = ()


def find_signals(panel: FeaturePanel) -> list[Signal]:
    """Return the signals of *panel*: of all versions together, and of single versions where together hides them."""
    signals = [_blamed(panel, signal, []) for signal in _scope(panel, panel.pooled, None)]
    if len(panel.versions) > 1:
        together = {(signal.feature, signal.check) for signal in signals}
        alone: dict[tuple[int, str], list[tuple[int, Signal]]] = {}
        for version in range(len(panel.versions)):
            for signal in _scope(panel, panel.cells[version], version):
                key = signal.feature, signal.check
                if key not in together and not signal.check.startswith(("location", "spread", "cat")):
                    alone.setdefault(key, []).append((version, signal))
        for found in alone.values():
            strongest = max((signal for _, signal in found), key=lambda signal: signal.ln_e)
            signals.append(_blamed(panel, strongest, [version for version, _ in found]))
    return signals


def _blamed(panel: FeaturePanel, signal: Signal, found_in: list[int]) -> Signal:
    """Name the affected versions where others stayed as they were; *found_in* are those it was found in on their own."""
    if len(panel.versions) < 2 or signal.check == "unit":
        return signal
    table = panel.cells[:, :, signal.feature]
    inside = np.zeros(panel.axis.size, dtype=bool)
    inside[signal.start : signal.end] = True
    columns = {"missing": [NULL], "unseen": [UNSEEN], "far": [BELOW, ABOVE], "range": [BELOW, ABOVE]}.get(signal.check)
    trials = table[:, inside].sum(axis=(1, 2)).astype(np.float64)
    if columns is not None:
        after, before = (
            table[:, side][..., columns].sum(axis=(1, 2)) / np.maximum(table[:, side].sum(axis=(1, 2)), 1)
            for side in (inside, ~inside)
        )
        scope = judge_versions(after - before, trials)
    elif found_in:
        scope = judge_versions(np.isin(np.arange(len(panel.versions)), found_in).astype(np.float64), trials)
    else:
        return signal
    return replace(signal, versions=scope.versions, untested=scope.untested)


def _scope(panel: FeaturePanel, cells: NDArray[np.float64], version: int | None) -> list[Signal]:
    axis = panel.axis
    block = block_steps(axis)
    signals: list[Signal] = []
    for index, name in enumerate(panel.names):
        held = panel.retained.get(name)
        if held is not None and version is not None:
            held = held.only(version)
        if held is not None and held.values.size:
            signals.extend(_value_signals(panel, index, held, block))
        else:
            signals.extend(_stuck(panel, index, None, cells, block))
    signals.extend(_cell_signals(panel, cells, block))
    return signals


def _value_signals(panel: FeaturePanel, index: int, held: Retained, block: int) -> list[Signal]:
    profile = panel.profiles[index]
    signals = _stuck(panel, index, held, panel.cells[0], block)
    signals.extend(_unit(panel, index, held, block))
    if profile is not None and profile.kind == "numeric" and profile.bounds:
        signals.extend(_far(panel, index, held, profile, block))
    return signals


def _unit(panel: FeaturePanel, index: int, held: Retained, block: int) -> list[Signal]:
    """Search *held* for a changed unit, then check whether each version shows the same."""
    axis = panel.axis
    found = find_unit_break(held, axis.size, block=block, warm_up=min(axis.steps(48), axis.size // 4))
    if found is None:
        return []
    off = (held.steps >= found.start) & (held.steps < found.end) & ~found.lattice.holds(held.values)
    before = np.unique(held.values[held.steps < found.start])
    fit = fit_by_lattice(before, np.unique(held.values[off]), found.lattice)
    shares, trials = _off_by_version(panel.retained[panel.names[index]], found, len(panel.versions))
    if fit is None and shares.max() < 0.5:
        return []
    span = found.start, found.earliest, found.latest, found.end
    return [Signal("unit", index, *span, 0.0, found.off_share, found.ln_e, fit, *judge_versions(shares, trials))]


def _off_by_version(held: Retained, found: UnitBreak, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the share of rows off the lattice by version, and the distinct values of each step it rests on."""
    inside = (held.steps >= found.start) & (held.steps < found.end)
    off = inside & ~found.lattice.holds(held.values)
    hits, total = (np.bincount(held.versions[part], held.rows[part], count) for part in (off, inside))
    return hits / np.maximum(total, 1), np.bincount(held.versions[inside], minlength=count).astype(np.float64)


def _stuck(
    panel: FeaturePanel, index: int, held: Retained | None, cells: NDArray[np.float64], block: int
) -> list[Signal]:
    if held is not None:
        found = find_stuck_value(held, panel.axis.size, block)
    else:
        found = find_stuck_cell(np.delete(cells[:, index], cells.shape[-1] + NULL, axis=1), block)
    if found is None or found.ln_e < PAGE_LN_E:
        return []
    return [Signal("stuck", index, found.start, found.start, found.start, found.end, 0.0, found.value, found.ln_e)]


def _far(panel: FeaturePanel, index: int, held: Retained, profile: FeatureProfile, block: int) -> list[Signal]:
    """Values more than one whole reference range outside the reference range: no season does that."""
    low, high = profile.low, profile.bounds[-1]
    reach = max(high - low, abs(high) * 1e-9)
    is_far = (held.values < low - reach) | (held.values > high + reach)
    if not is_far.any():
        return []
    size = panel.axis.size
    hits = np.bincount(held.steps[is_far], held.rows[is_far], size).astype(np.float64)
    totals = np.bincount(held.steps, held.rows, size).astype(np.float64)
    found = scan_share(panel.axis, hits, totals, block, min_rise=MIN_RISE["far"])
    if found is None:
        return []
    step, onset = found
    before = held.values[(held.steps < onset[0]) & ~is_far]
    after = held.values[(held.steps >= onset[0]) & (held.steps < step.end) & (is_far if step.after < 0.5 else True)]
    fit = (
        fit_by_quantiles(np.quantile(before, _QUANTILE_RANKS), np.quantile(after, _QUANTILE_RANKS))
        if before.size
        else None
    )
    return [Signal("far", index, *onset, step.end, step.before, step.after, step.ln_e, fit)]


def _cell_signals(panel: FeaturePanel, cells: NDArray[np.float64], block: int) -> list[Signal]:
    contrasts = make_contrasts(panel)
    signals = []
    for contrast in contrasts:
        table = cells[:, contrast.feature]
        hits, totals = table @ contrast.top, table @ contrast.bottom
        if contrast.name in MIN_RISE:
            outside = contrast.name == "outside"
            # With values, `_far` distinguishes a sentinel from a season; cells only show "beyond the reference".
            if not hits.any() or (outside and panel.names[contrast.feature] in panel.retained):
                continue
            found = scan_share(panel.axis, hits, totals, block, min_rise=MIN_RISE[contrast.name])
            if found is not None and (not outside or (found[0].after >= 0.9 and found[0].ln_e >= TICKET_LN_E)):
                step, onset = found
                check = "range" if outside else contrast.name
                signals.append(Signal(check, contrast.feature, *onset, step.end, step.before, step.after, step.ln_e))
        else:
            signals.extend(_drift(panel, contrast, table))
    return signals


def _drift(panel: FeaturePanel, contrast: Contrast, table: NDArray[np.float64]) -> list[Signal]:
    """Search for a lasting change of distribution, in blocks of a day (which cancels the daily rhythm) once there are 8."""
    axis = panel.axis
    hits, totals = table @ contrast.top, table @ contrast.bottom
    blocks, min_outside, min_inside = drift_blocks(axis, hits[:, None], totals[:, None])
    length = int(blocks.starts[1] - blocks.starts[0]) if len(blocks.starts) > 1 else axis.size
    weight = max(float(np.median(blocks.weights)), 1.0)
    share = float(hits.sum() / max(totals.sum(), 1))
    floor = np.array([(share * (1 - share) if contrast.is_share else 1.0) / weight])
    step = step_segments(blocks, floor, axis.size, min_outside=min_outside, min_inside=min_inside, bursts=False)[0]
    if step is None or step.ln_e < PAGE_LN_E or abs(step.after - step.before) < level_tolerance(contrast):
        return []
    held = panel.retained.get(panel.names[contrast.feature])
    fit = _quantile_fit(panel, contrast.feature, held, step) if contrast.name in ("location", "spread") else None
    start = step.start
    return [
        Signal(
            contrast.name,
            contrast.feature,
            start,
            max(start - length, 0),
            start + length // 2,
            step.end,
            step.before,
            step.after,
            step.ln_e,
            fit,
        )
    ]


def drift_blocks(axis: Axis, hits: NDArray[np.float64], totals: NDArray[np.float64]) -> tuple[BlockSums, int, int]:
    """Return the blocks to search for a lasting change, and the number needed before it and in it.

    Args:
        axis: event time.
        hits: numerators, shape (steps, features).
        totals: denominators, same shape.
    """
    block = block_steps(axis)
    per_day = max(1, axis.steps(24) // block)
    daily = axis.size // (block * per_day) >= 8
    blocks = make_blocks(hits, totals, *((block * per_day, 1) if daily else (block, per_day)))
    count = len(blocks.starts)
    return blocks, max(4, count // 5), max(2, count // 10)


def level_tolerance(contrast: Contrast) -> float:
    """Return the smallest change of *contrast* that matters."""
    return 0.5 * contrast.expected + 0.01 if contrast.is_share else 0.25


def _quantile_fit(panel: FeaturePanel, feature: int, held: Retained | None, step: Step) -> Fit | None:
    """Fit a conversion to the quantiles before and after: of the retained values, or read off the cells."""
    if held is not None:
        late = (held.steps >= step.start) & (held.steps < step.end)
        sides = [_weighted_quantiles(held.values[side], held.rows[side]) for side in (~late, late)]
        return fit_by_quantiles(*sides)
    profile = panel.profiles[feature]
    if profile is None or len(profile.bounds) < 4:
        return None
    # A position between two bounds is known; the outermost cells, and what lies outside the reference, are as wide as they are.
    inner = np.array(profile.bounds[:-1])
    counts = panel.pooled[:, feature]
    upto = []
    for rows in (counts[: step.start].sum(axis=0), counts[step.start : step.end].sum(axis=0)):
        valued = rows[: profile.body].sum() + rows[BELOW] + rows[ABOVE]
        upto.append((rows[BELOW] + np.cumsum(rows[: inner.size])) / max(valued, 1))
    ranks = np.linspace(*_between_bounds(*upto), _CELL_RANKS)
    if ranks[-1] - ranks[0] < _LEAST_RANKS:
        return None
    return fit_by_quantiles(*(np.interp(ranks, each, inner) for each in upto))


def _between_bounds(before: NDArray[np.float64], after: NDArray[np.float64]) -> tuple[float, float]:
    """Return the lowest and the highest rank that both sides have between two bounds."""
    return float(max(before[0], after[0])), float(min(before[-1], after[-1]))


def _weighted_quantiles(values: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    order = np.argsort(values)
    cumulative = np.cumsum(rows[order])
    at = np.searchsorted(cumulative, np.array(_QUANTILE_RANKS) * cumulative[-1])
    return np.asarray(values[order][at], dtype=np.float64)
