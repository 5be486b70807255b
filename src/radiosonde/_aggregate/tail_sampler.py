"""Selects the predictions that get a span after the fact, from drained records.

A prediction inside a trace that is not recording has no span. Most need none; these do: errors, the slowest of each window and series,
those with a confidence close to chance, those with input outside the reference, and a few at random to
compare them with. `Allowance` bounds them per minute; those beyond it are counted (``spans_bounded``).

Cost: a block without a prediction to keep takes five vector operations over its headers and one pass over `SAMPLE_ROWS` of its rows (about
0.1 ms per block of any size). Input out of range is found only there and among the
rows chosen for another reason: assigning the cells of every row would cost as much again as counting them all.

The baseline is one record a block, drawn uniformly from it, as often as its share of the allowance allows: it is spread
evenly over time, not over predictions.

The ids of a created span are written into the block's headers, so that exemplars refer only to spans that exist.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde._aggregate.allowance import Allowance
from radiosonde._aggregate.slowest import Slowest
from radiosonde._aggregate.stream import Stream
from radiosonde._clock import NS, monotonic_ns
from radiosonde._guard import Guard
from radiosonde._ring.block import Block
from radiosonde._ring.layout import FAILED, INPUT_ROW, prediction_id
from radiosonde.model import SeriesKey, policies
from radiosonde.model.cells import cells_text
from radiosonde.model.spans import BASELINE, ERROR, LOW_CONFIDENCE, OUT_OF_RANGE, REASONS, SLOW, KeptSpan

SAMPLE_ROWS = 64
"""Rows of a block that are checked for input out of range."""

WINDOWS = 1000
"""Windows and series whose slowest are remembered; the oldest beyond it are forgotten."""

_MASK_64 = (1 << 64) - 1

Places = NDArray[np.intp]


def low_confidence(classes: int) -> float:
    """Return the confidence below which a model of so many classes hardly knows: a tenth of the way from chance to 1.

    0.55 of two classes, 0.4 of three, 0.19 of ten.
    """
    chance = 1 / max(2, classes)
    return chance + (1 - chance) / 10


class TailSampler:
    """Chooses and makes spans after the fact. Owner: the consumer thread.

    Args:
        per_minute: largest number of spans per minute.
        guard: counts spans beyond the bound.
        seed: for tests.
    """

    def __init__(self, per_minute: int, guard: Guard, *, seed: int | None = None) -> None:
        self._guard = guard
        self._allowance = Allowance(per_minute)
        self._random = np.random.default_rng(seed)
        self._slowest: dict[tuple[int, SeriesKey], Slowest] = {}
        self._baseline_every_ns = 60 * NS // max(1, 2 * (per_minute // 10))
        self._baseline_due_ns: dict[int, int] = {}
        self._kept: list[KeptSpan] = []

    def take(self) -> list[KeptSpan]:
        """Return the spans kept since the last call. Bounded by the allowance if called regularly."""
        kept, self._kept = self._kept, []
        return kept

    # At once ---------------------------------------------------------------------------------------------------------

    def keep(self, stream: Stream, block: Block) -> None:
        """Select from a block; the ids of the created spans are in its headers afterwards."""
        # Guarded here: a failure must cost spans, not the counts of the block.
        with self._guard("span_keep"):
            self._keep(stream, block)

    def _keep(self, stream: Stream, block: Block) -> None:
        headers = block.headers
        is_open = headers["span_id"] == 0
        with_rows = is_open & (headers["input_kind"] == INPUT_ROW) & (headers["batch"] == 0)
        wanted = {
            ERROR: np.flatnonzero(is_open & ((headers["mark"] & 3) == FAILED)),
            LOW_CONFIDENCE: np.flatnonzero(is_open & (headers["confidence"] < low_confidence(len(stream.classes)))),
            OUT_OF_RANGE: self._out_of_range(stream, block, np.flatnonzero(with_rows)),
            BASELINE: self._drawn(stream, is_open),
        }
        chosen = np.zeros(len(block), dtype=np.bool_)
        for reason, places in wanted.items():
            self._choose(reason, places, chosen)
        asked = np.zeros(len(block), dtype=np.bool_)
        asked[np.concatenate([wanted[reason] for reason in wanted if reason != BASELINE])] = True
        bounded = int(np.count_nonzero(asked & ~chosen))
        if bounded:
            self._guard.lose(policies.SPANS_BOUNDED, bounded)
        for place in np.flatnonzero(chosen).tolist():
            why = {reason for reason, places in wanted.items() if place in places}
            span = self._make(stream, block, place, why)
            headers["trace_hi"][place], headers["trace_lo"][place] = span.trace_id >> 64, span.trace_id & _MASK_64
            headers["span_id"][place] = span.span_id

    def _choose(self, reason: str, places: Places, chosen: NDArray[np.bool_]) -> None:
        places = places[~chosen[places]]
        if not len(places):
            return
        granted = self._allowance.grant(reason, len(places))
        # At random, not the first ones, which show only the beginning of an incident.
        chosen[places if granted == len(places) else self._random.choice(places, granted, replace=False)] = True

    def _out_of_range(self, stream: Stream, block: Block, places: Places) -> Places:
        if stream.outside is None or not len(places):
            return places[:0]
        step = -(-len(places) // SAMPLE_ROWS)
        sampled = places[self._random.integers(step) :: step]
        return sampled[_is_outside(stream, _cells(stream, block.rows[sampled]))]

    def _drawn(self, stream: Stream, is_open: NDArray[np.bool_]) -> Places:
        """Return one open record at random when the stream's next is due, else none."""
        places, now_ns = np.flatnonzero(is_open), monotonic_ns()
        if not len(places) or now_ns < self._baseline_due_ns.get(stream.nonce, 0):
            return places[:0]
        if len(self._baseline_due_ns) > WINDOWS:
            self._baseline_due_ns.clear()  # rings come and go where an agent drains them
        # With jitter, so that the grants do not always go to the same streams.
        self._baseline_due_ns[stream.nonce] = now_ns + round(self._baseline_every_ns * self._random.uniform(0.5, 1.5))
        return self._random.choice(places, 1)

    # When a window closes --------------------------------------------------------------------------------------------

    def rank(self, start_ns: int, key: SeriesKey, stream: Stream, block: Block) -> None:
        """Collect the slowest records without a span of a window and series from a block."""
        with self._guard("span_rank"):
            self._rank(start_ns, key, stream, block)

    def _rank(self, start_ns: int, key: SeriesKey, stream: Stream, block: Block) -> None:
        slowest = self._slowest.get((start_ns, key))
        if slowest is None:
            slowest = self._slowest[start_ns, key] = Slowest()
            if len(self._slowest) > WINDOWS:
                forgotten = self._slowest.pop(next(iter(self._slowest))).take()
                if forgotten:
                    self._guard.lose(policies.SPANS_BOUNDED, len(forgotten))
        slowest.add(stream, block)

    def release(self, start_ns: int, key: SeriesKey) -> list[KeptSpan]:
        """Return the slowest of a closing window (or part of it); `take` returns them, too."""
        with self._guard("span_release"):
            return self._release(start_ns, key)
        return []

    def _release(self, start_ns: int, key: SeriesKey) -> list[KeptSpan]:
        slowest = self._slowest.get((start_ns, key))
        if slowest is None:
            return []
        candidates = slowest.take()
        granted = self._allowance.grant(SLOW, len(candidates)) if candidates else 0
        if granted < len(candidates):
            self._guard.lose(policies.SPANS_BOUNDED, len(candidates) - granted)
        return [self._make(stream, record, 0, {SLOW}) for stream, record in candidates[:granted]]

    # Both ------------------------------------------------------------------------------------------------------------

    def _make(self, stream: Stream, block: Block, place: int, why: set[str]) -> KeptSpan:
        header = block.headers[place]
        cells = ""
        if header["input_kind"] == INPUT_ROW and not header["batch"] and stream.grid is not None:
            row = _cells(stream, block.rows[place : place + 1])
            cells = cells_text(row[0], stream.grid.width)
            if stream.outside is not None and len(_is_outside(stream, row)):
                why.add(OUT_OF_RANGE)
        high, low, parent = (0, 0, 0) if block.parents is None else (int(part) for part in block.parents[place])
        start_ns, code, confidence = int(header["start_ns"]), int(header["class_code"]), float(header["confidence"])
        span = KeptSpan(
            trace_id=high << 64 | low if parent else self._id(16),
            span_id=self._id(8),
            parent_span_id=parent,
            key=SeriesKey(stream.model, stream.version, stream.variant, stream.cohorts[int(header["series"])]),
            prediction_id=prediction_id(start_ns, stream.nonce, int(block.indices[place])),
            start_ns=start_ns,
            end_ns=start_ns + int(header["duration_ns"]),
            rows=int(header["rows"]),
            reasons=tuple(reason for reason in REASONS if reason in why),
            error_type=stream.errors[int(header["error"])],
            class_name=stream.class_name(code),
            confidence=None if np.isnan(confidence) else confidence,
            cells=cells,
            phases_s=_phases(stream, header),
        )
        self._kept.append(span)
        return span

    def _id(self, width_bytes: int) -> int:
        # Zero is not a valid id.
        return int.from_bytes(self._random.bytes(width_bytes), "little") or 1


def _cells(stream: Stream, rows: NDArray[np.float64]) -> NDArray[np.int16]:
    if stream.grid is None:
        raise ValueError("cells cannot be assigned before the grid is known")
    return stream.grid.assign(stream.to_grid(rows))


def _is_outside(stream: Stream, cells: NDArray[np.int16]) -> Places:
    """Return which rows have a cell outside the reference."""
    if stream.outside is None:
        return np.empty(0, dtype=np.intp)
    found: Places = np.flatnonzero(stream.outside[np.arange(cells.shape[1]), cells].any(axis=1))
    return found


def _phases(stream: Stream, header: Any) -> tuple[tuple[str, float], ...]:
    spent = header["phase_s"].tolist()
    return tuple((name, seconds) for name, seconds in zip(stream.phases, spent, strict=False) if seconds > 0)
