"""One series in one window while it is being filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde._aggregate.answers import AnswerState
from radiosonde._aggregate.features import FeatureState
from radiosonde._aggregate.traffic import TrafficState
from radiosonde._clock import monotonic_ns
from radiosonde.model import SeriesKey, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde._aggregate.stream import Stream


class SeriesState:
    """The groups of a window, mutable. Owner: the consumer thread; frozen copies leave it.

    Attributes:
        traffic: calls and durations.
        answers: outputs.
        opened_ns: monotonic clock when this part was opened.
        touched_ns: monotonic clock when something was last added.
    """

    def __init__(self, stream: Stream, key: SeriesKey, start_ns: int, end_ns: int, process: str) -> None:
        self._stream = stream
        self._process = process
        self.key = key
        self.start_ns, self.end_ns = start_ns, end_ns
        self.traffic = TrafficState(stream.latency_edges_s)
        self.answers = AnswerState(stream.reference.output.value_edges if stream.reference else ())
        self._features: FeatureState | None = None
        self.opened_ns = self.touched_ns = monotonic_ns()

    def add_features(self, rows: NDArray[np.float64], weight: int, *, is_failed: bool = False) -> None:
        """Add feature rows of weight *weight*, of failed or of successful calls; the stream must have a grid."""
        if self._features is None:
            if self._stream.grid is None:
                raise ValueError("features cannot be counted before the grid is set")
            self._features = FeatureState(self._stream, self._stream.grid)
        self._features.update(rows, weight)
        if is_failed:
            self._features.update_failed(rows, weight)

    @property
    def has_features(self) -> bool:
        """Whether features were counted: they are nearly all of a window's memory."""
        return self._features is not None

    def is_late(self, watermark_ns: int) -> bool:
        """Return whether this part holds only the few rows that arrived after the watermark."""
        return self.traffic.calls == 0 or watermark_ns > self.end_ns + (self.end_ns - self.start_ns)

    def freeze(self, *, with_sketches: bool) -> Window:
        """Return the counts as a frozen window."""
        return Window(
            key=self.key,
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            process=self._process,
            calls=self.traffic.calls,
            rows=self.traffic.rows,
            errors=dict(self.traffic.errors),
            batch_sizes=self.traffic.batch_sizes.copy(),
            latency=self.traffic.latency(self._stream.phases),
            output=self.answers.freeze(self._stream.classes),
            features=self._features.freeze(with_sketches=with_sketches) if self._features else None,
        )
