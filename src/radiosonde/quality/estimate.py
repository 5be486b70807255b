"""A quality estimate with its interval and coverage, or the reason for its absence.

`assess` estimates one score in four ways: *raw* (arrived labels, unweighted), *corrected* (labels weighted for missing ones), *cbpe* (no
labels, confidence only) and *mixed* (arrived labels, confidence for the rest). *corrected* is the one to alert on; *mixed* is the least
noisy level; *raw* is shown for comparison; *cbpe* is the only one before any label.

Intervals are 95 %: sampling variance by the delta method (the larger of independent rows, and of the spread between groups of
windows, which knows that rows of one hour are alike) plus the variance of the weights, which have been estimated too.
A share gets Wilson's interval at the effective number of rows, so it stays within [0, 1] and has a width at 0 errors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

import numpy as np

from radiosonde.model.percent import percent
from radiosonde.quality.cbpe import Calibration, calibration, expected_joint, mixed_joint
from radiosonde.quality.columns import Array
from radiosonde.quality.lags import MIN_AT_RISK, LagCurve, lag_drift
from radiosonde.quality.scores import METRICS, Joint, Score, tied
from radiosonde.quality.table import LabelTable
from radiosonde.quality.weights import MIN_COVERAGE, Weights, class_weights

Kind = Literal["raw", "corrected", "cbpe", "mixed"]

_Z: Final = 1.959964
_MIN_GROUPS = 10
_RARE, _MOST_TIED = 0.01, 0.2


@dataclass(frozen=True, slots=True)
class Estimate:
    """One figure.

    Attributes:
        value: the figure; NaN when refused.
        low: lower end of its 95 % interval.
        high: upper end.
        coverage: estimated share of final labels that has arrived for the predictions it is about; NaN unknown.
        rows: labelled rows in the estimate; for *cbpe* and *mixed* all rows.
        kind: kind of estimate.
        refused: reason for a missing figure; ``""`` otherwise.
        until_ns: end of the newest windows in the estimate.
    """

    value: float
    low: float
    high: float
    coverage: float
    rows: int
    kind: Kind
    refused: str = ""
    until_ns: int = 0


class Assessment(NamedTuple):
    """One score of the same rows, four ways.

    Attributes:
        metric: name in `radiosonde.quality.scores.METRICS`.
        positive: the class that a precision, recall or AUC is about; ``""`` for the others.
    """

    metric: str
    positive: str
    raw: Estimate
    corrected: Estimate
    cbpe: Estimate
    mixed: Estimate


def assess(
    table: LabelTable,
    curves: tuple[LagCurve, ...],
    *,
    metric: str = "error_rate",
    positive: str | None = None,
    min_coverage: float = MIN_COVERAGE,
    calibrated: Calibration | None = None,
) -> Assessment:
    """Return one score of a classifier on the predictions of *table*.

    Args:
        table: the predictions to judge.
        curves: lag curves, from all windows there are.
        metric: name in `radiosonde.quality.scores.METRICS`.
        positive: class for precision, recall or AUC; of two classes the second in sorted order by default.
        min_coverage: least coverage of the slowest class; below it there is no estimate.
        calibrated: calibration of the confidence from mature windows; None: confidence is used uncalibrated.
    """
    weights = class_weights(table, curves, min_coverage=min_coverage)
    held = calibrated or calibration(table.classes)
    ones = replace(weights, values=np.ones_like(weights.values), mature=np.ones_like(weights.mature), curves={})
    refused = refusal(table, curves, weights, min_coverage=min_coverage)
    name = (
        ""
        if metric not in {"precision", "recall", "auc"}
        else positive or (table.classes[1] if len(table.classes) == 2 else "")
    )
    joint = weighted_joint(table, ones)
    raw_reason = "" if joint.rows.sum() >= MIN_AT_RISK else _few(joint.rows.sum())
    basis = _Basis(table, metric, positive, weights, held)
    unknown_mix = next((curve.refused for curve in curves if curve.refused), "") or _unlabelled(table, curves)
    return Assessment(
        metric,
        name,
        _measured(basis, ones, "raw", raw_reason),
        _measured(basis, weights, "corrected", refused),
        _modelled(basis, expected_joint(table, held), "cbpe", ""),
        _modelled(basis, mixed_joint(table, weights, held), "mixed", unknown_mix),
    )


def weighted_joint(table: LabelTable, weights: Weights) -> Joint:
    """Return the labelled rows of *table*, weighted for missing labels."""
    if not table.pairs.size:
        return Joint(table.classes, table.pairs, np.zeros((0, *table.joint.shape[2:])))
    return Joint(
        table.classes, table.pairs, np.einsum("gk,gkbs->kbs", weights.values[:, table.pairs[:, 1]], table.joint)
    )


def refusal(
    table: LabelTable, curves: tuple[LagCurve, ...], weights: Weights, *, min_coverage: float = MIN_COVERAGE
) -> str:
    """Return why labels of *table* cannot be weighted; ``""`` when they can."""
    if not table.lags.any():
        return (
            "no label of these predictions has arrived" if not table.joint.any() else "these windows hold no label lags"
        )
    for curve in curves:
        if curve.refused:
            return curve.refused
    for drift in lag_drift(table):
        if drift.is_material:
            pace = "slower" if drift.z > 0 else "faster"
            return f"labels of class {drift.name} have become {pace}: arrived labels cannot be weighted"
    if missing := _unlabelled(table, curves):
        return missing
    if not weights.mature.any():
        rows = [row for row in weights.curves if weights.coverage[:, row].max() <= weights.slowest + 1e-12]
        name = table.classes[rows[0]] if rows else ""
        return f"at most {percent(weights.slowest)} of the labels of class {name} have arrived, estimated; {percent(min_coverage)} are needed"
    labels = float(table.lags[weights.mature].sum())
    return _few(labels) if labels < MIN_AT_RISK else ""


def _unlabelled(table: LabelTable, curves: tuple[LagCurve, ...]) -> str:
    """Name a class that is predicted and was never seen as a label: it may be the slow one."""
    counts = table.predicted[..., 0].sum(axis=(0, 2))
    known = {curve.name for curve in curves}
    for row, name in enumerate(table.classes):
        if name not in known and counts[row] > _RARE * counts.sum():
            return f"no label of class {name} has arrived yet, so their lag is unknown"
    return ""


def _few(labels: float) -> str:
    return f"{int(labels)} labels have arrived; at least {MIN_AT_RISK} are needed"


class _Basis(NamedTuple):
    """Inputs of a score."""

    table: LabelTable
    metric: str
    positive: str | None
    weights: Weights
    held: Calibration


def _measured(basis: _Basis, weights: Weights, kind: Kind, refused: str) -> Estimate:
    """Return a score of labelled rows."""
    metric, whole = basis.metric, basis.weights
    table = basis.table.by_odds() if metric == "auc" else basis.table
    mature = weights.mature
    labelled = table.lags[mature].sum(axis=(0, 2))
    rows = int(table.joint[mature][..., 0].sum()) if table.pairs.size else 0
    until = int(table.end_ns[mature].max()) if mature.any() else 0
    coverage = overall_coverage(table.rows[mature], whole.coverage[mature], labelled)
    joint = weighted_joint(table, weights)
    score = METRICS[metric](joint, basis.positive)
    if refused or not np.isfinite(score.value):
        return refusing(kind, refused or "these rows do not determine it", coverage, rows, until)
    variance = _variance(table, weights, score)
    mass = np.einsum("gk,gkb->kb", weights.values[:, table.pairs[:, 1]] ** 2, table.joint[..., 0])
    kish = float(joint.rows.sum()) ** 2 / max(float(mass.sum()), 1e-12)
    low, high = share_interval(score.value, variance, kish)
    return Estimate(score.value, low, high, coverage, rows, kind, "", until)


def _variance(table: LabelTable, weights: Weights, score: Score) -> float:
    """Return the variance of a score of weighted rows."""
    each = weights.values[:, table.pairs[:, 1]]
    counts = table.joint[..., 0]
    by_row = float(np.einsum("gk,gkb,kb->", each**2, counts, score.influence**2))
    # How much the score follows each group's labels of each class.
    pull = np.einsum("gk,gkb,kb->gk", each, counts, score.influence)
    groups = pull.sum(axis=1)[weights.mature & (counts.sum(axis=(1, 2)) > 0)]
    by_group = float((groups**2).sum()) * groups.size / max(groups.size - 1, 1) if groups.size >= _MIN_GROUPS else 0.0
    by_lag = 0.0
    for row in weights.curves:
        mine = pull[:, table.pairs[:, 1] == row].sum(axis=1)
        by_lag += float(mine @ weights.log_covariance(row) @ mine)
    return max(by_row, by_group) + by_lag


def _modelled(basis: _Basis, joint: Joint, kind: Kind, refused: str) -> Estimate:
    """Return a score of rows whose labels are, in whole or in part, expected ones."""
    table, metric, weights, held = basis.table, basis.metric, basis.weights, basis.held
    rows = int(joint.rows.sum().round())
    until = int(table.end_ns.max()) if table.end_ns.size else 0
    coverage = overall_coverage(table.rows, weights.coverage, table.lags.sum(axis=(0, 2)))
    if not table.predicted[:, :, :-1, 0].any():
        return refusing(kind, "the outputs have no confidence", coverage, rows, until)
    score = METRICS[metric](joint, basis.positive)
    if metric == "auc" and (ties := tied(joint, basis.positive)) > _MOST_TIED:
        refused = refused or f"{percent(ties)} of the pairs have confidences in the same bin: AUC needs labels here"
    if metric == "recall" and "" in joint.classes:
        refused = refused or "with more than two classes confidence does not say which class was missed"
    if refused or not np.isfinite(score.value):
        return refusing(kind, refused or "these rows do not determine it", coverage, rows, until)
    variance = float((score.influence**2 * joint.rows).sum())
    for row in range(len(table.classes)):
        right = np.flatnonzero((joint.pairs[:, 0] == row) & joint.is_right)
        wrong = np.flatnonzero((joint.pairs[:, 0] == row) & ~joint.is_right)
        if right.size and wrong.size:
            size = (joint.rows[right[0]] + joint.rows[wrong[0]])[:-1]
            pull = (score.influence[right[0]] - score.influence[wrong[0]])[:-1] * size
            spread = held.right[row] * (1 - held.right[row])
            known = held.rows[row] > 0
            variance += float(
                (pull**2 * np.divide(spread, held.rows[row], out=np.zeros_like(spread), where=known)).sum()
            )
    low, high = share_interval(score.value, variance, float(rows))
    return Estimate(score.value, low, high, coverage, rows, kind, "", until)


def overall_coverage(rows: Array, coverage: Array, labelled: Array) -> float:
    """Return the share of final labels that has arrived, all classes together.

    Args:
        rows: predictions per group.
        coverage: by group and class.
        labelled: arrived labels per class.
    """
    if not rows.sum() or not labelled.sum():
        return 0.0
    by_class = rows @ coverage / rows.sum()
    final = np.divide(labelled, by_class, out=np.zeros_like(labelled), where=by_class > 0)
    return float(labelled.sum() / max(float(final.sum()), 1e-12))


def refusing(kind: Kind, reason: str, coverage: float, rows: int, until_ns: int) -> Estimate:
    """Return an estimate without a figure."""
    nan = float("nan")
    return Estimate(nan, nan, nan, coverage, rows, kind, reason, until_ns)


def share_interval(value: float, variance: float, rows: float) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share with *variance*, or of 0 and 1 with *rows* independent rows."""
    spread = value * (1 - value)
    size = spread / variance if variance > 0 and spread > 0 else rows
    if size <= 0:
        return 0.0, 1.0
    z2 = _Z * _Z
    middle = (value + z2 / (2 * size)) / (1 + z2 / size)
    half = _Z * np.sqrt(max(spread, 0.0) / size + z2 / (4 * size * size)) / (1 + z2 / size)
    return max(float(middle - half), 0.0), min(float(middle + half), 1.0)
