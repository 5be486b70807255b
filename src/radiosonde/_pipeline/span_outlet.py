"""The way of spans made after the fact to an OTLP backend: a bounded queue that outlives failed exports."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde.export.otlp import OtlpExporter
    from radiosonde.export.result import ExportResult
    from radiosonde.model.spans import KeptSpan

WAITING_SPANS = 1000
"""Spans kept for a backend that does not answer; the oldest beyond it are dropped and counted. 16 minutes at the default
bound, about 1 kB each."""


class SpanOutlet:
    """Holds spans until they are delivered. `take` is the consumer's, `export` the sender's."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._waiting: deque[KeptSpan] = deque()

    def take(self, spans: Iterable[KeptSpan]) -> None:
        """Keep *spans* for the next export."""
        self._waiting.extend(spans)
        self._bound()

    def export(self, exporter: OtlpExporter) -> ExportResult | None:
        """Send what waits; what is not delivered waits for the next time. None when nothing waits."""
        # A consumer that bounds the queue meanwhile does not see these: they may be with the backend already.
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not taken:
            return None
        delivered = 0
        try:
            result = exporter.export_spans(taken)
            delivered = result.points
        finally:
            self._waiting.extendleft(reversed(taken[delivered:]))
            self._bound()
        return result

    def close(self) -> None:
        """Count what was never delivered."""
        if self._waiting:
            self._guard.lose(losses.SPANS_DROPPED, len(self._waiting))
            self._waiting.clear()

    def _bound(self) -> None:
        excess = len(self._waiting) - WAITING_SPANS
        for _ in range(excess):
            self._waiting.popleft()
        if excess > 0:
            self._guard.lose(losses.SPANS_DROPPED, excess)
