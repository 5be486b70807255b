"""Measures of a canary: failures, slow calls, wrong answers and unsure answers, each as events among trials.

* **failures**: failed calls among all calls.
* **latency**: calls about as slow as the old version's 99th percentile, or slower. The bound of a step is that of the old version's calls
  before it, so it is fixed before it is used: of all of them or of the last `_RECENT`, whichever is lower. An hour in which both versions
  were slow would raise the former for the rest of the rollout, and a worse version could hide below it; one slow minute would raise the
  latter. While both are slow, more calls of both are above the bound, and they are compared within the same minute. A margin or an interval in times the p99 compares the new version's calls above a bound that
  many buckets away with the old version's calls above its own.
* **wrong answers**: of labelled rows, by lag class: predictions of one minute whose labels took equally long. A label that came early is a
  biased sample, and equally so in both versions.
* **confidence**: rows less sure than three in four of the old version's, by a bound that is fixed like that of latency.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from radiosonde.diagnose.canary.evidence import Known, cluster_sums
from radiosonde.diagnose.tail import split_tail
from radiosonde.diagnose.two_arms import Arms
from radiosonde.model import CONFIDENCE_BINS, LAGS, LATENCY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from radiosonde.diagnose.canary.rollout import Rollout
    from radiosonde.model import Window

    Counts = NDArray[np.int64]
    Numbers = NDArray[np.float64]

Subject = Literal["errors", "latency", "labels", "confidence"]
SUBJECTS: tuple[Subject, ...] = ("errors", "latency", "labels", "confidence")
"""The measures, by the names that a gate can require."""

MARGINS: Mapping[Subject, float] = {"errors": 0.005, "latency": 1.3, "labels": 0.02, "confidence": 0.05}
"""The largest difference that does not matter: in shares, and of latency as a factor of the p99."""

_TAIL, _LOW = 0.99, 0.25
_LEAST_RISE_S = 0.001
_RECENT = 2000
"""Rows of the old version that show its present level: 20 of them are above the 99th percentile."""
_OCTAVE = 1 << LATENCY.scale
_MULTIPLES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2, 2.5, 3, 4, 5, 7, 10, 15, 20, 30, 50, 70, 100)  # fmt: skip
_SHIFTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40)


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """One measure of a rollout.

    Attributes:
        subject: its name.
        arms: events and trials of the new version, and of the old one as the rest, shape (strata, steps).
        known: baseline of the old version before the first step, by stratum.
        cohort_of: row of the cohort of each stratum.
        margin: see `MARGINS`.
        values: grid of differences (of latency: logarithms of factors), ascending; both margins and 0 are among them.
        deltas: difference of the two rates under the null of each value.
        shifted: events of the new version and of the old one at each value, shape (layers, steps, grid) or (layers, steps, 1) each.
        at_limits: events of both at the lower margin, at half the upper one, and at the upper one, shape (strata, steps, 3) each.
        alike: rates of *at_limits* of two versions that are alike, shape (3,) each; of latency the old version's tails.
        layer_of: layer of each stratum; strata of a layer may be added up over cohorts.
        figures: the measure itself, of the old and of the new version: a share, or seconds.
        weight: weight of a counted trial; evidence is divided by it.
    """

    subject: Subject
    arms: Arms
    known: Known
    cohort_of: Counts
    margin: float
    values: Numbers
    deltas: Numbers
    shifted: tuple[Numbers, Numbers]
    at_limits: tuple[Counts, Counts]
    alike: tuple[Numbers, Numbers]
    layer_of: Counts
    figures: tuple[float, float]
    weight: float = 1.0

    @property
    def limit(self) -> float:
        """The margin in the unit of *values*."""
        return float(np.log(self.margin)) if self.subject == "latency" else self.margin

    @property
    def limit_deltas(self) -> Numbers:
        """Difference of the rates under the null, for the columns of *at_limits*."""
        return np.array([-1.0, 0.5, 1.0]) * (0.0 if self.subject == "latency" else self.margin)

    @property
    def both(self) -> NDArray[np.bool_]:
        """Strata that both versions serve."""
        return _served_by_both(self.arms)


def _served_by_both(arms: Arms) -> NDArray[np.bool_]:
    return np.asarray((arms.trials.sum(axis=1) > 0) & (arms.rest_trials.sum(axis=1) > 0), dtype=np.bool_)


def make_measures(rollout: Rollout, margins: Mapping[Subject, float]) -> dict[Subject, Measure]:
    """Return the measures of *rollout* that have data."""
    made = {
        "errors": _errors(rollout, margins["errors"]),
        "latency": _latency(rollout, margins["latency"]),
        "labels": _labels(rollout, margins["labels"]),
        "confidence": _confidence(rollout, margins["confidence"]),
    }
    return {subject: made[subject] for subject in SUBJECTS if made[subject] is not None}  # type: ignore[misc]


def _errors(rollout: Rollout, margin: float) -> Measure:
    failed, calls = (rollout.counted(count) for count in (lambda w, _: sum(w.errors.values()), lambda w, _: w.calls))
    return measure_of_shares("errors", margin, [failed], [calls])


def _labels(rollout: Rollout, margin: float) -> Measure | None:
    counted = [[rollout.counted(_outcomes(result, lag)) for result in ("incorrect", "correct")] for lag in LAGS]
    wrong = [each[0] for each in counted]
    labelled = [(a[0] + b[0], a[1] + b[1], a[2] + b[2]) for a, b in counted]
    if not any(part[0].any() for part in labelled):
        return None
    return measure_of_shares("labels", margin, wrong, labelled)


def _outcomes(result: str, lag: str) -> Callable[[Window, int], int]:
    """Return a function that counts the rows of one outcome with a label within one lag class."""
    key = (result, lag)

    def count(window: Window, _: int) -> int:
        labels = window.labels
        return 0 if labels is None else labels.outcomes.get(key, 0) - labels.retractions.get(key, 0)

    return count


def _confidence(rollout: Rollout, margin: float) -> Measure | None:
    history = np.zeros((rollout.axis.size + 1, CONFIDENCE_BINS), dtype=np.int64)
    for window, _ in rollout.before:
        history[0] += window.output.confidence.sum(axis=0)
    for window, is_new, _, step in rollout.windows:
        if not is_new:
            history[step + 1] += window.output.confidence.sum(axis=0)
    total = history.sum(axis=0)
    if not total.any():
        return None
    all_before, lately = _before(history)
    # The higher one: an hour in which both versions were unsure does not lower the bound for the rest of the rollout.
    bounds = np.maximum(_bounds(all_before, _LOW, total), _bounds(lately, _LOW, total))
    # For a model that is nearly always sure, the lowest non-empty bin is used.
    bounds = np.maximum(bounds, int(np.flatnonzero(total)[0]) + 1)
    bounds = np.minimum(bounds, CONFIDENCE_BINS - 1)
    unsure, last = _by_bound(rollout, bounds, lambda w, bound: int(w.output.confidence[:, :bound].sum()))
    rows = rollout.counted(lambda w, _: int(w.output.confidence.sum()))
    if not rows[0].any():
        return None
    made = measure_of_shares("confidence", margin, [unsure], [rows], _weight(rollout))
    return replace(made, known=made.known._replace(last=last))


def _by_bound(
    rollout: Rollout, bounds: Counts, count: Callable[[Window, int], int]
) -> tuple[tuple[Counts, Counts, Counts], tuple[Counts, Counts]]:
    """Return the counts by the bound of each step, as `Rollout.counted` does, and `Known.last`."""
    hits = rollout.counted(lambda window, step: count(window, int(bounds[step])))
    later = np.append(bounds[1:], bounds[-1])
    next_hits = rollout.counted(lambda window, step: count(window, int(later[step])))
    new, old = (
        np.concatenate([own[:, :1], part[:, :-1]], axis=1) for own, part in zip(hits[:2], next_hits[:2], strict=True)
    )
    return hits, (new, old)


def _clusters(hits: list[tuple[Counts, Counts, Counts]]) -> tuple[float, float, float]:
    sums = [cluster_sums(each[2].astype(np.float64)) for each in hits]
    return sum(each[0] for each in sums), sum(each[1] for each in sums), sum(each[2] for each in sums)


def _weight(rollout: Rollout) -> float:
    """Return the weight of a counted confidence: under load rows are sampled and weighted."""
    counted = [(window.output.evidence_ratio, int(window.output.confidence.sum())) for window, *_ in rollout.windows]
    return sum(rows for _, rows in counted) / max(sum(ratio * rows for ratio, rows in counted), 1e-9)


def _before(history: Counts) -> tuple[Counts, Counts]:
    """Return the counts before each step: all of them, and those of the last `_RECENT` rows or a little more.

    Args:
        history: counts before the first step, then those of each step, shape (steps + 1, bins).
    """
    total = history.cumsum(axis=0)[:-1]
    rows = total.sum(axis=1)
    first = np.searchsorted(rows, rows - _RECENT, side="right") - 1
    return total, np.where(first[:, None] >= 0, total - total[np.maximum(first, 0)], total)


def _bounds(history: Counts, rank: float, total: Counts) -> Counts:
    """Return the bin of quantile *rank* of the data before each step; of all data if there is none."""
    seen = np.where(history.sum(axis=1, keepdims=True) > 0, history, total)
    return np.asarray((seen.cumsum(axis=1) < rank * seen.sum(axis=1, keepdims=True)).sum(axis=1), dtype=np.int64)


def measure_of_shares(
    subject: Subject, margin: float,
    hits: list[tuple[Counts, Counts, Counts]], trials: list[tuple[Counts, Counts, Counts]], weight: float = 1.0,
) -> Measure:  # fmt: skip
    """Return the measure of events among trials.

    Args:
        subject: its name.
        margin: the largest difference that does not matter.
        hits: events by layer: of the new version and of the old one, shape (cohorts, steps), and of the old one before, shape (cohorts,
        steps before). trials: trials, alike. weight: see `Measure`.
    """
    arms = Arms(
        np.concatenate([each[0] for each in hits]), np.concatenate([each[0] for each in trials]),
        np.concatenate([each[1] for each in hits]), np.concatenate([each[1] for each in trials]),
    )  # fmt: skip
    known = Known(
        np.concatenate([each[2].sum(axis=1) for each in hits]),
        np.concatenate([each[2].sum(axis=1) for each in trials]),
        _clusters(hits),
    )
    rows = hits[0][0].shape[0]
    layer_of, cohort_of = np.repeat(np.arange(len(hits)), rows), np.tile(np.arange(rows), len(hits))
    values = np.array([-m * margin for m in reversed(_MULTIPLES)] + [0.0] + [m * margin for m in _MULTIPLES])
    values = values[np.abs(values) < 0.999]
    old, new = (
        float(h.sum() / max(t.sum(), 1)) for h, t in ((arms.rest_hits, arms.rest_trials), (arms.hits, arms.trials))
    )
    both = _served_by_both(arms)
    shifted = np.zeros((2, len(hits), arms.hits.shape[1], 1))
    for table, part in zip(shifted, (arms.hits, arms.rest_hits), strict=True):
        np.add.at(table, layer_of[both], part[both][..., None])
    done = float(arms.hits[both].sum() + arms.rest_hits[both].sum())
    rate = np.full(3, done / max(float(arms.trials[both].sum() + arms.rest_trials[both].sum()), 1.0))
    repeated = np.repeat(arms.hits[..., None], 3, axis=2), np.repeat(arms.rest_hits[..., None], 3, axis=2)
    return Measure(
        subject, arms, known, cohort_of, margin, values, values, (shifted[0], shifted[1]), repeated, (rate, rate),
        layer_of, (old, new), weight,
    )  # fmt: skip


def _latency(rollout: Rollout, margin: float) -> Measure:
    size = rollout.axis.size
    history = np.zeros((size + 1, LATENCY.size), dtype=np.int64)
    for window, _ in rollout.before:
        history[0] += window.latency.counts
    for window, is_new, _, step in rollout.windows:
        if not is_new:
            history[step + 1] += window.latency.counts
    total = history.sum(axis=0)
    all_before, lately = _before(history)
    # Above the bucket below that of the percentile there is at least one in a hundred of the old version's calls, even if all calls take
    # the same time. That bound is used against "slower", the one above it against "faster", so that both can be ruled out.
    bounds = np.maximum(np.minimum(_bounds(all_before, _TAIL, total), _bounds(lately, _TAIL, total)) - 1, 0)
    steps = _margin_steps(margin, float(LATENCY.upper_bounds_s()[_bounds(history[:1], _TAIL, total)[0]]))
    shifts = np.array(sorted({sign * shift for shift in (*_SHIFTS, steps) for sign in (-1, 1)} | {0}))
    limits = np.array([-steps, (steps + 1) // 2, steps])
    slow, last = _by_bound(rollout, bounds, lambda w, bound: int(w.latency.counts[bound + 1 :].sum()))
    calls = rollout.counted(lambda w, _: int(w.latency.counts.sum()))
    arms = Arms(slow[0], calls[0], slow[1], calls[1])
    both = _served_by_both(arms)
    beyond = np.zeros((2, 1, size, shifts.size))
    at_limits = np.zeros((2, len(rollout.cohorts), size, 3), dtype=np.int64)
    tails = np.zeros((2, 3))
    for window, is_new, row, step in rollout.windows:
        if both[row]:
            above = np.append(window.latency.counts[::-1].cumsum()[::-1], 0)
            for wanted, table in ((shifts, beyond[:, 0, step]), (limits, at_limits[:, row, step])):
                base = bounds[step] + 1 + (wanted < 0)
                table[1 - is_new] += above[np.clip(base + (wanted if is_new else 0), 0, LATENCY.size)]
                if not is_new and wanted is limits:
                    tails += above[np.clip(np.stack([base + wanted, base]), 0, LATENCY.size)]
    rows = np.arange(len(rollout.cohorts))
    tails /= max(float(arms.rest_trials[both].sum()), 1.0)
    return Measure(
        "latency", arms, Known(slow[2].sum(axis=1), calls[2].sum(axis=1), _clusters([slow]), last), rows, float(2 ** (steps / _OCTAVE)), shifts * np.log(2.0) / _OCTAVE,
        np.zeros(shifts.size), (beyond[0], beyond[1]), (at_limits[0], at_limits[1]), (tails[0], tails[1]),
        np.zeros(rows.size, dtype=np.int64), (_quantile(rollout, is_new=False), _quantile(rollout, is_new=True)),
    )  # fmt: skip


def _margin_steps(margin: float, p99_s: float) -> int:
    """Return the number of buckets for a factor of *margin*, or for a millisecond if that is more: for a fast model, less is irrelevant."""
    return max(1, round(math.log2(margin) * _OCTAVE), round(math.log2(1 + _LEAST_RISE_S / p99_s) * _OCTAVE))


def _quantile(rollout: Rollout, *, is_new: bool) -> float:
    counts = np.zeros(LATENCY.size, dtype=np.int64)
    for window, mine, _, _ in rollout.windows:
        if mine == is_new:
            counts += window.latency.counts
    tail = split_tail(counts, np.zeros((1, LATENCY.size)), _TAIL)
    return float("nan") if tail is None else tail.quantile_s
