"""Have the slow calls become slower? Over time, and one version against the others.

Detection counts calls above fixed thresholds (the median, and half octaves of the slowest tenth), because counts are exact
and their noise is known; what is reported is the tail: p99 and the mean above it, split over phases. A change matters when
the tail grew by half and by 10 ms: a busy neighbour does less than that all the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.arm_search import ArmProblem, find_bad_arms
from radiosonde.diagnose.panel import slow_calls
from radiosonde.diagnose.share_scan import MACHINE_H, MACHINE_LN_E, block_steps, scan_share
from radiosonde.diagnose.tail import Tail, bucket_at, mix_and_within, split_tail
from radiosonde.model import LATENCY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.panel import Panel
    from radiosonde.diagnose.scan import Step
    from radiosonde.model import Window

ARM_RANKS = (0.5, 0.98)
MAX_THRESHOLDS = 16
MIN_RATIO = 1.5
MIN_RISE_S = 0.010


class Slower(NamedTuple):
    """The tail grew.

    Attributes:
        arm: the arm that is slower than the others; None when the change is over time.
        cohort: cohort of the arm; ``""`` for all.
        ln_e: evidence.
        onset: (best, earliest, latest) first step.
        end: one past the last affected step.
        before: tail before, or of the other arms.
        after: tail after, or of the arm.
        hits: calls above the threshold, shape (series, steps).
        threshold_s: the threshold.
        mix: part of the rise of the slow share that comes from the mix of versions and cohorts.
        within: the rest.
    """

    arm: int | None
    cohort: str
    ln_e: float
    onset: tuple[int, int, int]
    end: int
    before: Tail
    after: Tail
    hits: NDArray[np.int64]
    threshold_s: float
    mix: float
    within: float


def slower_arms(panel: Panel, windows: Sequence[Window]) -> list[Slower]:
    """Return the versions whose tail is slower than that of the others in the same cohorts and steps."""
    if len(panel.arms) < 2:
        return []
    total = panel.latency.sum(axis=(0, 1))
    best: dict[int, Slower] = {}
    for rank in ARM_RANKS:
        bucket = bucket_at(total, rank)
        hits = slow_calls(panel, windows, bucket)
        for problem in find_bad_arms(panel, hits[None], panel.calls[None], min_hits=10, min_gap=0.005, dispersion=2.0):
            slower = _arm(panel, problem, hits, bucket)
            if slower is not None and (problem.arm not in best or slower.ln_e > best[problem.arm].ln_e):
                best[problem.arm] = slower
    return list(best.values())


def slower_since(panel: Panel, windows: Sequence[Window], explained: Sequence[Slower]) -> Slower | None:
    """Return the strongest lasting rise of the tail over time, arms that are slow on their own left out."""
    arms = np.array([arm not in {slower.arm for slower in explained} for arm in range(len(panel.arms))])
    if not arms.any():
        return None
    rows = arms[panel.arm_of]
    counts = panel.latency[arms].sum(axis=0)
    calls = panel.calls[rows].sum(axis=0).astype(np.float64)
    thresholds = _thresholds(counts.sum(axis=0))
    best: tuple[Step, tuple[int, int, int]] | None = None
    chosen = 0
    for bucket in thresholds:
        hits = counts[:, bucket + 1 :].sum(axis=1).astype(np.float64)
        found = scan_share(
            panel.axis, hits, calls, block_steps(panel.axis, MACHINE_H), min_rise=0.003, ratio=0.2, least=MACHINE_LN_E
        )
        if found is not None and (best is None or found[0].ln_e > best[0].ln_e):
            best, chosen = found, bucket
    if best is None or best[0].ln_e - np.log(len(thresholds)) < MACHINE_LN_E:
        return None
    step = best[0]._replace(ln_e=best[0].ln_e - float(np.log(len(thresholds))))
    return _over_time(panel, arms, rows, (step, best[1]), slow_calls(panel, windows, chosen), chosen)


def _thresholds(counts: NDArray[np.int64]) -> list[int]:
    """Return the buckets to count above: the median, and every half octave of the slowest tenth.

    Where ordinary and slow calls part is not known beforehand, and just there a count says most.
    """
    first, last = bucket_at(counts, 0.9), bucket_at(counts, 0.999)
    stride = max((1 << LATENCY.scale) // 2, -(-(last - first) // MAX_THRESHOLDS))
    return sorted({bucket_at(counts, 0.5), *range(first, last + 1, stride)})


def _arm(panel: Panel, problem: ArmProblem, hits: NDArray[np.int64], bucket: int) -> Slower | None:
    mine = np.arange(len(panel.arms)) == problem.arm
    steps = np.arange(panel.axis.size) >= problem.verdict.start
    before, after = _tail(panel, ~mine, steps), _tail(panel, mine, steps)
    if before is None or after is None or not _matters(before, after):
        return None
    verdict = problem.verdict
    rows = mine[panel.arm_of]
    mix, within = _mix(panel, hits, ~rows, rows, steps, steps)
    onset = (verdict.start, verdict.earliest, verdict.latest)
    return Slower(
        problem.arm,
        problem.cohort,
        verdict.ln_e,
        onset,
        panel.axis.size,
        before,
        after,
        hits,
        _bound(bucket),
        mix,
        within,
    )


def _over_time(
    panel: Panel, arms: NDArray[np.bool_], rows: NDArray[np.bool_], found: tuple[Step, tuple[int, int, int]], hits: NDArray[np.int64], bucket: int
) -> Slower | None:  # fmt: skip
    step, onset = found
    inside = np.zeros(panel.axis.size, dtype=bool)
    inside[onset[0] : step.end] = True
    before, after = _tail(panel, arms, ~inside), _tail(panel, arms, inside)
    if before is None or after is None or not _matters(before, after):
        return None
    mix, within = _mix(panel, hits, rows, rows, ~inside, inside)
    return Slower(None, "", step.ln_e, onset, step.end, before, after, hits, _bound(bucket), mix, within)


def _tail(panel: Panel, arms: NDArray[np.bool_], steps: NDArray[np.bool_]) -> Tail | None:
    return split_tail(
        panel.latency[arms][:, steps].sum(axis=(0, 1)), panel.phase_sums_s[arms][:, :, steps].sum(axis=(0, 2))
    )


def _mix(
    panel: Panel, hits: NDArray[np.int64], rows_before: NDArray[np.bool_], rows_after: NDArray[np.bool_],
    before: NDArray[np.bool_], after: NDArray[np.bool_],
) -> tuple[float, float]:  # fmt: skip
    """Split the rise over cohorts (and arms, when both sides have the same)."""
    same = bool((rows_before == rows_after).all())
    labels = [key if same else key.cohort for key in panel.keys]
    names = sorted(set(labels))
    group = np.array([names.index(label) for label in labels])
    sums = [
        np.bincount(group[rows], table[rows][:, steps].sum(axis=1), len(names)).astype(np.int64)
        for rows, steps in ((rows_before, before), (rows_after, after))
        for table in (hits, panel.calls)
    ]
    return mix_and_within(*sums)


def _matters(before: Tail, after: Tail) -> bool:
    rise = after.shortfall_s - before.shortfall_s
    return rise >= MIN_RISE_S and after.shortfall_s >= MIN_RATIO * before.shortfall_s


def _bound(bucket: int) -> float:
    return float(LATENCY.upper_bounds_s()[bucket])
