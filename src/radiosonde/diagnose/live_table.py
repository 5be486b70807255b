"""The measures table of a model that is being served: it grows by the windows that come.

The same numbers as `radiosonde.diagnose.measures.make_table` computes from all windows at once. Late parts, written by another process, are
added to their step. Steps older than some days are merged by the hour, so memory and the cost of recounting
are bounded: 16 bytes per series and step, of three days of minutes and 28 of hours, and 8 bytes per latency bucket with calls.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.dispersion import widened
from radiosonde.diagnose.measures import MeasureTable
from radiosonde.model import LATENCY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from radiosonde.model import SeriesKey, Window

_HOUR_NS, _DAY_NS = 3_600_000_000_000, 86_400_000_000_000
FINE_NS, KEPT_NS = 2 * _DAY_NS, 30 * _DAY_NS
"""How long windows are kept at their own length, and at all."""

_COMPACTED_NS = 3 * _DAY_NS
"""Age of the oldest fine step from which on a day of them is added up."""


class Cell(NamedTuple):
    """Counts of one series in one step.

    Attributes:
        key: the series.
        calls: calls.
        errors: failed calls by type.
        durations: pairs of a latency bucket and the calls in it, as 32-bit integers.
    """

    key: SeriesKey
    calls: int
    errors: Mapping[str, int]
    durations: bytes = b""


def packed(counts: Sequence[NDArray[np.int64]]) -> list[bytes]:
    """Return of each of *counts* the latency buckets that hold calls, as `Cell` keeps them."""
    table = np.stack(counts)
    row, bucket = np.nonzero(table)
    pairs = np.stack([bucket, table[row, bucket]], axis=1).astype(np.int32)
    edges = np.searchsorted(row, np.arange(table.shape[0] + 1)).tolist()
    return [pairs[first:last].tobytes() for first, last in pairwise(edges)]


def unpacked(durations: bytes) -> NDArray[np.int32]:
    """Return the pairs of *durations*, of one cell or of several after one another, shape (pairs, 2)."""
    return np.frombuffer(durations, dtype=np.int32).reshape(-1, 2)


def histogram_of(durations: bytes) -> NDArray[np.int64]:
    """Return the calls per latency bucket of *durations*."""
    pairs = unpacked(durations)
    return np.bincount(pairs[:, 0], pairs[:, 1], minlength=LATENCY.size).astype(np.int64)


class CountedStep(NamedTuple):
    """Counts of one step.

    Attributes:
        start_ns: start.
        end_ns: end.
        cells: one per series and part.
    """

    start_ns: int
    end_ns: int
    cells: tuple[Cell, ...]


class Grown(NamedTuple):
    """The result of adding windows.

    Attributes:
        first: the first step that is new or different; the size where nothing is.
        is_laid_out_anew: the series or older steps are others than before.
    """

    first: int
    is_laid_out_anew: bool


@dataclass
class LiveTable:
    """The table of one model.

    Attributes:
        model: its name.
        keys: its series, in order.
        size: number of steps.
        histogram: calls of all steps by latency bucket.
    """

    model: str
    keys: tuple[SeriesKey, ...] = ()
    size: int = 0
    _starts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    _ends: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    _calls: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    _failures: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    _errors: dict[int, dict[SeriesKey, dict[str, int]]] = field(default_factory=dict)
    _row_of: dict[SeriesKey, int] = field(default_factory=dict)
    _durations: dict[int, dict[SeriesKey, bytes]] = field(default_factory=dict)
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(LATENCY.size, np.int64))

    @property
    def last_ns(self) -> int:
        """End of the last step; 0 without any."""
        return int(self._ends[: self.size].max()) if self.size else 0

    @property
    def bounds_ns(self) -> tuple[int, int]:
        """Start of the first and of the last step; zeros without any."""
        return (int(self._starts[0]), int(self._starts[self.size - 1])) if self.size else (0, 0)

    @staticmethod
    def steps_of(windows: Iterable[Window]) -> list[CountedStep]:
        """Return the counts of *windows*, in any order; parts of one window are cells of one step."""
        steps: dict[int, tuple[int, list[Cell]]] = {}
        chosen = list(windows)
        durations = packed([window.latency.counts for window in chosen]) if chosen else []
        for window, timed in zip(chosen, durations, strict=True):
            end_ns, cells = steps.get(window.start_ns, (0, []))
            cells.append(Cell(window.key, window.calls, window.errors, timed))
            steps[window.start_ns] = max(end_ns, window.end_ns), cells
        return [CountedStep(start, end, tuple(cells)) for start, (end, cells) in sorted(steps.items())]

    def know(self, keys: set[SeriesKey]) -> None:
        """Make rows for *keys*, whether or not they served any calls."""
        self._make_rows(keys)

    def add(self, steps: Sequence[CountedStep]) -> Grown:
        """Add *steps*, ascending."""
        anew = self._make_rows({cell.key for step in steps for cell in step.cells})
        first, starts = self.size, self._starts[: self.size]
        for step in steps:
            at = int(np.searchsorted(starts, step.start_ns)) if self.size else 0
            if at == self.size or starts[at] != step.start_ns:
                anew |= at < self.size
                self._insert(at, step)
                starts = self._starts[: self.size]
            self._count(at, step)
            first = min(first, at)
        return Grown(0 if anew else first, anew)

    def steps(self, first: int) -> list[CountedStep]:
        """Return the counts from step *first* on."""
        made = []
        for at in range(first, self.size):
            start = int(self._starts[at])
            errors, durations = self._errors.get(start, {}), self._durations.get(start, {})
            cells = tuple(
                Cell(
                    self.keys[row],
                    int(self._calls[row, at]),
                    errors.get(self.keys[row], {}),
                    durations.get(self.keys[row], b""),
                )
                for row in np.flatnonzero(self._calls[:, at])
            )
            made.append(CountedStep(start, int(self._ends[at]), cells))
        return made

    def table(self) -> MeasureTable:
        """Return the table as it is; it shares memory with this one and is good until windows are added."""
        cells: dict[str, list[tuple[int, int, int]]] = {}
        for at, start in enumerate(self._starts[: self.size]):
            for key, errors in self._errors.get(int(start), {}).items():
                for name, number in errors.items():
                    cells.setdefault(name, []).append((self._row_of[key], at, number))
        types = {name: np.array(sorted(counted), np.int64) for name, counted in sorted(cells.items())}
        return self._measures(types)

    def slower_than(
        self, buckets: Sequence[int], keys: Sequence[SeriesKey], first: int
    ) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
        """Return the timed calls of *keys* from step *first* on, and of each of *buckets* those above it; shapes (keys, steps).

        Cohorts add up where *keys* have none.
        """
        row_of, width = {key: row for row, key in enumerate(keys)}, self.size - first
        places, parts = [], []
        for at in range(first, self.size):
            for key, durations in self._durations.get(int(self._starts[at]), {}).items():
                row = row_of.get(key)
                places.append((row_of[key._replace(cohort="")] if row is None else row) * width + at - first)
                parts.append(durations)
        pairs = unpacked(b"".join(parts))
        flat = np.repeat(np.array(places, np.int64), [len(part) // 8 for part in parts])
        shape = (len(keys), width)

        def counted(chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
            table = np.bincount(flat[chosen], pairs[chosen, 1], minlength=shape[0] * shape[1])
            return table.astype(np.float64).reshape(shape)

        return counted(pairs[:, 0] >= 0), [counted(pairs[:, 0] > bucket) for bucket in buckets]

    def counts(self) -> MeasureTable:
        """Return the table without the types of failures: all that the detectors read."""
        return self._measures({})

    def _measures(self, types: dict[str, NDArray[np.int64]]) -> MeasureTable:
        size = self.size
        return MeasureTable(
            self.model, self.keys, self._starts[:size], self._ends[:size], self._calls[:, :size], self._failures[:, :size], types
        )  # fmt: skip

    def compact(self, fine_from_ns: int) -> bool:
        """Merge old steps before *fine_from_ns* into hours, and drop those that are too old; return whether anything changed."""
        if not self.size:
            return False
        last = self.last_ns
        border = min(last - FINE_NS, max(fine_from_ns, last - 7 * _DAY_NS))
        border -= border % _HOUR_NS
        starts, ends = self._starts[: self.size], self._ends[: self.size]
        fine = (ends - starts < _HOUR_NS) & (starts < border)
        is_old = bool(fine.any()) and int(starts[fine][0]) < border - (_COMPACTED_NS - FINE_NS)
        if not is_old and int(starts[0]) >= last - KEPT_NS - _DAY_NS:
            return False
        hours: dict[int, CountedStep] = {}
        for step in self.steps(0):
            if step.start_ns < last - KEPT_NS:
                continue
            is_fine = step.end_ns - step.start_ns < _HOUR_NS and step.start_ns < border
            start = step.start_ns - step.start_ns % _HOUR_NS if is_fine else step.start_ns
            former = hours.get(start)
            end = start + _HOUR_NS if is_fine else step.end_ns
            cells = step.cells if former is None else former.cells + step.cells
            hours[start] = CountedStep(start, end, cells)
        self.__init__(self.model)  # type: ignore[misc]
        self.add([hours[start] for start in sorted(hours)])
        return True

    def _make_rows(self, keys: set[SeriesKey]) -> bool:
        if keys <= self._row_of.keys():
            return False
        old = self._row_of
        self.keys = tuple(sorted({*self.keys, *keys}))
        self._row_of = {key: row for row, key in enumerate(self.keys)}
        room = self._starts.size
        for name in ("_calls", "_failures"):
            table = np.zeros((len(self.keys), room))
            for key, row in old.items():
                table[self._row_of[key]] = getattr(self, name)[row]
            setattr(self, name, table)
        return True

    def _insert(self, at: int, step: CountedStep) -> None:
        if self.size + 1 > self._starts.size:
            self._starts, self._ends = (widened(part, self.size + 64) for part in (self._starts, self._ends))
            self._calls, self._failures = (widened(part, self._starts.size) for part in (self._calls, self._failures))
        for part in (self._starts, self._ends, self._calls, self._failures):
            part[..., at + 1 : self.size + 1] = part[..., at : self.size].copy()
            part[..., at] = 0
        self._starts[at] = step.start_ns
        self.size += 1

    def _count(self, at: int, step: CountedStep) -> None:
        self._ends[at] = max(int(self._ends[at]), step.end_ns)
        timed = self._durations.setdefault(step.start_ns, {})
        self.histogram += histogram_of(b"".join([cell.durations for cell in step.cells]))
        for key, calls, errors, durations in step.cells:
            row = self._row_of[key]
            self._calls[row, at] += calls
            if durations:
                former = timed.get(key)
                timed[key] = durations if former is None else packed([histogram_of(former + durations)])[0]
            for name, number in errors.items():
                self._failures[row, at] += number
                counted = self._errors.setdefault(step.start_ns, {}).setdefault(key, {})
                counted[name] = counted.get(name, 0) + number
