"""Accumulates the outcomes of labels for one series and window.

Counted one by one in plain Python, about 4 us each, with the cell tables left to `OutcomeCells`: labels of one batch
belong to many windows, a few each, and vectorised per window numpy's calls would cost more than the additions.

A correction adds the new label and takes the former one back. Carriers export counters, which must only grow: so each table
from which a correction takes something back has a table of retractions beside it. `lag_counts`, and rows and confidence of the
calibration, are of first labels, which a correction does not touch.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from radiosonde._aggregate.outcome_cells import OutcomeCells, residual
from radiosonde.model import CONFIDENCE_BINS, LAG, LAGS, LabelCounts, Outcome
from radiosonde.model.bins import LAG_EDGES_S, LOG_ODDS_BINS, VALUE_CLASS, log_odds_bin, one_confidence_bin

_FEW = (0, 2)
"""Numbers of known classes for which log-odds are counted: AUC is of two classes, and 0 is not known."""

_LAG_LIMITS_S = (3600.0, 86400.0, 604800.0)
_LAG_BOUNDS_S = LAG.upper_bounds_s()[:-1].tolist()


class _LabelLags:
    """Labels of one class."""

    __slots__ = ("count", "first", "first_sum_s", "in_force")

    def __init__(self) -> None:
        self.count = 0
        self.first_sum_s = 0.0
        self.first = [0] * (len(LAG_EDGES_S) + 1)
        self.in_force = [0] * LAG.size


class OutcomeState:
    """Counts of labels. Guarded by the aggregator's lock.

    Args:
        body: body cells of the grid, where this process knows it.
    """

    def __init__(self, body: int = 0) -> None:
        self._body = body
        self._grid = ""
        self._cells: OutcomeCells | None = None
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._retractions: Counter[tuple[str, str]] = Counter()
        # Tables are flat lists: a list per line would be 100 objects a part for the garbage collector to go through.
        self._calibration = [0.0] * (3 * CONFIDENCE_BINS)
        self._labels: dict[str, _LabelLags] = {}
        self._joint: dict[tuple[str, str], list[float]] = {}
        self._odds: dict[tuple[str, str], dict[int, int]] = {}
        self._residuals = [0.0, 0.0, 0.0]
        self._correct_retractions = [0] * CONFIDENCE_BINS
        self._joint_retractions: dict[tuple[str, str], list[float]] = {}
        self._residuals_counted = [0.0, 0.0, 0.0]
        self._residuals_retracted = [0.0, 0.0, 0.0]
        self._never = 0

    def update(self, outcomes: Iterable[Outcome]) -> None:
        """Add outcomes.

        Raises:
            ValueError: an outcome's cells are of another grid, or not one byte per feature; those before it are counted.
        """
        for outcome in outcomes:
            self.add(outcome)

    def add(self, outcome: Outcome) -> None:
        """Add one outcome; a correction takes its former label back.

        Raises:
            ValueError: its cells are of another grid than those counted here, or not one byte per feature.
        """
        if outcome.label is None:
            self._never += 1
            return
        cells = self._cells_of(outcome) if outcome.cells and outcome.grid else None
        is_class = outcome.is_class
        if outcome.former is not None:
            self._count(outcome, outcome.former, outcome.former_lag_s, -1, cells, is_class=is_class)
        self._count(outcome, outcome.label, outcome.lag_s, 1, cells, is_class=is_class)

    def _count(
        self,
        outcome: Outcome,
        label: str | float,
        lag_s: float,
        sign: int,
        cells: OutcomeCells | None,
        *,
        is_class: bool,
    ) -> None:
        # A lag that is not known counts with the longest; a label from before its prediction with the shortest.
        lag_s = math.inf if math.isnan(lag_s) else lag_s
        name = str(label) if is_class else VALUE_CLASS
        lags = self._labels.get(name)
        if lags is None:
            lags = self._labels[name] = _LabelLags()
        lags.count += sign
        lags.in_force[bisect_left(_LAG_BOUNDS_S, lag_s)] += sign
        if outcome.former is None:
            lags.first[bisect_left(LAG_EDGES_S, lag_s)] += 1
            lags.first_sum_s += lag_s if 0 < lag_s < math.inf else 0.0
        missed = math.nan
        if is_class:
            self._count_class(outcome, name, lag_s, sign)
        else:
            missed = residual(label, "", math.nan, outcome.value, ())
            self._residuals[0] += sign * missed
            self._residuals[1] += sign * missed * missed
            self._residuals[2] += sign * abs(missed)
            parts = self._residuals_counted if sign > 0 else self._residuals_retracted
            parts[missed < 0] += abs(missed)
            parts[2] += missed * missed
        if cells is not None:
            if is_class:
                missed = residual(name, outcome.predicted, outcome.confidence, math.nan, outcome.classes)
            cells.add(name, outcome.cells, missed, sign)

    def _count_class(self, outcome: Outcome, name: str, lag_s: float, sign: int) -> None:
        # Includes classes beyond the bound: see `radiosonde.model.classes`.
        is_correct = name == outcome.predicted
        key = ("correct" if is_correct else "incorrect", LAGS[bisect_left(_LAG_LIMITS_S, lag_s)])
        (self._outcomes if sign > 0 else self._retractions)[key] += 1
        confidence = outcome.confidence
        pair = (outcome.predicted, name)
        _add_joint(self._joint, pair, confidence, sign)
        if sign < 0:
            _add_joint(self._joint_retractions, pair, confidence, 1)
        if not math.isfinite(confidence):
            return
        if len(outcome.classes) in _FEW:
            rows = self._odds.setdefault(pair, {})
            line = log_odds_bin(confidence)
            rows[line] = rows.get(line, 0) + sign
        place = one_confidence_bin(confidence)
        calibration = self._calibration
        calibration[3 * place + 1] += sign * is_correct
        if sign < 0:
            self._correct_retractions[place] += is_correct
        if outcome.former is None:
            calibration[3 * place] += 1
            calibration[3 * place + 2] += confidence

    def _cells_of(self, outcome: Outcome) -> OutcomeCells:
        if len(outcome.cells) != len(outcome.features):
            raise ValueError(f"{len(outcome.cells)} bytes of cells for {len(outcome.features)} features: give one each")
        if self._cells is None:
            self._grid = outcome.grid
            self._cells = OutcomeCells(outcome.features, self._body)
        if outcome.grid != self._grid or outcome.features != self._cells.features:
            raise ValueError(f"cells of grid {outcome.grid} do not add to those of {self._grid}: keep a state for each")
        return self._cells

    @property
    def has_cells(self) -> bool:
        """Whether cells were counted: they are nearly all of the memory."""
        return self._cells is not None

    def freeze(self) -> LabelCounts:
        """Return the labels, frozen."""
        cells, residual_cells = self._cells.freeze() if self._cells else ({}, np.zeros((0, 0, 3)))
        lags = list(self._labels.values())
        return LabelCounts(
            outcomes=dict(self._outcomes),
            calibration=np.array(self._calibration).reshape(-1, 3),
            classes=tuple(self._labels),
            class_counts=np.array([labels.count for labels in lags], dtype=np.int64),
            lag_counts=np.array([labels.first for labels in lags], dtype=np.int64).reshape(-1, len(LAG_EDGES_S) + 1),
            lag_edges_s=LAG_EDGES_S,
            residual_sum=self._residuals[0],
            residual_square_sum=self._residuals[1],
            residual_absolute_sum=self._residuals[2],
            retractions=dict(self._retractions),
            lags=np.array([labels.in_force for labels in lags], dtype=np.int64) if lags else np.zeros((0, 0), np.int64),
            joint={pair: np.array(table).reshape(-1, 3) for pair, table in self._joint.items()},
            odds={pair: _odds_table(rows) for pair, rows in self._odds.items()},
            correct_retractions=np.array(self._correct_retractions, dtype=np.int64),
            joint_retractions={pair: np.array(table).reshape(-1, 3) for pair, table in self._joint_retractions.items()},
            lag_sums_s=np.array([labels.first_sum_s for labels in lags]),
            residuals_counted=np.array(self._residuals_counted),
            residuals_retracted=np.array(self._residuals_retracted),
            grid=self._grid,
            features=self._cells.features if self._cells else (),
            cells=cells,
            residual_cells=residual_cells,
            never=self._never,
        )


def _odds_table(rows: Mapping[int, int]) -> NDArray[np.int64]:
    """Return rows by bin as `radiosonde.model.LabelCounts.odds` holds them."""
    table = np.zeros((LOG_ODDS_BINS, 1), dtype=np.int64)
    table[list(rows), 0] = list(rows.values())
    return table


def _add_joint(tables: dict[tuple[str, str], list[float]], pair: tuple[str, str], confidence: float, sign: int) -> None:
    """Add one row to the table of a pair of classes."""
    table = tables.get(pair)
    if table is None:
        table = tables[pair] = [0.0] * (3 * (CONFIDENCE_BINS + 1))
    if not math.isfinite(confidence):
        table[3 * CONFIDENCE_BINS] += sign
        return
    line = 3 * one_confidence_bin(confidence)
    table[line] += sign
    table[line + 1] += sign * confidence
    table[line + 2] += sign * confidence * confidence
