"""Takes labels from any thread, joins them in the consumer, counts what became of each."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from radiosonde._clock import NS, wall_ns
from radiosonde._guard import Guard
from radiosonde._join.matching import class_name, parse_id
from radiosonde.model import Outcome, SeriesKey, losses

if TYPE_CHECKING:
    from radiosonde._aggregate.aggregator import Aggregator
    from radiosonde._pipeline.lanes import DrainedLane

QUEUE = 65_536
"""Labels that may wait for the consumer; more are refused and counted."""

JOINED, DUPLICATE, UNKNOWN, INVALID, UNANSWERED = "joined", "duplicate", "unknown", "invalid", "unanswered"
"""What becomes of a label: counted; the prediction had one already; no such prediction (any more); the id or the value
cannot be read; the prediction gave no class or value to compare with."""

RESULTS = (JOINED, DUPLICATE, UNKNOWN, INVALID, UNANSWERED)


class _Label(NamedTuple):
    prediction_id: str
    value: object
    time_ns: int


class LabelDesk:
    """The queue of labels and the counts of their results."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._queue: deque[_Label] = deque()
        self._results: Counter[str] = Counter()

    def put(self, prediction_id: str, value: object, time_ns: int | None) -> None:
        """Queue a label; any thread. Costs an append."""
        if len(self._queue) >= QUEUE:
            self._guard.lose(losses.LABEL_QUEUE_FULL)
            return
        self._queue.append(_Label(prediction_id, value, wall_ns() if time_ns is None else time_ns))

    @property
    def waiting(self) -> int:
        """Labels in the queue."""
        return len(self._queue)

    def join(self, count: int, lane_of: Callable[[int], DrainedLane | None], aggregator: Aggregator) -> None:
        """Join the first *count* waiting labels with their predictions; the consumer, after a drain.

        *count* was taken before the drain began: a label that came during it may belong to a prediction that ended
        during it, which the drain did not see.
        """
        outcomes: list[Outcome] = []
        for _ in range(count):
            self._results[self._join(self._queue.popleft(), lane_of, outcomes)] += 1
        aggregator.update_outcomes(outcomes)

    def _join(self, label: _Label, lane_of: Callable[[int], DrainedLane | None], outcomes: list[Outcome]) -> str:
        parts = parse_id(label.prediction_id)
        if parts is None:
            return INVALID
        start_ns, nonce, index_low = parts
        lane = lane_of(nonce)
        row = lane.pending.find(index_low, start_ns) if lane is not None else None
        if lane is None or row is None:
            return UNKNOWN
        if not row.is_first:
            return DUPLICATE
        if row.class_code < 0 and not math.isfinite(row.score):
            return UNANSWERED
        lag_s = max(0.0, (label.time_ns - row.event_ns) / NS)
        stream, predicted = lane.stream, ""
        value: str | float
        if row.class_code >= 0:
            name = class_name(label.value, lane.stream.classes, lane.declared_classes)
            if name is None:
                return INVALID
            value, predicted = self._bounded(name, lane), stream.classes[row.class_code]
        else:
            number = None if isinstance(label.value, str) else Guard.attempt(float, label.value)
            if not isinstance(number, float) or not math.isfinite(number):
                return INVALID
            value = number
        lane.pending.mark(index_low)
        key = SeriesKey(stream.model, stream.version, stream.variant, stream.cohorts[row.series])
        score = math.nan if row.class_code >= 0 else row.score
        outcomes.append(Outcome(key, row.event_ns, predicted, row.confidence, score, value, lag_s))
        return JOINED

    def _bounded(self, name: str, lane: DrainedLane) -> str:
        """Return the name a label counts under: its own, up to a bound on names that were never predicted."""
        if name in lane.stream.classes:
            return name
        code, overflowed = lane.label_classes.add(name, name)
        if overflowed:
            self._guard.lose(losses.CLASS_OVERFLOW)
        return lane.label_classes.names[code]

    def results(self) -> Mapping[str, int]:
        """Return the labels so far by result."""
        return {**dict.fromkeys(RESULTS, 0), **self._results}
