"""Measures changes of the latency tail, over time and between versions.

Detection counts calls above bounds (`radiosonde.diagnose.latency_incidents`; versions: the median and the 98th percentile), because counts
are exact and their noise is known; the reported figures are those of the tail: p99 and the mean above it, split over phases. A change
matters when the tail grew by half and by 10 ms: a busy neighbour does less than that all the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.arm_search import ArmProblem, find_bad_arms
from radiosonde.diagnose.panel import slow_calls
from radiosonde.diagnose.tail import Tail, bucket_at, mix_and_within, split_tail
from radiosonde.model import LATENCY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.latency_incidents import SlowSpan
    from radiosonde.diagnose.panel import Axis, Panel
    from radiosonde.model import Window

ARM_RANKS = (0.5, 0.98)
MIN_RATIO = 1.5
MIN_RISE_S = 0.010


class Slower(NamedTuple):
    """The tail grew.

    Attributes:
        arm: the arm that is slower, than the others or than before; None when the change is of all.
        cohort: cohort that is slower; ``""`` for all.
        ln_e: evidence.
        onset: (best, earliest, latest) first step.
        end: one past the last affected step.
        before: tail before, or of the other arms.
        after: tail after, or of the arm.
        hits: calls above the threshold, shape (series, steps).
        threshold_s: the threshold.
        mix: part of the rise of the slow share that comes from the mix of versions and cohorts.
        within: the rest.
        against_others: *before* is the tail of the other versions at the same time, not that of the time before.
        counts_before: the calls of *before* by latency bucket, shape (240,).
        counts_after: the calls of *after*, same shape.
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
    against_others: bool
    counts_before: NDArray[np.int64]
    counts_after: NDArray[np.int64]

    def far_slower(self, bound_s: float, *, only_added: bool) -> float:
        """Return the share of the calls after that took longer than *bound_s*; with *only_added*, beyond the share before."""
        first = int(np.searchsorted(LATENCY.upper_bounds_s(), bound_s * (1 - 1e-9))) + 1
        now, was = (
            float(counts[first:].sum() / max(counts.sum(), 1)) for counts in (self.counts_after, self.counts_before)
        )
        return max(now - was, 0.0) if only_added else now


def slower_arms(panel: Panel, windows: Sequence[Window]) -> list[Slower]:
    """Return the versions with a slower tail than the others in the same cohorts and steps."""
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


def slower_since(
    panel: Panel, windows: Sequence[Window], span: SlowSpan, faults: Sequence[SlowSpan] = ()
) -> Slower | None:
    """Return the change of the tail that *span* found; None where it does not matter.

    Neither the time of the span nor that of other faults is what is usual, if there is time without them.

    Args:
        panel: the time of the span and as much before it as it is compared with; of the cohort of the span alone, if it has one.
        windows: the windows of *panel*.
        span: since when and where calls are slower.
        faults: all spans in which calls were slower.
    """
    axis = panel.axis
    start, earliest, latest = (axis.index(at_ns) for at_ns in (span.start_ns, span.earliest_ns, span.latest_ns))
    end = _end(axis, span)
    inside = np.zeros(axis.size, dtype=bool)
    inside[start : end if span.judged_ns is None else axis.index(span.judged_ns)] = True
    outside = np.ones(axis.size, dtype=bool)
    outside[start:end] = False
    usual = outside.copy()
    for fault in faults:
        usual[axis.index(fault.start_ns) : _end(axis, fault)] = False
    if panel.calls[:, usual].any():
        outside = usual
    mine = np.array(
        [span.place.version in ("", version) and span.place.variant in ("", variant) for version, variant in panel.arms]
    )
    is_arm = bool(span.place.version or span.place.variant) and not mine.all()
    after, own = _tail(panel, mine, inside), _tail(panel, mine, outside)
    others = _tail(panel, ~mine, inside) if is_arm else None
    past = own or others
    if past is None or after is None or not _matters(past, after):
        return None
    against_others = others is not None and _matters(others, after)
    before = others if others is not None and against_others else past
    former = _counts(panel, ~mine, inside) if before is others else _counts(panel, mine, outside)
    hits = slow_calls(panel, windows, span.bucket)
    rows = mine[panel.arm_of]
    mix, within = _mix(panel, hits, rows, rows, outside, inside)
    arm = int(np.flatnonzero(mine)[0]) if is_arm else None
    return Slower(
        arm, span.place.cohort, span.ln_e, (start, earliest, latest), end, before, after, hits, _bound(span.bucket), mix, within,
        against_others=against_others, counts_before=former, counts_after=_counts(panel, mine, inside),
    )  # fmt: skip


def _end(axis: Axis, span: SlowSpan) -> int:
    return axis.size if span.end_ns is None else axis.index(span.end_ns - 1) + 1


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
        against_others=True,
        counts_before=_counts(panel, ~mine, steps),
        counts_after=_counts(panel, mine, steps),
    )


def _tail(panel: Panel, arms: NDArray[np.bool_], steps: NDArray[np.bool_]) -> Tail | None:
    return split_tail(_counts(panel, arms, steps), panel.phase_sums_s[arms][:, :, steps].sum(axis=(0, 2)))


def _counts(panel: Panel, arms: NDArray[np.bool_], steps: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.asarray(panel.latency[arms][:, steps].sum(axis=(0, 1)), dtype=np.int64)


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
