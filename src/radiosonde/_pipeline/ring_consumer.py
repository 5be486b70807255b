"""The consumer side of a ring: record writer, reader, stream, and records that may be labelled."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from radiosonde._aggregate.stream import Stream
from radiosonde._clock import sleep
from radiosonde._join.store import PREDICTION, LaneNames, Predictions
from radiosonde._native import OwnedLock
from radiosonde._record.released_rings import Tables
from radiosonde._record.unended import settle as settle_unended
from radiosonde._ring.block import Block
from radiosonde._ring.layout import DONE, INPUT_ROW
from radiosonde._ring.reader import RingReader
from radiosonde._ring.ring import Ring
from radiosonde._ring.tally import CALLS, UNJOINABLE, UNSEEN_ROWS, calls_of, latency_edges_of, take_apart
from radiosonde.model import losses
from radiosonde.model.cells import cells_text

if TYPE_CHECKING:
    from radiosonde._aggregate.aggregator import Aggregator
    from radiosonde._guard import Guard
    from radiosonde._labels.label_queue import LabelQueue
    from radiosonde._record.record_writer import RecordWriter
    from radiosonde.reference.profile import Reference

SLICE_ROWS = 8192
"""Records folded in one go before the interpreter lock is offered to others. Large, because against a caller that is busy
in Python each of the hundred numpy calls of a slice may wait a switch interval (5 ms) for the lock; the longest single
hold is one sketch update, about 100 us (bench_tail)."""

LOOKS_AHEAD = 3
"""Number of polls for which there must be room: a late poll, and the first copies of the drain. One poll is a turn of the agent, or here a
wake by the writer (`radiosonde._ring.layout.WAKES`, `radiosonde._record.record_writer.ARENA_WAKES`)."""

RECORD_LOOKS_AHEAD = 4
"""The same for single records, whose callers hold the interpreter lock that the drain needs: with three, a caller at full
rate overwrote one record in 400 (bench_tail). A first poll therefore drains a ring that is a fifth full."""


class RingConsumer:
    """Drains one ring. Owner: the consumer thread.

    Args:
        ring: a ring of this or of another process.
        stream: the stream of the ring.
        declared_classes: how many of its classes have a position (those learned from answers have none).
        writer: the record writer, if it belongs to this process.

    Attributes:
        tallies: writers' counts of reclaimed records, until they are folded.
        joinable: those of them that may be labelled.
        is_closed: whether its files are closed, because it has no writer any more.
    """

    def __init__(self, ring: Ring, stream: Stream, declared_classes: int, writer: RecordWriter | None = None) -> None:
        self.ring = ring
        self.stream = stream
        # Held until it has been drained once; then an unreachable writer is released (`is_over`).
        self._kept = writer
        self._writer = None if writer is None else weakref.ref(writer)
        self._reclaimer = None if writer is None else writer.reclaimer
        self._own_tables = None if writer is None else Tables.of_writer(writer)
        self._claim = OwnedLock()
        self._is_claimed = False
        self._lives = self._drained_lives = 0  # writers so far, and at the last drain
        self.reader = RingReader(ring)
        self.records = 0
        self.rows = 0
        self.feature_rows = 0
        self.is_closed = False
        self.tallies: list[NDArray[Any]] = []
        self.joinable: list[Block] = []
        self._lost: dict[str, int] = {}
        self._arena_seen = 0
        self._looked = 0, 0  # values and records that waited at the last poll
        self._declared_classes = declared_classes
        self._names: LaneNames | None = None

    @classmethod
    def of_writer(cls, writer: RecordWriter, reference: Reference | None) -> Self:
        """Drain the ring of a writer of this process."""
        recorder, schema = writer.recorder, writer.schema
        stream = Stream(
            model=recorder.name,
            version=recorder.version,
            variant=recorder.variant,
            cohorts=recorder.cohorts.names,
            classes=writer.outputs.classes.names,
            errors=recorder.errors.names,
            phases=recorder.phases.names,
            features=schema.public_names,
            categories=tuple(None if codes is None else codes.names for codes in schema.codes),
            is_open=schema.is_open,
            arena=writer.ring.arena,
            nonce=writer.ring.nonce,
            latency_edges_s=latency_edges_of(writer.ring.schema),
        )
        if reference is not None and schema.public_names == tuple(feature.name for feature in reference.features):
            stream.adopt(reference)
        return cls(writer.ring, stream, writer.outputs.declared, writer)

    @property
    def is_half_full(self) -> bool:
        """Whether half of the ring or of the arena is filled: the next records may need the other half."""
        arena, ring = self.ring.arena, self.ring
        return 2 * (arena.reserved - self._arena_seen) >= arena.size > 0 or 2 * self.reader.glance() >= ring.capacity

    @property
    def is_filling(self) -> bool:
        """Whether the ring or the arena would be full `LOOKS_AHEAD` polls from now: then it is drained out of turn.

        Call once per poll. The criterion is the growth since the last one: with a fixed share, say a quarter, a steady load that fills the
        ring in a second would be drained four times in it, and drains are expensive.
        """
        arena, ring = self.ring.arena, self.ring
        values, records = arena.reserved - self._arena_seen, self.reader.glance()
        more_values, more_records = values - self._looked[0], records - self._looked[1]
        self._looked = values, records
        if values + LOOKS_AHEAD * more_values >= arena.size > 0 < values:
            return True
        return records + RECORD_LOOKS_AHEAD * more_records >= ring.capacity

    @property
    def waiting(self) -> int:
        """Estimated number of records, or rows of batches, that waited at the last poll and were not drained since."""
        values, records = self._looked
        return max(records, values // max(1, self.ring.features))

    @property
    def writer(self) -> RecordWriter | None:
        """The record writer; None when it is of another process, or gone with the function that it recorded."""
        return None if self._writer is None else self._writer()

    @property
    def is_over(self) -> bool:
        """Whether the ring has no writer any more: its function, or the schema that it was created for, is gone."""
        return self._kept is None and self.is_released

    @property
    def is_released(self) -> bool:
        """The same of a ring that may not have been drained once."""
        if self._writer is None or self._is_claimed:
            return False
        writer = self._writer()
        return writer is None or (writer.recorder.is_released and not writer.reclaimer.is_in_flight)

    @property
    def tables(self) -> Tables:
        """Meaning of its codes; of a ring of this process."""
        if self._own_tables is None:
            raise TypeError("a ring of another process has no tables; read its names")
        return self._own_tables

    def claim(self) -> bool:
        """Claim a ring whose writer is gone for another writer, which `attach` brings; return whether that was possible."""
        if not self._claim.acquire(0.0):
            return False
        try:
            former = self.writer
            if self.is_closed or not self.is_released or (former is not None and former.unended):
                return False
            self._is_claimed = True
        finally:
            self._claim.release()
        if former is not None:
            former.recorder.let_go(former)
        return True

    def unclaim(self) -> None:
        """Leave a claimed ring to the consumer again."""
        self._is_claimed = False

    def attach(self, writer: RecordWriter) -> None:
        """Drain the records of another writer from now on, after `claim`."""
        if self._reclaimer is not None:
            writer.reclaimer.succeed(self._reclaimer)
        self._lives += 1
        self._kept, self._writer, self._reclaimer = writer, weakref.ref(writer), writer.reclaimer
        self._is_claimed = False

    def retire(self, *, is_drained: bool) -> bool:
        """Close the ring if it has no writer; return whether it was closed. No writer can claim it afterwards.

        Args:
            is_drained: only if no writer has come since the last drain began.
        """
        if not self._claim.acquire(0.0):
            return False  # it is being claimed
        try:
            if self.is_closed or not self.is_over or (is_drained and self._drained_lives != self._lives):
                return False
            self.is_closed = True
            return True
        finally:
            self._claim.release()

    def close(self) -> None:
        """Close the mapping and the files of the ring."""
        self.is_closed = True
        self.ring.close()
        self.ring.arena.let_go()
        writer = self.writer
        if writer is not None:
            writer.recorder.let_go(writer)

    def settle(self) -> None:
        """Resolve the version, which may take long, and write the records that callers could not."""
        kept, writer = self._kept, self.writer
        if self._reclaimer is not None:
            self._reclaimer.settle()
        if writer is not None:
            if writer.unended:
                settle_unended(writer)
            self.stream.version = writer.recorder.settle_version()
        if self._kept is kept:  # else another writer has come meanwhile
            self._kept = None

    @property
    def has_uncounted(self) -> bool:
        """Whether a ring of this process holds ended predictions that were not taken."""
        return self._reclaimer is not None and self._reclaimer.has_uncounted

    def hand_over(self, successor: Ring) -> None:
        """Count the ended predictions of an undrained ring of this process into the tally of *successor*."""
        if self._reclaimer is not None:
            self._reclaimer.hand_over(successor)

    def give_up(self) -> int:
        """Return the number of calls in a ring of this process that will never be counted."""
        return self._reclaimer.give_up() if self._reclaimer is not None and self._reclaimer.has_uncounted else 0

    def drain(self, guard: Guard) -> Block:
        """Take the finished records and count losses."""
        reader = self.reader
        self._drained_lives = self._lives
        self.settle()
        self._arena_seen, self._looked = self.ring.arena.reserved, (0, 0)
        block = reader.drain()
        if self._reclaimer is not None:  # records are counted in this process: there is no commit to wait for
            reader.mark_durable(reader.progress()[2])
            self.joinable += reader.joined(self._reclaimer.take_joinable())
        lost = {losses.RING_OVERWRITTEN: reader.overwritten, losses.BATCH_OVERWRITTEN: reader.batch_rows_lost}
        for reason, count in lost.items():
            if count > self._lost.get(reason, 0):
                guard.lose(reason, count - self._lost.get(reason, 0))
        self._lost = lost
        self.records += len(block)
        self.rows += int(block.headers["rows"].sum())
        has_features = block.headers["input_kind"] == INPUT_ROW
        self.feature_rows += int(block.headers["rows"][has_features].sum())
        self.tallies += [self._noted(entries) for entries in reader.take_tallies()]
        return block

    def _noted(self, entries: NDArray[Any]) -> NDArray[Any]:
        """Add a tally to the counts of Radiosonde itself and return it."""
        counted = take_apart(entries)
        calls, sizes = counted.of(CALLS), counted.of(UNSEEN_ROWS)
        self.records += int(calls.counts.sum())
        self.rows += int(calls.totals.sum())
        self.feature_rows += int(sizes.counts.sum())
        return entries

    def cells_text(self, row: NDArray[np.float64]) -> str | None:
        """Return the cells of one row, shape (1, features), as one short string; None without a grid."""
        grid = self.stream.grid
        return None if grid is None else cells_text(grid.assign(self.stream.to_grid(row))[0], grid.width)

    def predictions(self, block: Block, *, with_cells: bool) -> Predictions | None:
        """Return the joinable predictions of a slice: single rows that ended with a result. None if there are none.

        Args:
            block: the slice.
            with_cells: keep the cells of their features: 0.2 us per row, a fifth of the budget at 10 000 rows/s.
        """
        headers = block.headers
        chosen = ((headers["mark"] & 3) == DONE) & (headers["batch"] == 0) & (headers["rows"] == 1)
        features, indices = block.rows, block.indices
        if not chosen.all():
            headers, features, indices = headers[chosen], features[chosen], indices[chosen]
        if not len(headers):
            return None
        rows = np.empty(len(headers), dtype=PREDICTION)
        rows["index"] = indices
        for name in ("start_ns", "score", "confidence", "class_code", "series"):
            rows[name] = headers[name]
        rows["event_ns"] = np.where(headers["event_ns"] > 0, headers["event_ns"], headers["start_ns"])
        cells = self._cells(headers, features) if with_cells else np.empty((len(rows), 0), dtype=np.uint8)
        return Predictions(self._record_names(), rows, cells)

    def _cells(self, headers: NDArray[Any], rows: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return the cell of each feature; none without a grid, or while a record of the slice has no features."""
        stream = self.stream
        if stream.grid is None or not (headers["input_kind"] == INPUT_ROW).all():
            return np.empty((len(rows), 0), dtype=np.uint8)
        return stream.grid.ordinals(stream.to_grid(rows))

    def _record_names(self) -> LaneNames:
        """Return the names of the codes; the same object until a name is added."""
        stream, names = self.stream, self._names
        grid = "" if stream.grid is None else stream.grid.id
        if (
            names is None
            or (len(names.cohorts), len(names.classes), names.grid) != (len(stream.cohorts), len(stream.classes), grid)
        ):  # fmt: skip
            names = self._names = LaneNames(
                nonce=self.ring.nonce,
                model=stream.model,
                version=stream.version,
                variant=stream.variant,
                cohorts=tuple(stream.cohorts),
                classes=tuple(stream.classes),
                declared=self._declared_classes,
                features=stream.features,
                grid=grid,
            )
        return names


def slices(block: Block) -> list[Block]:
    """Cut a block into slices of `SLICE_ROWS`."""
    if len(block) <= SLICE_ROWS:
        return [block] if len(block) else []
    cuts = range(0, len(block), SLICE_ROWS)
    return [block.part(slice(cut, cut + SLICE_ROWS)) for cut in cuts]


def fold_in_slices(
    consumer: RingConsumer, block: Block, aggregator: Aggregator, guard: Guard, label_queue: LabelQueue
) -> None:
    """Pass a drained block to the aggregator and count records that could not be folded or were overwritten meanwhile.

    Args:
        consumer: the drained ring.
        block: the drained records.
        aggregator: counts them.
        guard: counts errors.
        label_queue: receives the joinable predictions.
    """
    tallies, consumer.tallies = consumer.tallies, []
    for entries in tallies:
        with guard("fold_tally", losses.RECORD_FAILED, calls_of(entries)):
            aggregator.add_tally(consumer.stream, entries)
        label_queue.forgo(int(take_apart(entries).of(UNJOINABLE).counts.sum()))
    joinable, consumer.joinable = consumer.joinable, []
    for part in joinable:
        with guard("reclaimed_rows", losses.PREDICTIONS_UNJOINABLE, len(part)):
            labelled = consumer.predictions(part, with_cells=False)
            if labelled is not None:
                label_queue.keep(labelled)
    for number, part in enumerate(slices(block)):
        if number:
            # Offers the interpreter lock between slices: without it the p99.99 of callers is the whole fold.
            sleep(0)
        with guard("fold", losses.RECORD_FAILED, len(part)):
            aggregator.fold(consumer.stream, part)
        with guard("labelled_rows", losses.PREDICTIONS_UNJOINABLE, len(part)):
            labelled = consumer.predictions(part, with_cells=label_queue.needs_cells and aggregator.step == 1)
            if labelled is not None:
                label_queue.keep(labelled)
