"""Takes labels from any thread, joins them in the consumer, counts what became of each."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from radiosonde._clock import NS, wall_ns
from radiosonde._guard import Guard
from radiosonde.model import class_text, losses

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

    def join(self, lane_of: Callable[[int], DrainedLane | None], aggregator: Aggregator) -> None:
        """Join the waiting labels with their predictions; the consumer, after a drain."""
        for _ in range(len(self._queue)):
            self._results[self._join(self._queue.popleft(), lane_of, aggregator)] += 1

    def _join(self, label: _Label, lane_of: Callable[[int], DrainedLane | None], aggregator: Aggregator) -> str:
        parts = parse_id(label.prediction_id)
        if parts is None:
            return INVALID
        start_ns, nonce, index_low = parts
        lane = lane_of(nonce)
        row = lane.pending.take(index_low, start_ns) if lane is not None else None
        if lane is None or row is None:
            return UNKNOWN
        if not row.is_first:
            return DUPLICATE
        lag_s = max(0.0, (label.time_ns - row.event_ns) / NS)
        name = class_name(label.value, lane.stream.classes)
        number = None if isinstance(label.value, str) else Guard.attempt(float, label.value)
        with aggregator.lock:
            outcomes = aggregator.label(lane.stream, row.event_ns, row.series).outcomes
            if row.class_code >= 0 and name is not None:
                is_correct = lane.stream.classes[row.class_code] == name
                outcomes.add_class(name, is_correct=is_correct, confidence=row.confidence, lag_s=lag_s)
                return JOINED
            if not math.isnan(row.score) and isinstance(number, float) and not math.isnan(number):
                outcomes.add_value(number - row.score, lag_s)
                return JOINED
        return INVALID if name is None else UNANSWERED

    def results(self) -> Mapping[str, int]:
        """Return the labels so far by result."""
        return {**dict.fromkeys(RESULTS, 0), **self._results}


def parse_id(prediction_id: object) -> tuple[int, int, int] | None:
    """Return (start in ns, nonce, low bits of the index) of a prediction id; None when it is not one."""
    if not isinstance(prediction_id, str) or len(prediction_id) != 32 or not prediction_id.isalnum():
        return None
    number = Guard.attempt(int, prediction_id, 16)
    if not isinstance(number, int):
        return None
    return number >> 64, number >> 32 & 0xFFFFFFFF, number & 0xFFFFFFFF


def class_name(value: object, classes: Sequence[str]) -> str | None:
    """Return the class a label names: by name, or by position when no class has that name; None for other things."""
    if value is None or isinstance(value, (list, dict, tuple, set)):
        return None
    text = class_text(value)
    if text in classes:
        return text
    number = Guard.attempt(int, value)
    if isinstance(number, int) and number == value and 0 <= number < len(classes):
        return classes[number]
    return text
