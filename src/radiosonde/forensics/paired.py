"""Compares two answers to each row: how many differ, by how much on average, and in which groups.

Both answers are to the same row, so the difference is taken by row, and its mean has the interval of a paired comparison: Student's
quantile times s / sqrt(n), for numbers and for the share of a class (whose differences are -1, 0 and 1). The quantile is the expansion
of Abramowitz and Stegun 26.7.5: within 0.7 % from 3 degrees of freedom on. Rows are taken to be independent.

Moments of batches are merged by the formulas of Chan, Golub and LeVeque (1979). Memory is bounded by groups times pairs of classes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radiosonde.errors import ConfigurationError
from radiosonde.forensics.answers import Column, aligned
from radiosonde.forensics.tables import Key

MOST_GROUPS = 100_000
"""Groups of a comparison; a column of ids in ``--by`` would otherwise hold a group per row."""

MOST_PAIRS = 1000
"""Pairs of classes that a group counts one by one; further ones count as `OTHER`. A model of integers may have any number of them."""

OTHER = "__other__"
CONFIDENCE = 0.95


class MeanDifference(NamedTuple):
    """A mean and its interval; both ends are None where fewer than three rows are known."""

    mean: float
    low: float | None
    high: float | None

    @property
    def is_shifted(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


@dataclass(slots=True)
class Difference:
    """The differences B - A of some rows.

    Attributes:
        rows: number of rows.
        equal: rows whose answers are equal: the same double, class or text; two missing answers are equal.
        close: further rows whose answers are within the tolerance.
        missing: rows without an answer in A only, and in B only.
        numbers: rows with finite numbers in both; the next four are over these.
        mean: mean difference.
        squares: sum of squared deviations from it.
        absolute: sum of absolute differences.
        largest: largest absolute difference.
        classes: rows by class in A and class in B.
    """

    rows: int = 0
    equal: int = 0
    close: int = 0
    missing: tuple[int, int] = (0, 0)
    numbers: int = 0
    mean: float = 0.0
    squares: float = 0.0
    absolute: float = 0.0
    largest: float = 0.0
    classes: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def different(self) -> int:
        """Rows that differ by more than the tolerance."""
        return self.rows - self.equal - self.close

    def add(self, other: Difference) -> None:
        """Add further rows."""
        both = self.numbers + other.numbers
        if other.numbers:
            step = other.mean - self.mean
            self.squares += other.squares + step * step * self.numbers * other.numbers / both
            self.mean += step * other.numbers / both
        self.numbers = both
        self.rows += other.rows
        self.equal += other.equal
        self.close += other.close
        self.missing = (self.missing[0] + other.missing[0], self.missing[1] + other.missing[1])
        self.absolute += other.absolute
        self.largest = max(self.largest, other.largest)
        for pair, count in other.classes.items():
            self.classes[pair if pair in self.classes or len(self.classes) < MOST_PAIRS else (OTHER, OTHER)] += count

    def estimate(self, among: int = 1) -> MeanDifference | None:
        """Return the mean difference of numbers, None if there are none.

        Args:
            among: number of intervals that are to hold together (Bonferroni).
        """
        return _estimate(self.mean, self.squares, self.numbers, among) if self.numbers else None

    def shares(self, among: int = 1) -> Mapping[str, tuple[float, float, MeanDifference]]:
        """Return the share of each class in A and in B, and the difference of the two, largest difference first."""
        count = sum(self.classes.values())
        found = {}
        for name in sorted({name for pair in self.classes for name in pair if name != OTHER}):
            in_a = sum(rows for pair, rows in self.classes.items() if pair[0] == name)
            in_b = sum(rows for pair, rows in self.classes.items() if pair[1] == name)
            both = self.classes.get((name, name), 0)
            mean = (in_b - in_a) / count
            moved = in_a + in_b - 2 * both
            estimate = _estimate(mean, max(0.0, moved - count * mean * mean), count, among)
            found[name] = (in_a / count, in_b / count, estimate)
        return dict(sorted(found.items(), key=lambda item: -abs(item[1][2].mean)))

    def document(self, among: int = 1) -> dict[str, Any]:
        """Return the difference as JSON values."""
        estimate = self.estimate(among)
        return {
            "rows": self.rows,
            "equal": self.equal,
            "within_tolerance": self.close,
            "different": self.different,
            "only_in_a": self.missing[1],
            "only_in_b": self.missing[0],
            "mean_difference": None if estimate is None else estimate._asdict(),
            "mean_absolute_difference": self.absolute / self.numbers if self.numbers else None,
            "largest_difference": self.largest if self.numbers else None,
            "classes": {
                name: {"share_a": a, "share_b": b, "difference": step._asdict()}
                for name, (a, b, step) in self.shares(among).items()
            },
            "changes": [
                {"from": pair[0], "to": pair[1], "rows": rows}
                for pair, rows in self.classes.most_common()
                if pair[0] != pair[1]
            ],
        }


class Paired:
    """A comparison of A with B.

    Args:
        tolerance: numbers are close if they differ by at most this, or by this share of the larger one.

    Attributes:
        groups: differences by key.
    """

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self.groups: dict[Key, Difference] = {}

    def update(self, a: Column, b: Column, places: NDArray[np.intp] | None = None, keys: Sequence[Key] = ((),)) -> None:
        """Add rows.

        Args:
            a: answers of A.
            b: answers of B to the same rows.
            places: per row the index of its group in *keys*; None: all are in the first.
            keys: the groups.

        Raises:
            ConfigurationError: there are too many groups.
        """
        a, b = aligned(a, b)
        for place, key in enumerate(keys):
            chosen = slice(None) if places is None or len(keys) == 1 else places == place
            if len(a[chosen]):
                self.groups.setdefault(key, Difference()).add(self._difference(a[chosen], b[chosen]))
        if len(self.groups) > MOST_GROUPS:
            raise ConfigurationError(
                f"there are more than {MOST_GROUPS:,} groups; leave columns of ids out of --by, or choose longer windows with --window"
            )

    def total(self) -> Difference:
        """Return the difference of all rows."""
        return self.by(())[()] if self.groups else Difference()

    def by(self, positions: Sequence[int]) -> dict[Key, Difference]:
        """Return the differences by some parts of the keys."""
        found: dict[Key, Difference] = {}
        for key, difference in self.groups.items():
            found.setdefault(tuple(key[position] for position in positions), Difference()).add(difference)
        return found

    def _difference(self, a: Column, b: Column) -> Difference:
        found = Difference(rows=len(a))
        if a.dtype == object:
            is_known_a = np.array([value is not None for value in a], dtype=bool)
            is_known_b = np.array([value is not None for value in b], dtype=bool)
            found.equal = int(np.count_nonzero(np.asarray(a == b, dtype=bool)))
            known = is_known_a & is_known_b
            counted = Counter(zip(a[known].tolist(), b[known].tolist(), strict=True))
            other = Difference(classes=counted)
            found.add(other)
        else:
            is_known_a, is_known_b = ~np.isnan(a), ~np.isnan(b)
            equal = (a == b) | ~(is_known_a | is_known_b)
            finite = np.isfinite(a) & np.isfinite(b)
            step = b[finite] - a[finite]
            bound = self._tolerance * np.maximum(1.0, np.maximum(np.abs(a[finite]), np.abs(b[finite])))
            found.equal = int(np.count_nonzero(equal))
            found.close = int(np.count_nonzero((np.abs(step) <= bound) & (step != 0)))
            if len(step):
                found.numbers, found.mean = len(step), float(step.mean())
                found.squares = float(np.square(step - found.mean).sum())
                found.absolute, found.largest = float(np.abs(step).sum()), float(np.abs(step).max())
        found.missing = (
            int(np.count_nonzero(is_known_b & ~is_known_a)),
            int(np.count_nonzero(is_known_a & ~is_known_b)),
        )
        return found


def _estimate(mean: float, squares: float, count: int, among: int) -> MeanDifference:
    if count < 3:
        return MeanDifference(mean, None, None)
    half = _student(1 - (1 - CONFIDENCE) / (2 * among), count - 1) * math.sqrt(squares / (count - 1) / count)
    return MeanDifference(mean, mean - half, mean + half)


def _student(probability: float, freedom: int) -> float:
    """Return a quantile of Student's distribution."""
    z = NormalDist().inv_cdf(probability)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
