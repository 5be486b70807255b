"""Counts of labels and answers of windows, as columns: read once, then summed over any groups in one numpy pass.

A diagnosis needs several tables of the same windows: by age, by step, by version, as of days ago. Label counts of a window are
nearly all zero (five labels in a minute, tables of thousands of places), so tables are kept as occupied places and their values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from radiosonde.model import CONFIDENCE_BINS, LAG, SeriesKey, Window
from radiosonde.model.bins import VALUE_CLASS, log_odds_bin

LINES = CONFIDENCE_BINS + 1

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
_Names = TypeVar("_Names", bound=tuple[Any, ...])

_CHUNK = 4096


class Entries(NamedTuple):
    """The occupied places of a table per window.

    Attributes:
        window: window of each entry, ascending, shape (entries,).
        row: class, or pair of classes, by index; same shape.
        place: bucket or bin, same shape.
        values: shape (entries, moments).
    """

    window: Ints
    row: Ints
    place: Ints
    values: Array

    def where(self, keep: NDArray[np.bool_], number: Ints) -> Entries:
        """Return the entries of the windows that are True in *keep*; *number* is the new index of each window."""
        kept = keep[self.window]
        return Entries(number[self.window[kept]], self.row[kept], self.place[kept], self.values[kept])


@dataclass(eq=False)
class LabelColumns:
    """Labels and answers of windows, in their order.

    Attributes:
        keys: the distinct series, including those of excluded windows.
        key_of: index of the series of each window, shape (windows,).
        start_ns: start of each window, same shape.
        end_ns: end, same shape.
        rows: predicted rows, same shape.
        names: all predicted and label classes, sorted.
        pairs: all pairs of (predicted class, label class), sorted.
        known: which *names* each distinct set of classes holds, shape (sets, names).
        known_of: set of classes of each window by index.
        lags: labels per label class and bucket of `radiosonde.model.LAG`.
        joint: (rows, sum of confidence, sum of its squares) per pair and confidence bin; a pair that a window names has an entry there,
            be it of zeros.
        odds: rows per pair and bin of log-odds (`radiosonde.model.bins.LOG_ODDS_BINS`), of windows that name two classes; where a former
            version counted none, those of the centre of each confidence bin.
        predicted: (rows, sum of confidence) per predicted class and confidence bin.
        residuals: rows and sums of (label - value), its absolute and its square, shape (windows, 4).
        never: predictions that expired without a label, shape (windows,).
    """

    keys: tuple[SeriesKey, ...]
    key_of: Ints
    start_ns: Ints
    end_ns: Ints
    rows: Array
    names: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    known: NDArray[np.bool_]
    known_of: Ints
    lags: Entries
    joint: Entries
    odds: Entries
    predicted: Entries
    residuals: Array
    never: Array

    def where(self, keep: NDArray[np.bool_]) -> Self:
        """Return the windows that are True in *keep*."""
        if keep.all():
            return self
        number = np.cumsum(keep) - 1
        return type(self)(
            self.keys, self.key_of[keep], self.start_ns[keep], self.end_ns[keep], self.rows[keep], self.names, self.pairs,
            self.known, self.known_of[keep], self.lags.where(keep, number), self.joint.where(keep, number), self.odds.where(keep, number),
            self.predicted.where(keep, number), self.residuals[keep], self.never[keep],
        )  # fmt: skip

    def of(self, keys: Iterable[SeriesKey]) -> Self:
        """Return the windows of the series *keys*."""
        chosen = set(keys)
        return self.where(np.array([key in chosen for key in self.keys], dtype=bool)[self.key_of])

    @cached_property
    def present(self) -> tuple[SeriesKey, ...]:
        """The series that have windows."""
        return tuple(self.keys[index] for index in np.unique(self.key_of))

    @cached_property
    def latest_ns(self) -> int:
        """The latest time in the windows: the end of the last one, or the earliest possible arrival of its latest label."""
        came = self.lags.values[:, 0] > 0
        lower_ns = (np.concatenate([[0.0], LAG.upper_bounds_s()[:-1]]) * 1e9).astype(np.int64)
        earliest = self.start_ns[self.lags.window[came]] + lower_ns[self.lags.place[came]]
        return max(int(self.end_ns.max(initial=0)), int(earliest.max(initial=0)))


def label_columns(windows: Iterable[Window] | LabelColumns) -> LabelColumns:
    """Return the columns of *windows*, of any series, parts welcome; columns are returned as they are."""
    if isinstance(windows, LabelColumns):
        return windows
    made = list(windows)
    keys = tuple(sorted({window.key for window in made}))
    row_of = {key: row for row, key in enumerate(keys)}
    sets, known_of = _sets(made)
    names = tuple(sorted(set().union(*sets)))
    place = {name: index for index, name in enumerate(names)}
    known = np.zeros((len(sets), len(names)), dtype=bool)
    for row, each in enumerate(sets):
        known[row, [place[name] for name in each]] = True
    pairs = tuple(sorted({pair for window in made if window.labels is not None for pair in window.labels.joint}))
    joint = _joint(made, pairs)
    return LabelColumns(
        keys,
        _ints([row_of[window.key] for window in made]),
        _ints([window.start_ns for window in made]),
        _ints([window.end_ns for window in made]),
        np.array([window.rows for window in made], dtype=np.float64),
        names,
        pairs,
        known,
        known_of,
        _lags(made, place),
        joint,
        _odds(made, pairs, joint),
        _predicted(made, place),
        _residuals(made),
        np.array([0 if window.labels is None else window.labels.never for window in made], dtype=np.float64),
    )


def _ints(values: Sequence[Any]) -> Ints:
    return np.array(values, dtype=np.int64)


def _sets(windows: Sequence[Window]) -> tuple[list[frozenset[str]], Ints]:
    """Return the distinct sets of classes that windows name, and the one of each window."""
    number: dict[Any, int] = {}
    found: list[Any] = []
    for window in windows:
        labels = window.labels
        named = (window.output.classes, None if labels is None else (labels.classes, tuple(labels.joint)))
        found.append(number.setdefault(named, len(number)))
    sets = [
        frozenset(predicted).union(*(() if labels is None else (labels[0], *labels[1]))) for predicted, labels in number
    ]
    return sets, _ints(found)


def _lags(windows: Sequence[Window], place: dict[str, int]) -> Entries:
    alike: dict[tuple[str, ...], list[int]] = {}
    for index, window in enumerate(windows):
        if window.labels is not None and window.labels.lags.size:
            alike.setdefault(window.labels.classes, []).append(index)
    parts = []
    for classes, members in _chunks(alike):
        tables = np.stack([windows[index].labels.lags for index in members])  # type: ignore[union-attr]
        parts.append(_entries(members, [place[name] for name in classes], tables[..., None].astype(np.float64)))
    return _ordered(parts, 1)


def _joint(windows: Sequence[Window], pairs: tuple[tuple[str, str], ...]) -> Entries:
    number = {pair: index for index, pair in enumerate(pairs)}
    alike: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for index, window in enumerate(windows):
        if window.labels is not None and window.labels.joint:
            alike.setdefault(tuple(window.labels.joint), []).append(index)
    parts = []
    for named, members in _chunks(alike):
        tables = np.stack([table for index in members for table in windows[index].labels.joint.values()])  # type: ignore[union-attr]
        tables = tables.reshape(len(members), len(named), *tables.shape[1:])
        parts.append(_entries(members, [number[pair] for pair in named], tables, one_at_least=True))
    return _ordered(parts, 3)


def _odds(windows: Sequence[Window], pairs: tuple[tuple[str, str], ...], joint: Entries) -> Entries:
    number = {pair: index for index, pair in enumerate(pairs)}
    is_coarse = np.zeros(len(windows), dtype=bool)
    of: list[tuple[int, int]] = []
    tables: list[NDArray[np.int64]] = []
    for index, window in enumerate(windows):
        labels = window.labels
        if labels is None or not labels.joint:
            continue
        is_coarse[index] = not labels.odds
        of += [(index, number[pair]) for pair in labels.odds]
        tables += [table[:, 0] for table in labels.odds.values()]
    parts = []
    for start in range(0, len(tables), _CHUNK):
        which, row = _ints(of[start : start + _CHUNK]).T
        counted = np.stack(tables[start : start + _CHUNK])
        table, at = counted.nonzero()
        parts.append(Entries(which[table], row[table], at, counted[table, at][:, None].astype(np.float64)))
    coarse = is_coarse[joint.window] & (joint.place < CONFIDENCE_BINS) & (joint.values[:, 0] != 0)
    window_of, row_of, place, values = (part[coarse] for part in joint)
    # Not at the mean confidence of the entry: it differs between labels, and would rank rows by their label.
    bins = _ints([log_odds_bin((place + 0.5) / CONFIDENCE_BINS) for place in range(CONFIDENCE_BINS)])
    parts.append(Entries(window_of, row_of, bins[place], values[:, :1]))
    return _ordered(parts, 1)


def _predicted(windows: Sequence[Window], place: dict[str, int]) -> Entries:
    alike: dict[tuple[str, ...], list[int]] = {}
    for index, window in enumerate(windows):
        if window.output.classes:
            alike.setdefault(window.output.classes, []).append(index)
    parts = []
    for classes, members in _chunks(alike):
        outputs = [windows[index].output for index in members]
        lines = np.zeros((len(members), len(classes), LINES, 2))
        lines[..., :-1, 0] = np.stack([output.confidence for output in outputs])
        lines[..., :-1, 1] = np.stack([output.confidence_sums for output in outputs])
        lines[..., -1, 0] = np.stack([output.class_counts for output in outputs]) - lines[..., :-1, 0].sum(axis=2)
        parts.append(_entries(members, [place[name] for name in classes], lines))
    return _ordered(parts, 2)


def _chunks(alike: Mapping[_Names, Sequence[int]]) -> Iterator[tuple[_Names, Sequence[int]]]:
    """Yield windows that name the same, so many at a time that their tables in full fit in a few megabytes."""
    for names, members in alike.items():
        size = max(_CHUNK // len(names), 1)
        for start in range(0, len(members), size):
            yield names, members[start : start + size]


def _entries(members: Sequence[int], rows: Sequence[int], tables: Array, *, one_at_least: bool = False) -> Entries:
    """Return the occupied places of *tables*, shape (members, rows, places, moments)."""
    is_held: NDArray[np.bool_] = (tables != 0).any(axis=3)
    if one_at_least:
        is_held[..., 0] |= ~is_held.any(axis=2)
    which, row, place = is_held.nonzero()
    return Entries(_ints(members)[which], _ints(rows)[row], place, tables[which, row, place])


def _ordered(parts: Sequence[Entries], moments: int) -> Entries:
    if not parts:
        return Entries(_ints([]), _ints([]), _ints([]), np.zeros((0, moments)))
    window, row, place = (np.concatenate([part[column] for part in parts]) for column in range(3))
    values = np.concatenate([part.values for part in parts])
    order = np.argsort(window, kind="stable")
    return Entries(window[order], row[order], place[order], values[order])


def _residuals(windows: Sequence[Window]) -> Array:
    table = np.zeros((len(windows), 4))
    for index, window in enumerate(windows):
        labels = window.labels
        if labels is not None and VALUE_CLASS in labels.classes and not labels.joint:
            row = labels.classes.index(VALUE_CLASS)
            labelled = labels.lags[row].sum() if labels.lags.size else labels.class_counts[row]
            table[index] = (
                labelled,
                labels.residual_sum,
                labels.residual_absolute_sum,
                labels.residual_square_sum,
            )
    return table
