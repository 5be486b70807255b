"""Class-conditional inverse-probability weights of labels, by class and age.

A label of a class of which a fifth arrives within the age of its prediction has weight five. A weight from the lag of all
labels together would be the same for every class, cancel from every ratio and correct nothing.

A group of windows too young for its slowest class is left out instead of weighted by a hundred: `Weights.mature` says which
groups count. Assumes that within a class the lag does not depend on the score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiosonde.quality.columns import Array
from radiosonde.quality.lags import LagCurve
from radiosonde.quality.table import LabelTable

MIN_COVERAGE = 0.15
"""Share of its labels that the slowest class must have for a group of windows to count."""


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Weights of labels.

    Attributes:
        curves: the lag curves, by class index; classes without one weigh 1.
        coverage: estimated share of final labels that has arrived, shape (groups, classes); 1 for classes without a curve.
        mature: groups that count, shape (groups,).
        values: 1 / coverage in mature groups, else 0, shape (groups, classes).
        ages_s: age of the middle of each group, shape (groups,).
    """

    curves: dict[int, LagCurve]
    coverage: Array
    mature: NDArray[np.bool_]
    values: Array
    ages_s: Array

    @property
    def slowest(self) -> float:
        """Best coverage that the slowest class has in any group."""
        return float(self.coverage.min(axis=1).max(initial=0.0)) if self.coverage.size else 0.0

    def log_covariance(self, row: int) -> Array:
        """Return the covariance of log F of class *row* between groups, shape (groups, groups).

        log F(a) and log F(b) share the factors beyond the larger of a and b, so their covariance is the variance there.
        """
        curve = self.curves.get(row)
        if curve is None:
            return np.zeros((self.ages_s.size, self.ages_s.size))
        variance = np.where(self.mature, np.nan_to_num(curve.variance_by(self.ages_s), posinf=0.0), 0.0)
        older = self.ages_s[:, None] >= self.ages_s[None, :]
        return np.where(older, variance[:, None], variance[None, :])


def class_weights(table: LabelTable, curves: tuple[LagCurve, ...], *, min_coverage: float = MIN_COVERAGE) -> Weights:
    """Return the weight of each label of *table*.

    Args:
        table: the windows to be judged.
        curves: lag curves, as a rule from more and older windows than those.
        min_coverage: least coverage of the slowest class for a group to count.
    """
    youngest = table.youngest_s()
    oldest = np.asarray((table.as_of_ns - table.start_ns) / 1e9)
    by_row = {table.classes.index(curve.name): curve for curve in curves if curve.name in table.classes}
    coverage = np.ones((len(table.rows), len(table.classes)))
    for row, curve in by_row.items():
        coverage[:, row] = curve.coverage(youngest, oldest)
    slowest = coverage.min(axis=1, initial=1.0)
    mature = (slowest >= min_coverage) & (slowest > 0)
    values = np.where(mature[:, None], 1 / np.maximum(coverage, 1e-12), 0.0)
    return Weights(by_row, coverage, mature, values, (youngest + oldest) / 2)
