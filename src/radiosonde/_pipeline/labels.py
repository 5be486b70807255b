"""Takes labels from any thread, joins them in the consumer, counts what became of each."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from radiosonde._clock import NS, wall_ns
from radiosonde._guard import Guard
from radiosonde.model import Outcome, SeriesKey, class_text, losses

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


def parse_id(prediction_id: object) -> tuple[int, int, int] | None:
    """Return (start in ns, nonce, low bits of the index) of a prediction id; None when it is not one."""
    if not isinstance(prediction_id, str) or len(prediction_id) != 32 or not prediction_id.isalnum():
        return None
    number = Guard.attempt(int, prediction_id, 16)
    if not isinstance(number, int):
        return None
    return number >> 64, number >> 32 & 0xFFFFFFFF, number & 0xFFFFFFFF


def class_name(value: Any, classes: Sequence[str], declared: int) -> str | None:
    """Return the class a label names; None for what names none (missing, a container, an object that raises).

    In this order: by its text; a truth value by its number and the other way around (True names class ``1``, 1 names
    ``True``); a whole number by its position among the first *declared* classes. Classes learned from answers have no
    position: they are in the order in which they happened to come.
    """
    # NaN, and pandas' NA and NaT, differ from themselves or refuse to say.
    if value is None or Guard.attempt(lambda: bool(value != value)) is not False:  # noqa: PLR0124
        return None
    text = Guard.attempt(class_text, value)
    if (
        isinstance(value, (list, dict, tuple, set, frozenset))
        or getattr(value, "ndim", None)
        or not isinstance(text, str)
    ):
        return None
    number = Guard.attempt(int, value)
    if text in classes or not isinstance(number, int) or Guard.attempt(lambda: bool(number == value)) is not True:
        return text
    same = (str(number), str(bool(number))) if number in (0, 1) else (str(number),)
    known = next((name for name in same if name in classes), None)
    if known is None and 0 <= number < declared:
        known = classes[number]
    return known or (text if isinstance(value, bool) else str(number))
