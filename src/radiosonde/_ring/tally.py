"""Mergeable counts of records whose slots were reclaimed.

A tally is an array of `ENTRY`. An entry is the count of one kind of event in one second of event time in one series, with a sum for some
kinds. Tallies of disjoint records concatenate, and `merge` adds entries of one key. A second divides every window length, so a reader can
assign an entry to a window of any length.

Counted are calls, rows, errors, batch sizes, durations, phases, classes with their confidences, and values: everything of
a record but its features and its ids.

Made by callers of predictions, of `CHUNK` records at a time: numpy keeps the interpreter lock over operations on 500
elements or fewer, and a caller that gives it away waits for whichever thread is busy in Python (5 ms each time). A chunk
costs 60 to 90 us (bench_tail).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radiosonde._ring.layout import (
    DONE,
    FAILED,
    INPUT_ROW,
    OUTPUT_CLASS,
    OUTPUT_SCORE,
    OUTPUT_UNREADABLE,
    SERIES_MASK,
)
from radiosonde.model import FIRST_HASHED, LATENCY
from radiosonde.model.bins import LATENCY_EDGES_S, VALUE_EDGES, batch_bucket, confidence_bin, latency_edge

ENTRY: Final = np.dtype([("second", "<i8"), ("key", "<u8"), ("count", "<i8"), ("total", "<f8")])
"""One count: second of event time, key (see `Counted`), count, and a sum."""

(
    CALLS, ERRORS, SIZES, DURATIONS, PHASE_SUMS, CLASSES, CONFIDENCES, VALUES, UNREADABLE, ANSWERED, UNSEEN_ROWS, UNJOINABLE,
) = range(12)  # fmt: skip
"""Kinds of entries, with code and bucket and what count and total mean.

* ``CALLS``: calls; rows of those that ended without an error.
* ``ERRORS`` (code: error): calls that failed.
* ``SIZES`` (bucket: batch size by power of two): calls.
* ``DURATIONS`` (code: explicit latency bucket, bucket: exponential one): calls; seconds.
* ``PHASE_SUMS`` (code: phase, bucket: exponential latency bucket of the call): calls; seconds in the phase.
* ``CLASSES`` (code: class + 1, 0 for all beyond the bound): rows.
* ``CONFIDENCES`` (code: likewise, bucket: confidence): rows; sum of confidences.
* ``VALUES`` (bucket: place among the edges): rows; sum of values.
* ``UNREADABLE``: rows with an unreadable output.
* ``ANSWERED``: outputs read; sum of the squares of their weights.
* ``UNSEEN_ROWS``: rows whose features were not counted.
* ``UNJOINABLE``: predictions that could have been labelled.
"""

LATENCY_EDGES: Final = "latency_edges_s"
"""Key of a ring's schema: bounds of durations, because the consumer of the ring may be configured with others."""

CHUNK: Final = 500
"""Records counted in one go."""

_CODE, _KIND, _SERIES = 16, 40, 44
"""Shifts in a key, whose low 16 bits are the bucket."""

_DENSE = 1 << 16
"""Places up to which they are counted one by one; beyond, several series and seconds together, they are sorted first."""

_NS = 1_000_000_000


def latency_edges_of(schema: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the bounds of durations that a ring's tallies are counted by, from its schema."""
    return tuple(map(float, schema.get(LATENCY_EDGES) or LATENCY_EDGES_S))


class Outputs(NamedTuple):
    """Outputs of rows of batches.

    Attributes:
        record: which of the counted records each row belongs to, shape (rows,).
        values: class code or score, and confidence, shape (rows, 2).
    """

    record: NDArray[np.int64]
    values: NDArray[np.float64]


class Counted(NamedTuple):
    """Columns of entries: series code, kind, code, bucket, count, and sum; arrays of one length."""

    series: NDArray[np.int64]
    kind: NDArray[np.int64]
    code: NDArray[np.int64]
    bucket: NDArray[np.int64]
    counts: NDArray[np.int64]
    totals: NDArray[np.float64]

    def of(self, kind: int) -> Counted:
        """Return the entries of one kind."""
        return self.part(self.kind == kind)

    def part(self, chosen: NDArray[Any]) -> Counted:
        """Return the entries at *chosen*."""
        return Counted(*(values[chosen] for values in self))


def take_apart(entries: NDArray[Any]) -> Counted:
    """Return *entries* taken apart."""
    keys = entries["key"].astype(np.int64)
    series, kind = keys >> _SERIES, (keys >> _KIND) & 0xF
    return Counted(series, kind, (keys >> _CODE) & 0xFFFFFF, keys & 0xFFFF, entries["count"], entries["total"])


def calls_of(entries: NDArray[Any]) -> int:
    """Return the number of calls in *entries*."""
    return int(take_apart(entries).of(CALLS).counts.sum())


def merge(entries: NDArray[Any]) -> NDArray[Any]:
    """Return *entries* with those of one second and key added."""
    order = np.lexsort((entries["key"], entries["second"]))
    sorted_entries = entries[order]
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = (np.diff(sorted_entries["second"]) != 0) | (sorted_entries["key"][1:] != sorted_entries["key"][:-1])
    starts = np.flatnonzero(is_first)
    merged: NDArray[Any] = sorted_entries[starts]
    if len(starts):
        merged["count"] = np.add.reduceat(sorted_entries["count"], starts)
        with np.errstate(over="ignore", invalid="ignore"):  # sums of answers may be infinite
            merged["total"] = np.add.reduceat(sorted_entries["total"], starts)
    return merged


def coarsen(entries: NDArray[Any], length_s: int) -> NDArray[Any]:
    """Return sorted *entries* (see `merge`), each dated by the last second among those in the same *length_s* seconds.

    By the last second and not by the start of that time: what was counted within some seconds stays within them.
    """
    coarse = entries.copy()
    if len(entries):
        spans = entries["second"] // length_s
        last = np.flatnonzero(np.append(np.diff(spans) != 0, True))
        coarse["second"] = np.repeat(entries["second"][last], np.diff(last, prepend=-1))
    return coarse


def fit(entries: NDArray[Any], room: int) -> tuple[NDArray[Any], int]:
    """Return the entries of as many series as have room, those with the lowest codes first, and the number of calls of the others."""
    if len(entries) <= room:
        return entries, 0
    series = entries["key"] >> np.uint64(_SERIES)
    order = np.argsort(series, kind="stable")
    stops = np.append(np.flatnonzero(np.diff(series[order])) + 1, len(series))
    fitting = stops[stops <= room]
    kept = int(fitting[-1]) if len(fitting) else 0
    return entries[order[:kept]], calls_of(entries[order[kept:]])


class _Rows(NamedTuple):
    """Rows to count: the record of the chunk of each (None: one row per record), and the weight of each."""

    records: NDArray[np.int64] | None = None
    weights: NDArray[np.int64] | None = None

    def part(self, chosen: NDArray[np.bool_]) -> _Rows:
        """Return the rows at *chosen*."""
        if chosen.all():
            return self
        records = chosen.nonzero()[0] if self.records is None else self.records[chosen]
        return _Rows(records, None if self.weights is None else self.weights[chosen])


class Tallier:
    """Counts records of one ring.

    Args:
        value_edges: ascending edges of values; empty takes `VALUE_EDGES`.
        latency_edges_s: ascending edges of durations, from the ring's schema.
    """

    def __init__(self, value_edges: tuple[float, ...] = (), latency_edges_s: Sequence[float] = LATENCY_EDGES_S) -> None:
        self._edges = np.array(value_edges or VALUE_EDGES, dtype=np.float64)
        self._latency_edges_s = np.array(latency_edges_s, dtype=np.float64)

    def count(
        self, headers: NDArray[Any], outputs: Outputs | None = None, *, is_joinable: bool = False
    ) -> NDArray[Any]:
        """Return the tally of records that have ended.

        Args:
            headers: structured array of `radiosonde._ring.layout.HEADER`, shape (records,).
            outputs: outputs of the batches among them whose rows are known.
            is_joinable: whether the predictions are remembered for their labels elsewhere.
        """
        if not len(headers):
            return np.empty(0, dtype=ENTRY)
        page = _page_of(headers)
        state, rows = headers["mark"] & 3, headers["rows"].astype(np.int64)
        is_done, is_batch, is_unseen = state == DONE, headers["batch"] > 0, headers["input_kind"] == INPUT_ROW
        if is_done.all():
            page.add(CALLS, _Rows(), totals=rows)
        else:
            page.add(CALLS, _Rows(), totals=rows * is_done)
            is_failed = state == FAILED
            page.add(ERRORS, _Rows().part(is_failed), code=headers["error"][is_failed].astype(np.int64))
        is_sized = rows > 0
        page.add(SIZES, _Rows().part(is_sized), batch_bucket(rows[is_sized]))
        _add_durations(page, headers, self._latency_edges_s)
        is_single = is_done
        if is_batch.any():
            is_single = is_done & ~is_batch
            self._add_batches(page, headers, is_done & is_batch, outputs)
        self._add_singles(page, headers, is_single)
        if not is_joinable:
            page.add(UNJOINABLE, _Rows().part(is_single & (rows == 1)))
        page.add(
            UNSEEN_ROWS, _Rows(weights=rows) if is_unseen.all() else _Rows(is_unseen.nonzero()[0], rows[is_unseen])
        )
        return page.entries()

    def answers(self, kind: int, outputs: NDArray[np.float64], weight: int = 1) -> NDArray[Any]:
        """Return the tally of the answers of one batch, without series and second, which `placed` sets.

        Args:
            kind: `radiosonde._ring.layout.OUTPUT_CLASS`, ``OUTPUT_SCORE`` or ``OUTPUT_UNREADABLE``; of others nothing is counted.
            outputs: class code or score, and confidence, shape (rows, 2).
            weight: weight of each row.
        """
        weights = None if weight == 1 else np.full(len(outputs), weight)
        page, rows = _Page(*_NOWHERE), _Rows(np.zeros(len(outputs), dtype=np.int64), weights)
        if kind == OUTPUT_UNREADABLE:
            page.add(UNREADABLE, rows)
        self._add_outputs(page, rows, kind, outputs)
        return page.entries()

    def _add_singles(self, page: _Page, headers: NDArray[Any], is_single: NDArray[np.bool_]) -> None:
        kinds = headers["output_kind"]
        is_class, is_score = is_single & (kinds == OUTPUT_CLASS), is_single & (kinds == OUTPUT_SCORE)
        if is_class.any():
            _add_classes(page, _Rows().part(is_class), headers["class_code"][is_class], headers["confidence"][is_class])
        if is_score.any():
            self._add_values(page, _Rows().part(is_score), headers["score"][is_score])
        page.add(UNREADABLE, _Rows().part(is_single & (kinds == OUTPUT_UNREADABLE)))

    def _add_batches(
        self, page: _Page, headers: NDArray[Any], is_done: NDArray[np.bool_], outputs: Outputs | None
    ) -> None:
        is_unreadable = is_done & (headers["output_kind"] == OUTPUT_UNREADABLE)
        page.add(UNREADABLE, _Rows(np.flatnonzero(is_unreadable), headers["rows"][is_unreadable].astype(np.int64)))
        if outputs is None or not len(outputs.record):
            return
        rows = _Rows(outputs.record, headers["step"][outputs.record].astype(np.int64))
        kinds = headers["output_kind"][outputs.record]
        for kind in (OUTPUT_CLASS, OUTPUT_SCORE):
            chosen = kinds == kind
            values = outputs.values if chosen.all() else outputs.values[chosen]
            self._add_outputs(page, rows.part(chosen), kind, values)

    def _add_outputs(self, page: _Page, rows: _Rows, kind: int, outputs: NDArray[np.float64]) -> None:
        """Count outputs of one kind."""
        if kind == OUTPUT_CLASS:
            _add_known_classes(page, rows, outputs)
        elif kind == OUTPUT_SCORE:
            self._add_values(page, rows, outputs[:, 0])

    def _add_values(self, page: _Page, rows: _Rows, values: NDArray[np.float64]) -> None:
        is_finite = np.isfinite(values)
        page.add(UNREADABLE, rows.part(~is_finite))
        rows, values = rows.part(is_finite), values[is_finite]
        _add_answered(page, rows)
        page.add(VALUES, rows, np.searchsorted(self._edges, values, side="left"), totals=values)


_NOWHERE = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)


def placed(entries: NDArray[Any], header: Any) -> NDArray[Any]:
    """Return the result of `Tallier.answers`, in the second and the series of the record with that header."""
    moved: NDArray[Any] = entries.copy()
    moved["second"] = (int(header["event_ns"]) or int(header["start_ns"])) // _NS
    moved["key"] |= np.uint64((int(header["series"]) & SERIES_MASK) << _SERIES)
    return moved


def unjoinable(headers: NDArray[Any]) -> NDArray[Any]:
    """Return the tally that marks predictions counted elsewhere as no longer joinable."""
    if not len(headers):
        return np.empty(0, dtype=ENTRY)
    page = _page_of(headers)
    page.add(UNJOINABLE, _Rows())
    return page.entries()


def _page_of(headers: NDArray[Any]) -> _Page:
    event_ns = headers["event_ns"]
    seconds = np.where(event_ns > 0, event_ns, headers["start_ns"]) // _NS
    return _Page(seconds, (headers["series"] & SERIES_MASK).astype(np.int64))


def _add_durations(page: _Page, headers: NDArray[Any], edges_s: NDArray[np.float64]) -> None:
    durations_s = headers["duration_ns"] / _NS
    buckets = LATENCY.index(durations_s)
    page.add(DURATIONS, _Rows(), buckets, latency_edge(durations_s, edges_s), durations_s)
    phases_s = headers["phase_s"]
    for code in np.flatnonzero(phases_s.any(axis=0)).tolist():
        spent_s = phases_s[:, code]
        is_spent = spent_s > 0
        page.add(PHASE_SUMS, _Rows().part(is_spent), buckets[is_spent], np.full(np.count_nonzero(is_spent), code),
                 spent_s[is_spent])  # fmt: skip


def _add_answered(page: _Page, rows: _Rows) -> None:
    squares = np.ones(page.count(rows)) if rows.weights is None else rows.weights.astype(np.float64) ** 2
    page.add(ANSWERED, _Rows(rows.records), totals=squares)


def _add_known_classes(page: _Page, rows: _Rows, outputs: NDArray[np.float64]) -> None:
    """Count classes and confidences, shape (rows, 2); a code below 0 is an output that could not be read."""
    codes, confidences = outputs[:, 0], outputs[:, 1]
    is_known = codes >= 0
    if not is_known.all():
        page.add(UNREADABLE, rows.part(~is_known))
        rows, codes, confidences = rows.part(is_known), codes[is_known], confidences[is_known]
    _add_classes(page, rows, codes, confidences)


def _add_classes(page: _Page, rows: _Rows, codes: NDArray[Any], confidences: NDArray[Any]) -> None:
    is_beyond = codes >= FIRST_HASHED
    codes = codes.astype(np.int64) + 1
    if is_beyond.any():
        codes[is_beyond] = 0
    _add_answered(page, rows)
    page.add(CLASSES, rows, code=codes)
    is_confident = ~np.isnan(confidences)
    if not is_confident.all():
        rows, codes, confidences = rows.part(is_confident), codes[is_confident], confidences[is_confident]
    confidences = confidences.astype(np.float64, copy=False)
    page.add(CONFIDENCES, rows, confidence_bin(confidences), codes, confidences)


class _Page:
    """Entries of one chunk while they are collected.

    Args:
        seconds: second of event time of each record.
        series: series code of each record.
    """

    def __init__(self, seconds: NDArray[np.int64], series: NDArray[np.int64]) -> None:
        # Seconds, keys, counts and totals; joined as plain arrays, because joining structured ones takes ten times as long.
        self._parts: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]] = []
        self._records = len(seconds)
        self._groups: NDArray[np.int64] | None = None
        self._seconds, self._series = seconds[:1], series[:1] << _SERIES
        if (seconds == seconds[0]).all() and (series == series[0]).all():
            return
        order = np.lexsort((series, seconds))
        is_new = np.ones(self._records, dtype=np.bool_)
        is_new[1:] = (np.diff(seconds[order]) != 0) | (np.diff(series[order]) != 0)
        self._groups = np.empty(self._records, dtype=np.int64)
        self._groups[order] = np.cumsum(is_new) - 1
        self._seconds, self._series = seconds[order][is_new], series[order][is_new] << _SERIES

    def count(self, rows: _Rows) -> int:
        """Return the number of *rows*."""
        return self._records if rows.records is None else len(rows.records)

    def add(
        self,
        kind: int,
        rows: _Rows,
        bucket: NDArray[np.int64] | None = None,
        code: NDArray[np.int64] | None = None,
        totals: NDArray[Any] | None = None,
    ) -> None:
        """Count *rows* by bucket and code, and add up *totals* (weighted), which are None or one for each of the rows."""
        count = self.count(rows)
        if not count:
            return
        if totals is not None and rows.weights is not None:
            with np.errstate(over="ignore"):
                totals = totals * rows.weights
        if bucket is None and code is None and self._groups is None:  # one entry
            weighted = count if rows.weights is None else int(rows.weights.sum())
            with np.errstate(over="ignore", invalid="ignore"):
                total = 0.0 if totals is None else float(totals.sum())
            key = self._series | kind << _KIND
            self._parts.append((self._seconds, key, np.array([weighted]), np.array([total])))
            return
        codes = size = 1
        if code is None:
            places = np.zeros(count, dtype=np.int64) if bucket is None else bucket
        else:
            codes = int(code.max()) + 1
            places = code if bucket is None else bucket * codes + code
        if self._groups is not None:
            size = int(places.max()) + 1
            places = places + size * (self._groups if rows.records is None else self._groups[rows.records])
        found, counts, sums = _summed(places, rows.weights, totals)
        if self._groups is None:
            seconds, series = np.broadcast_to(self._seconds, len(found)), self._series
        else:
            group, found = np.divmod(found, size)
            seconds, series = self._seconds[group], self._series[group]
        if codes > 1:
            quotient, remainder = np.divmod(found, codes)
            found = quotient | remainder << _CODE
        self._parts.append((seconds, found | series | kind << _KIND, counts, sums))

    def entries(self) -> NDArray[Any]:
        """Return the entries."""
        if not self._parts:
            return np.empty(0, dtype=ENTRY)
        columns = [np.concatenate(column) for column in zip(*self._parts, strict=True)]
        entries = np.empty(len(columns[0]), dtype=ENTRY)
        for name, column in zip(ENTRY.names or (), columns, strict=True):
            entries[name] = column
        return entries


def _summed(
    places: NDArray[np.int64], weights: NDArray[np.int64] | None, totals: NDArray[Any] | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the distinct places, the weighted count of each, and the sum of *totals* at each."""
    names = None
    if int(places.max()) >= _DENSE:
        names, places = np.unique(places, return_inverse=True)
    counts = np.bincount(places)
    found = counts.nonzero()[0]
    if weights is not None:
        counts = np.bincount(places, weights).astype(np.int64)
    sums = np.zeros(len(found)) if totals is None else np.bincount(places, totals)[found]
    return found if names is None else names[found], counts[found], sums
