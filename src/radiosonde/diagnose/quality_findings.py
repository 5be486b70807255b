"""Detects increases of the corrected error rate, and whether the scores predict them.

Each step of time has a weighted error rate and an effective number of rows (Kish: the square of the summed weights over the sum of
squares), so early windows with few labels count for little. Rises, evidence and usual variation are defined as in
`radiosonde.diagnose.share_scan`.

Only causes that tables of labels can distinguish are reported: confidences, calibrated on the time before, predict an error rate. The
excess is a change of P(label | score). If the scores themselves are spread as
before, that is concept drift, since a shift of class shares or of inputs would have moved them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.error_signals import series_of
from radiosonde.diagnose.finding import Evidence, Finding, Onset, Place, Timeline, confidence
from radiosonde.diagnose.next_steps import look_at_outcomes, look_before
from radiosonde.diagnose.share_scan import WORLD_H, block_steps, scan_share
from radiosonde.model.percent import percent
from radiosonde.quality import METRICS, calibration, class_weights, expected_joint, label_table, weighted_joint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.arm_search import ArmProblem
    from radiosonde.diagnose.finding import Severity
    from radiosonde.diagnose.panel import Panel
    from radiosonde.quality import LabelColumns, LabelTable, LagCurve, Weights

MIN_RISE, RATIO = 0.03, 0.25
"""Least rise that matters, and as a part of the rate before: finer than for raw outcomes, which move with coverage too."""

_MOST, _LEAST = 2 / 3, 1 / 3
_SAME_SCORES = 0.1
"""Total variation between the score tables of two times up to which they count as the same."""


class _Split(NamedTuple):
    """Error rates before and since, the rate expected from scores since, and the shift of the scores."""

    before: float
    after: float
    foreseen: float
    moved: float


class CorrectedRate(NamedTuple):
    """Wrong and all labels per step of the panel, early ones weighted for missing ones, as numbers of independent rows.

    Attributes:
        table: the labels by group of time.
        steps: step of the panel of each group.
        hits: wrong labels per step.
        totals: all labels per step.
    """

    table: LabelTable
    steps: NDArray[np.int64]
    hits: NDArray[np.float64]
    totals: NDArray[np.float64]


def corrected_rate(
    panel: Panel,
    labels: LabelColumns,
    curves: tuple[LagCurve, ...],
    as_of_ns: int,
    explained: Sequence[ArmProblem],
) -> CorrectedRate | None:
    """Return the corrected error rate of all versions together; None where no label can be used.

    Args:
        panel: counts of the model.
        labels: labels and answers of its windows.
        curves: lag curves of its labels, none refused.
        as_of_ns: time of the label counts.
        explained: versions with a separate finding, which are excluded.
    """
    blamed = np.zeros(len(panel.keys), dtype=bool)
    for problem in explained:
        blamed |= series_of(panel, problem)
    out = {key for key, is_blamed in zip(panel.keys, blamed, strict=True) if is_blamed}
    axis = panel.axis
    table = label_table(labels.of({*labels.keys} - out), as_of_ns=as_of_ns, step_ns=axis.step_ns)
    if not table.pairs.size:
        return None
    steps = np.array([axis.index(int(middle)) for middle in (table.start_ns + table.end_ns) // 2])
    return CorrectedRate(table, steps, *_effective(table, class_weights(table, curves), steps, axis.size))


def corrected_drops(panel: Panel, rate: CorrectedRate, curves: tuple[LagCurve, ...]) -> list[Finding]:
    """Return the finding that the corrected error rate of all versions together rose, if it did.

    Args:
        panel: counts of the model.
        rate: its corrected error rate.
        curves: lag curves of its labels, none refused.
    """
    axis = panel.axis
    table, steps, hits, totals = rate
    found = scan_share(axis, hits, totals, block_steps(axis, WORLD_H), min_rise=MIN_RISE, ratio=RATIO)
    if found is None:
        return []
    step, (start, earliest, latest) = found
    # The newest steps weigh little: whether a rise is over takes a quarter of the labels that showed it.
    is_over = totals[step.end :].sum() >= totals[step.start : step.end].sum() / 4
    ended = axis.at_ns(step.end) if is_over else None
    inside = (steps >= start) & (steps < (step.end if is_over else axis.size))
    split = _split(table, curves, inside)
    onset = Onset(axis.at_ns(start), axis.at_ns(earliest), axis.at_ns(latest), ended)
    where = Place(panel.model)
    severity: Severity = "ticket" if ended is None else "info"
    rates = [float(hit / total) if total else None for hit, total in zip(hits, totals, strict=True)]
    return [
        Finding(
            "quality.corrected.all", "quality", severity,
            f"wrong answers rose from {percent(split.before, 3)} to {percent(split.after, 3)}, corrected for missing labels",
            _verdict(split), where, onset, confidence(step.ln_e), _evidence(split),
            (look_at_outcomes(where, onset), look_before(where, onset)),
            (Timeline("corrected error rate", "share", axis.starts(), (("all", rates),)),),
        )
    ]  # fmt: skip


def _effective(
    table: LabelTable, weights: Weights, steps: NDArray[np.int64], size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return wrong and all labels per step, in numbers of independent rows."""
    each = weights.values[:, table.pairs[:, 1]]
    counts = table.joint[..., 0].sum(axis=2)
    is_wrong = table.pairs[:, 0] != table.pairs[:, 1]
    mass, square, wrong = (
        np.bincount(steps, part.sum(axis=1), size)
        for part in (each * counts, each**2 * counts, (each * counts)[:, is_wrong])
    )
    totals = np.divide(mass**2, square, out=np.zeros(size), where=square > 0)
    return np.divide(wrong * totals, mass, out=np.zeros(size), where=mass > 0), totals


def _split(table: LabelTable, curves: tuple[LagCurve, ...], inside: NDArray[np.bool_]) -> _Split:
    after, before = table.where(inside), table.where(~inside)
    joints = [weighted_joint(part, class_weights(part, curves)) for part in (before, after)]
    held = calibration(table.classes, joints[0])
    rate = METRICS["error_rate"]
    scores = [part.predicted[..., 0].sum(axis=0) for part in (before, after)]
    shares = [part / max(float(part.sum()), 1.0) for part in scores]
    moved = float(np.abs(shares[0] - shares[1]).sum()) / 2
    foreseen = rate(expected_joint(after, held), None).value
    return _Split(rate(joints[0], None).value, rate(joints[1], None).value, foreseen, moved)


def _verdict(split: _Split) -> str:
    beyond = (split.after - split.foreseen) / max(split.after - split.before, 1e-9)
    if beyond <= _LEAST:
        return "The scores predicted it: predictions moved to where the model was always weaker. The inputs changed (covariate shift), not their relation to the labels."
    if beyond >= _MOST and split.moved <= _SAME_SCORES:
        return "The distribution of scores is unchanged, but they are wrong more often: the relation of inputs and labels has changed (concept drift), or the meaning of a label."
    return (
        "Scores moved, and are wrong more often than before at the same score: a change of class shares, concept drift, or corrupt "
        "features; labels by score alone cannot distinguish these."
    )


def _evidence(split: _Split) -> tuple[Evidence, ...]:
    return (
        Evidence("error_before", round(split.before, 5), "share", f"{percent(split.before, 3)} of the answers were wrong before, with labels weighted for their lag"),
        Evidence("error_after", round(split.after, 5), "share", f"{percent(split.after, 3)} are wrong since"),
        Evidence("error_foreseen", round(split.foreseen, 5), "share", f"{percent(split.foreseen, 3)} would be expected from the new scores at the former error rates"),
        Evidence("scores_moved", round(split.moved, 5), "share", f"{percent(split.moved, 3)} of the predictions have moved to other scores (0 is none, 100 % all)"),
    )  # fmt: skip
