"""Sampling controller: features are sampled 1-in-N to hold the CPU of all threads to a share of one core.

Calls, rows, errors, durations, phases and outputs are counted for every record, at any cost. Features get the rest of the budget after that
and after polling the rings, closing windows, storing and exporting. The resulting step is the sampling interval: features are sampled
1-in-step and weighted by it.

    step >= (CPU seconds a row costs) * (rows per second) / (CPU seconds a second that rows may cost)

Each of the three is measured and smoothed over seconds, so that the step follows the load and not the last drain; overspending on rows is
recovered over the next seconds. A rising load acts at once (`offer` is called before rows are counted), a falling one when its average has
fallen. Steps are 1, 2, 3, 4, 6, 8, 12...: discrete steps do not change with every drain, and a window with few distinct weights has a
larger effective sample size.

Outside the budget: one-time work (imports, the provisional reference of the first 1 000 rows). A lump of
work counts as at most `LUMP_S` seconds of budget, so a second of imports does not starve the first minute.

Pure: clock and CPU times are arguments. For one thread at a time.
"""

from __future__ import annotations

import math

from radiosonde._clock import NS

HORIZON_S = 10.0
"""Time over which other work is averaged, and over which overspending on rows is recovered."""

RATE_S = 1.0
"""Time over which the load is averaged: with a drain a second at least, shorter would be no average."""

COST_S = 3.0
"""Time over which the cost of a row is averaged."""

LUMP_S = 2.0
"""Seconds of budget that one lump of work counts as at most, and the most that rows can owe."""

FLOOR_RATIO = 0.1
"""Share of the budget reserved for rows: if everything else exceeds the budget, a few rows are better than none."""

FIRST_ROW_S = 3e-6
"""Initial estimate of the cost of a row: 30 features cost 0.7 us in a large drain, more in small ones."""

EASE_RATIO = 0.85
"""A lower step is taken only when the load is this far below it."""

LARGEST_STEP = 1 << 16


class SamplingController:
    """Sets the sampling step of rows. Guarded by the turn's lock.

    Args:
        budget_ratio: CPU seconds per second for all threads of Radiosonde together; infinite: the step stays 1.
        now_ns: monotonic clock.
    """

    def __init__(self, budget_ratio: float = math.inf, now_ns: int = 0) -> None:
        self._budget = budget_ratio
        self._turned_ns = now_ns
        self._rate = 0.0
        self._offered = 0
        self._spent_s = 0.0
        self._debt_s = 0.0
        self._other = budget_ratio / 2  # until it is measured: conservative
        self._cost_s, self._cost_rows = 100 * FIRST_ROW_S, 100.0
        self._allowance = budget_ratio / 2
        self.step = 1

    @property
    def is_bounded(self) -> bool:
        """Whether there is a budget to hold."""
        return math.isfinite(self._budget)

    @property
    def row_s(self) -> float:
        """CPU seconds that a row is thought to cost."""
        return self._cost_s / self._cost_rows

    def offer(self, rows: int, now_ns: int) -> int:
        """Announce *rows* that could be counted and return the step for them."""
        if not self.is_bounded:
            return 1
        self._offered += rows
        # Only upwards: the rest of this turn's rows is not announced yet.
        self._choose(max(self._rate, self._rate_with_offered(now_ns)), may_ease=False)
        return self.step

    def note(self, rows: int, spent_ns: int) -> None:
        """Record that counting *rows* took *spent_ns* of CPU time."""
        self._spent_s += spent_ns / NS
        if rows:
            self._cost_s += spent_ns / NS
            self._cost_rows += rows

    def turn(self, now_ns: int, spent_ns: int) -> None:
        """End a turn: choose the step for the next one.

        Args:
            now_ns: monotonic clock.
            spent_ns: CPU time of all threads of Radiosonde since the last turn, including the time passed to `note`.
        """
        elapsed_s = (now_ns - self._turned_ns) / NS
        if not self.is_bounded or elapsed_s <= 0:
            return
        self._rate = self._rate_with_offered(now_ns)
        other_s = min(max(0.0, spent_ns / NS - self._spent_s), LUMP_S * self._budget)
        self._other += _weight(elapsed_s, HORIZON_S) * (other_s / elapsed_s - self._other)
        owed_s = self._debt_s + self._spent_s - self._allowance * elapsed_s
        self._debt_s = min(max(owed_s, -self._budget), LUMP_S * self._budget)
        self._allowance = max(FLOOR_RATIO * self._budget, self._budget - self._other - self._debt_s / HORIZON_S)
        if self._spent_s:  # else the cost of rows is kept for the next turn
            kept = 1 - _weight(elapsed_s, COST_S)
            self._cost_s, self._cost_rows = kept * self._cost_s, kept * self._cost_rows
        self._turned_ns, self._offered, self._spent_s = now_ns, 0, 0.0
        self._choose(self._rate, may_ease=True)

    def _rate_with_offered(self, now_ns: int) -> float:
        elapsed_s = max((now_ns - self._turned_ns) / NS, 1e-6)
        return self._rate + _weight(elapsed_s, RATE_S) * (self._offered / elapsed_s - self._rate)

    def _choose(self, rate: float, *, may_ease: bool) -> None:
        wanted = self.row_s * rate / self._allowance
        if wanted > self.step:
            self.step = rung(wanted)
        elif may_ease and wanted < self.step:
            self.step = min(self.step, rung(wanted / EASE_RATIO))


def rung(wanted: float) -> int:
    """Return the smallest of 1, 2, 3, 4, 6, 8, 12, 16, 24, ... that is not below *wanted*."""
    if wanted <= 1:
        return 1
    power: int = 1 << math.ceil(math.log2(min(wanted, LARGEST_STEP)))
    return 3 * power // 4 if power >= 4 and 3 * power // 4 >= wanted else power


def _weight(elapsed_s: float, over_s: float) -> float:
    return -math.expm1(-elapsed_s / over_s)
