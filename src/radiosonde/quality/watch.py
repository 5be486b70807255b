"""Detects a stopped label feed: labels expected from traffic and lag curves, against those received.

Windows hold no arrival times, but a label in bucket *(l, u]* of a window at *t* came between *t + l* and *t + u*. A stop at
*S* therefore empties, in every window, the buckets beyond *S - t*, and halves the one it cuts through: that pattern is sharp
in young windows, and its Poisson likelihood determines *S*. The likelihood ratio of "from S on only a share r of the expected labels
arrives" against "no change" is maximised over S and r and divided by the dispersion of earlier arrivals in blocks as long
as the silence: a feed that delivers once a day is as silent every afternoon, and is not reported for it.

The expectation is computed from the windows as of before the first candidate time (the first of `BASELINES`), so that a stall does not make
labels appear fast. ``ln_e = m / 2 * ln(1 + 2 LLR / (m * dispersion)) - ln(tries)`` with *m* earlier blocks:
Student's shape, since the dispersion is an estimate; a model and not a bound, like the step scans of diagnosis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from radiosonde.model import LAG, Window
from radiosonde.quality.columns import Array, LabelColumns, label_columns
from radiosonde.quality.lags import LagCurve, lag_curves
from radiosonde.quality.table import LabelTable, label_table

BASELINES = (0.5, 0.25, 0.125)
"""Part of the span used as baseline only; the next one if labels went missing right at its end, or earlier."""

STOPPED = 0.05
"""Share of expected labels up to which a feed is called stopped, not slowed."""

LEAST_LN_E = 9.0
"""Evidence that a finding needs: the same as for other machines (failures, latency)."""

_SHARES = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
_TRIES = 32
_TELLING = 4
_HALVINGS, _SILENCE_MARGIN = 6, 1.025
"""Halvings of the interval of the floor, and how much longer a silence is for nine in ten to be reported; the last label before it is a matter of chance."""
_BLOCKS = 12
_GROUPS = 512
_LEAST_EXPECTED = 20.0
_SLOW_S = 86_400.0
"""How long a feed must have been slow, but not stopped, to be called so: a storm delays and cancels for half a day."""

_ODD = 0.01
"""Share of labels that may arrive at any time: unexpected arrivals are not evidence."""

_SPREAD = (0.0, 0.25, 0.5, 0.75, 1.0)
_EDGES_S = np.concatenate([[0.5], LAG.upper_bounds_s()])


@dataclass(frozen=True, slots=True)
class FeedState:
    """State of the label feed.

    Attributes:
        ln_e: evidence that it stopped or slowed, all tries paid; below `LEAST_LN_E` it is taken for alive.
        at_ns: since when, the most likely moment.
        earliest_ns: start of the likelihood set.
        latest_ns: end of it.
        share: share of the expected labels that still come.
        expected: labels expected since then.
        arrived: labels that came since then, estimated.
        unknown: reason for an unknown state; ``""`` otherwise.
        floor_s: shortest silence up to now that would have been reported, in seconds; NaN where none would.
    """

    ln_e: float
    at_ns: int
    earliest_ns: int
    latest_ns: int
    share: float
    expected: float
    arrived: float
    unknown: str = ""
    floor_s: float = float("nan")

    @property
    def is_broken(self) -> bool:
        """Whether there is a finding."""
        return self.ln_e >= LEAST_LN_E

    @property
    def is_stopped(self) -> bool:
        """Whether (almost) nothing comes any more."""
        return self.is_broken and self.share <= STOPPED


class _Cells(NamedTuple):
    """Label counts by group and lag bucket (groups, 100): arrived, expected, and the model of the expectation."""

    counts: Array
    expected: Array
    start_s: Array
    length_s: Array
    rates: Array
    curves: tuple[LagCurve, ...]
    span_s: float


def watch_feed(
    windows: Sequence[Window] | LabelColumns, *, as_of_ns: int | None = None, with_floor: bool = True
) -> FeedState:
    """Return the state of the label feed.

    Args:
        windows: all windows of a model, all versions together, or their columns (`label_columns`).
        as_of_ns: time of the label counts; default `radiosonde.quality.latest_ns`.
        with_floor: whether to compute `FeedState.floor_s`, which takes a third of the time; NaN without.
    """
    columns = label_columns(windows)
    if not columns.rows.size:
        return _alive("there are no windows")
    as_of = columns.latest_ns if as_of_ns is None else as_of_ns
    start = int(columns.start_ns.min())
    # Groups of equal length: arrivals are placed in time, and the rhythm of old ones determines the usual silence.
    table = label_table(columns, as_of_ns=as_of, step_ns=(as_of - start) // _GROUPS)
    span_s = (as_of - start) / 1e9
    state = _alive("")
    for number, base_s in enumerate(part * span_s for part in BASELINES):
        cells = _cells(table, start, base_s, span_s)
        if isinstance(cells, str):
            return state if number else _alive(cells)
        found, share = _watch(cells, table, start, base_s, looks=number + 1, with_floor=with_floor)
        state = found if found.is_broken or not number else state
        # Labels missing from the baseline's end on may be missing from earlier on, and then the baseline itself is affected.
        if share == 1.0 or (found.is_broken and (found.at_ns - start) / 1e9 > 1.05 * base_s):
            break
    return state


def _alive(unknown: str) -> FeedState:
    return FeedState(0.0, 0, 0, 0, 1.0, 0.0, 0.0, unknown)


def _watch(
    cells: _Cells, table: LabelTable, start_ns: int, base_s: float, *, looks: int, with_floor: bool
) -> tuple[FeedState, float]:
    """Try moments after *base_s*; also return the share of the expected labels that came since then.

    *looks* is how many baselines have been tried with this one; the evidence pays for them.
    """
    span_s = cells.span_s
    shortest = float(np.median((table.end_ns - table.start_ns)[-8:])) / 1e9
    gaps = np.geomspace(min(shortest, span_s - base_s), span_s - base_s, _TRIES)
    tried = _tries(cells, span_s - gaps, base_s, looks)
    floor_s = _silence_floor(cells, gaps, tried, base_s, looks) if with_floor else float("nan")
    best, since_base = max(fit.ln_e for fit in tried), tried[-1].share
    near = _neighbours(gaps, span_s - max(tried, key=lambda fit: fit.gain).at_s)
    # Used only to determine the time, not as further evidence.
    tried += _tries(cells, span_s - np.linspace(*near, 33), base_s, looks)
    sharp = max(tried, key=lambda fit: fit.gain)
    likely = [fit.at_s for fit in tried if fit.gain >= sharp.gain - 3.3 * sharp.dispersion] or [sharp.at_s]
    at, low, high = (start_ns + int(moment * 1e9) for moment in (sharp.at_s, min(likely), max(likely)))
    came = sharp.share * sharp.expected
    return FeedState(best, at, low, high, sharp.share, sharp.expected, came, floor_s=floor_s), since_base


def _silence_floor(cells: _Cells, gaps: Array, tried: Sequence[_Fit], base_s: float, looks: int) -> float:
    """Return the shortest silence that would have been reported, in seconds.

    The labels of a silence are taken out of *cells* and the moments of *gaps* that can say enough are tried on the rest: a silence shorter
    than the shortest of these gaps is seen by it, too.
    """
    enough = [index for index, fit in enumerate(tried) if fit.ln_e_if_silent >= LEAST_LN_E][:_TELLING]
    if not enough:
        return float("nan")

    def is_reported(silence_s: float) -> bool:
        left = _expected(cells, cells.span_s - silence_s) / np.maximum(cells.expected, 1e-12)
        silent = cells._replace(counts=cells.counts * np.minimum(left, 1.0))
        return max(fit.ln_e for fit in _tries(silent, cells.span_s - gaps[enough], base_s, looks)) >= LEAST_LN_E

    low, high = 0.5 * float(gaps[enough[0]]), float(gaps[enough[0]])
    if is_reported(low):
        return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_reported(middle) else (middle, high)
    return _SILENCE_MARGIN * high


class _Fit(NamedTuple):
    """One moment tried: log-likelihood ratio *gain* at the best *share*, and the evidence had nothing come since."""

    at_s: float
    gain: float
    share: float
    expected: float
    dispersion: float
    ln_e: float
    ln_e_if_silent: float


def _cells(table: LabelTable, start_ns: int, base_s: float, span_s: float) -> _Cells | str:
    """Lay out arrived and expected labels; a sentence if the expectation is unknown."""
    as_of = start_ns + int(base_s * 1e9)
    curves = tuple(curve for curve in lag_curves(table, as_of_ns=as_of) if curve.labels >= 1 and curve.horizon_s > 0)
    if not curves:
        return "too few labels arrived in the first part of the period to know how many to expect"
    begin = (table.start_ns - start_ns) / 1e9
    length = (table.end_ns - table.start_ns) / 1e9
    rates = []
    for curve in curves:
        lags = table.lags[:, table.classes.index(curve.name)]
        youngest = table.youngest_s(as_of)
        certain = (LAG.upper_bounds_s()[None, :] <= youngest[:, None]) * lags
        # The incomplete bucket is not counted, so the expectation ends at the last complete one as well.
        full = LAG.upper_bounds_s()[np.maximum(np.searchsorted(LAG.upper_bounds_s(), youngest, side="right") - 1, 0)]
        due = table.rows * np.where(youngest > 0, curve.share_by(np.minimum(full, np.maximum(youngest, 0.0))), 0.0)
        rates.append(table.rows * float(certain.sum()) / max(float(due.sum()), 1e-12))
    counts = table.lags.sum(axis=1)
    made = _Cells(counts, np.zeros_like(counts), begin, length, np.array(rates), curves, span_s)
    return made._replace(expected=_expected(made, span_s))


def _expected(cells: _Cells, until_s: float) -> Array:
    """Return the labels per group and bucket to be expected until *until_s*."""
    total = np.zeros_like(cells.counts)
    at_edges = [_known(curve, _EDGES_S) for curve in cells.curves]
    # A group's predictions are spread over it: a label may be impossible for its last one and not for its first.
    for part in _SPREAD:
        age = until_s - cells.start_s - part * cells.length_s
        reach = np.maximum(age, _EDGES_S[0])[:, None]
        for rate, curve, whole in zip(cells.rates, cells.curves, at_edges, strict=True):
            # The share known by the earlier of an edge and the age: interpolated once at the edges and once per group, not for each pair.
            known = np.where(reach >= _EDGES_S[None, :], whole[None, :], _known(curve, reach))
            total += np.where(age[:, None] > 0, rate[:, None] * np.diff(known, axis=1), 0.0)
    return total / len(_SPREAD)


def _known(curve: LagCurve, age_s: Array) -> Array:
    """Return the share of labels expected within *age_s*, some of which may come at any time."""
    odd = _ODD * np.log(age_s / _EDGES_S[0]) / np.log(_EDGES_S[-1] / _EDGES_S[0])
    return np.asarray((1 - _ODD) * curve.share_by(age_s) + odd)


def _tries(cells: _Cells, moments_s: Array, base_s: float, looks: int) -> list[_Fit]:
    fits = []
    for moment in moments_s.tolist():
        before = _expected(cells, moment)
        after = np.maximum(cells.expected - before, 0.0)
        expected = float(after.sum())
        if expected < _LEAST_EXPECTED:
            fits.append(_Fit(moment, 0.0, 1.0, expected, 1.0, -np.inf, -np.inf))
            continue
        shares = _SHARES if cells.span_s - moment >= _SLOW_S else _SHARES[: _SHARES.index(STOPPED) + 1]
        gain, share = _best_share(cells.counts, cells.expected, before, after, shares)
        dispersion, size = _dispersion(cells, base_s, cells.span_s - moment, expected)
        # Of labels of which none comes the likelihood ratio is the number expected.
        ln_e, if_silent = (
            float(size / 2 * np.log1p(2 * max(each, 0.0) / (size * dispersion)) - np.log(_TRIES * looks))
            for each in (gain, expected)
        )
        fits.append(_Fit(moment, gain, share, expected, dispersion, ln_e, if_silent))
    return fits


def _best_share(
    counts: Array, whole: Array, before: Array, after: Array, shares: Sequence[float]
) -> tuple[float, float]:
    """Return the largest log-likelihood ratio of "a share of *after* came" and that share."""
    held = counts > 0
    came, full, early, late = counts[held], np.maximum(whole[held], 1e-12), before[held], after[held]
    best = (0.0, 1.0)
    for share in shares:
        # Rates that no row could have caused cannot be blamed on the feed: floored, so that one odd label costs 7 nats and no more.
        ratio = np.maximum((early + share * late) / full, 1e-3)
        gain = float((came * np.log(ratio)).sum() + (1 - share) * after.sum())
        if gain > best[0]:
            best = (gain, share)
    return best


def _dispersion(cells: _Cells, base_s: float, gap_s: float, expected: float) -> tuple[float, int]:
    """Return the dispersion of *expected* labels in *gap_s*, and the number of earlier blocks that it was learned from.

    The rate clusters, not the label, so the extra variance grows with the square of the expectation:
    ``1 + v * expected`` with the relative variance *v* of the rate between blocks, over blocks of the gap's length or shorter
    (then *v* declines as it does for independent blocks). Only lags whose bucket is short beside a block can be placed.
    """
    block_s = min(gap_s, base_s / _BLOCKS)
    certain = (cells.start_s[:, None] + _EDGES_S[None, 1:]) <= base_s
    certain &= (np.diff(_EDGES_S)[None, :] <= block_s / 4) & (cells.length_s[:, None] <= block_s / 4)
    blocks = max(int(base_s // block_s), 1)
    middle = np.sqrt(_EDGES_S[:-1] * _EDGES_S[1:])
    at = ((cells.start_s + cells.length_s / 2)[:, None] + middle[None, :])[certain]
    number = np.minimum((at // block_s).astype(np.int64), blocks - 1)
    came = np.bincount(number, cells.counts[certain], blocks)
    due = np.bincount(number, cells.expected[certain], blocks)
    used = due >= 1.0
    count = int(used.sum())
    if count < 2:
        return 1.0, 2
    extra = float(((came - due)[used] ** 2 - due[used]).sum() * count / (count - 1) / (due[used] ** 2).sum())
    return 1.0 + max(extra, 0.0) * expected * block_s / gap_s, count


def _neighbours(gaps: Array, gap: float) -> tuple[float, float]:
    at = int(np.abs(gaps - gap).argmin())
    return float(gaps[max(at - 1, 0)]), float(gaps[min(at + 1, gaps.size - 1)])
