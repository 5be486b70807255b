"""A lane as the consumer sees it: the recorder's lane, its reader, its stream, and what of it may be labelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from radiosonde._aggregate.stream import Stream
from radiosonde._clock import sleep
from radiosonde._join.store import PREDICTION, LaneNames, Predictions
from radiosonde._ring import Block, Ring, RingReader
from radiosonde._ring.layout import DONE, INPUT_ROW
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._aggregate.aggregator import Aggregator
    from radiosonde._guard import Guard
    from radiosonde._record.lane import Lane
    from radiosonde.reference.profile import Reference

SLICE_ROWS = 8192
"""Records folded in one go before the interpreter lock is offered to others. Large, because against a caller that is busy
in Python each of the hundred numpy calls of a slice may wait a switch interval (5 ms) for the lock; the longest single
hold is one sketch update, about 100 us (bench_tail)."""


class DrainedLane:
    """Drains one lane. Owner: the consumer thread.

    Args:
        ring: this process's own, or another's.
        stream: what is known of it.
        declared_classes: how many of its classes have a position (those learned from answers have none).
        lane: the recorder's lane, where it is of this process.
    """

    def __init__(self, ring: Ring, stream: Stream, declared_classes: int, lane: Lane | None = None) -> None:
        self.ring = ring
        self.stream = stream
        self.lane = lane
        self.reader = RingReader(ring)
        self.records = 0
        self.rows = 0
        self.feature_rows = self.kept_rows = 0
        self._overwritten = self._abandoned = self._arena_seen = 0
        self._declared_classes = declared_classes
        self._names: LaneNames | None = None

    @classmethod
    def of_lane(cls, lane: Lane, reference: Reference | None) -> Self:
        """Drain a lane of this process."""
        recorder, schema = lane.recorder, lane.schema
        stream = Stream(
            model=recorder.name,
            version=recorder.version,
            variant=recorder.variant,
            cohorts=recorder.cohorts.names,
            classes=lane.outputs.classes.names,
            errors=recorder.errors.names,
            phases=recorder.phases.names,
            features=schema.names,
            categories=tuple(None if codes is None else codes.names for codes in schema.codes),
            arena=lane.ring.arena,
            nonce=lane.ring.nonce,
        )
        if reference is not None and schema.names == tuple(feature.name for feature in reference.features):
            stream.adopt(reference)
        return cls(lane.ring, stream, lane.outputs.declared, lane)

    @property
    def is_filling(self) -> bool:
        """Whether a quarter of the ring or of the arena is waiting: then it is drained out of turn."""
        ring = self.ring
        if ring.arena.reserved - self._arena_seen >= ring.arena.size // 4:
            return True
        return self.reader.has_waiting(ring.capacity // 4)

    def drain(self, guard: Guard) -> Block:
        """Take what is done and count what was lost."""
        reader = self.reader
        if self.lane is not None:
            self.stream.version = self.lane.recorder.settle_version()
        self._arena_seen = self.ring.arena.reserved
        block = reader.drain()
        guard_counts = ((losses.RING_OVERWRITTEN, reader.overwritten - self._overwritten),
                        (losses.RING_ABANDONED, reader.abandoned - self._abandoned))  # fmt: skip
        for reason, count in guard_counts:
            if count:
                guard.lose(reason, count)
        self._overwritten, self._abandoned = reader.overwritten, reader.abandoned
        self.records += len(block)
        self.rows += int(block.headers["rows"].sum())
        has_features = block.headers["input_kind"] == INPUT_ROW
        self.feature_rows += int(block.headers["rows"][has_features].sum())
        self.kept_rows += int(block.headers["kept"][has_features].sum())
        return block

    def fold(self, block: Block, aggregator: Aggregator) -> bool:
        """Hand a slice to the aggregator; return True."""
        aggregator.fold(self.stream, block)
        return True

    def predictions(self, block: Block) -> Predictions | None:
        """Return what of a slice may be labelled: single rows that ended with a result. None if nothing may."""
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
        return Predictions(self._lane_names(), rows, self._cells(headers, features))

    def _cells(self, headers: NDArray[Any], rows: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return the cell of each feature; none without a grid, or while a record of the slice has no features."""
        stream = self.stream
        if stream.grid is None or not (headers["input_kind"] == INPUT_ROW).all():
            return np.empty((len(rows), 0), dtype=np.uint8)
        return stream.grid.ordinals(stream.to_grid(rows))

    def _lane_names(self) -> LaneNames:
        """Return what the codes stand for; the same object until something was added."""
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
    lane: DrainedLane, block: Block, aggregator: Aggregator, guard: Guard, keep: Callable[[Predictions], None]
) -> None:
    """Hand a drained block to the aggregator and count what could not be folded or was overwritten meanwhile.

    Args:
        lane: what was drained.
        block: what came out.
        aggregator: counts it.
        guard: counts what goes wrong.
        keep: takes the predictions that may be labelled.
    """
    for number, part in enumerate(slices(block)):
        if number:
            # Offers the interpreter lock between slices: without it the p99.99 of callers is the whole fold.
            sleep(0)
        if not guard.call("fold", lane.fold, part, aggregator):
            guard.lose(losses.RECORD_FAILED, len(part))
        labelled = guard.call("labels", lane.predictions, part)
        if labelled is not None:
            keep(labelled)
    lost = aggregator.batch_rows_lost
    if lost:
        aggregator.batch_rows_lost = 0
        guard.lose(losses.BATCH_OVERWRITTEN, lost)
