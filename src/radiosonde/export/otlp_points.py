"""Blocks as OTLP metric points, cumulative or delta.

Points are written as the bytes they are on the wire (`radiosonde.export.wire`), and their attributes, which never change, only once: they
are kept with the labels. OpenTelemetry's SDK offers no way to feed it aggregates, and building a request of its objects took four
times as long (bench_export) and 11 MiB.

Delta points are computed by subtracting, stream by stream, the last *delivered* values: a failed export leaves its streams' baselines, and
the next one covers both intervals. An unchanged stream sends no delta, except for its first point.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from radiosonde.export.blocks import Distribution, Scalars
from radiosonde.export.builder import MetricBlocks
from radiosonde.export.labels import Attributes
from radiosonde.export.otlp_encoding import attribute_messages
from radiosonde.export.wire import double, fixed64, message, number, packed_doubles, packed_fixed64, text, whole
from radiosonde.model import Exemplar
from radiosonde.semconv.definition import MetricDefinition

_DELTA, _CUMULATIVE = 1, 2
"""``AggregationTemporality``."""
_SPELLED = "otlp"

Stream = tuple[str, Attributes]
"""Metric name and attributes."""
Value = tuple[float, ...]
"""A counter is (value,), a histogram (sum, count per bucket ...): one form, so that deltas are one subtraction."""

MAX_POINTS = 2000
"""Points per request. About 0.6 MB: collectors refuse requests from 4 MiB (gRPC hops) or 20 MiB (HTTP) on, as a whole."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A point to deliver, and the baseline to store after delivery.

    Attributes:
        metric: the metric.
        point: content of the point's message.
        stream: the stream; None when nothing is to be remembered (gauges, cumulative).
        value: the cumulative value this point brings the backend to.
    """

    metric: MetricDefinition
    point: bytes
    stream: Stream | None = None
    value: Value = ()


class PointMaker:
    """Creates points of one temporality, and stores the delivered values.

    Args:
        is_delta: whether counters, and whether histograms, are to be deltas.
    """

    __slots__ = ("_delivered", "_is_delta", "_start_ns")

    def __init__(self, is_delta: Mapping[str, bool]) -> None:
        self._is_delta = is_delta
        self._start_ns = 0
        self._delivered: dict[Stream, tuple[int, Value]] = {}

    def points(self, blocks: MetricBlocks, start_ns: int, time_ns: int) -> Iterator[Pending]:
        """Yield the points of *blocks*, which were counted from *start_ns* until *time_ns*."""
        if start_ns != self._start_ns:
            # Counting was restarted: earlier deliveries are not part of these counts.
            self._start_ns = start_ns
            self._delivered.clear()
        for family in blocks.families.values():
            for block in family:
                if isinstance(block, Distribution):
                    yield from self._histogram(block, time_ns)
                elif block.metric.instrument == "gauge":
                    time = fixed64(3, time_ns)
                    for attributes, value in zip(_spelled(block), block.values, strict=True):
                        yield Pending(block.metric, attributes + time + number(6, 4, value))
                else:
                    yield from self._sums(block, time_ns)
        self._forget(blocks)

    def delivered(self, pending: Pending, time_ns: int) -> None:
        """Remember that *pending* has arrived."""
        if pending.stream is not None:
            self._delivered[pending.stream] = (time_ns, pending.value)

    def metrics(self, pending: Iterable[Pending]) -> Iterator[bytes]:
        """Yield the content of a ``Metric`` for each that some points are of."""
        points: dict[MetricDefinition, list[bytes]] = {}
        for item in pending:
            points.setdefault(item.metric, []).append(item.point)
        for metric, of in points.items():
            head = text(1, metric.name) + text(2, metric.brief) + text(3, metric.unit)
            yield head + self._aggregate(metric.instrument, b"".join(message(1, point) for point in of))

    def _aggregate(self, instrument: str, points: bytes) -> bytes:
        if instrument == "gauge":
            return message(5, points)
        points += whole(2, _DELTA if self._is_delta[instrument] else _CUMULATIVE)
        return message(9, points) if instrument == "histogram" else message(7, points + whole(3, 1))

    def _sums(self, block: Scalars, time_ns: int) -> Iterator[Pending]:
        metric, time = block.metric, fixed64(3, time_ns)
        if not self._is_delta[metric.instrument]:
            time = fixed64(2, self._start_ns) + time
            for attributes, value in zip(_spelled(block), block.values, strict=True):
                yield Pending(metric, attributes + time + number(6, 4, value))
            return
        for row, attributes, value in zip(block.labels.rows, _spelled(block), block.values, strict=True):
            stream = (metric.name, row)
            change = self._change(stream, (value,), time_ns)
            if change is not None:
                start_ns, (delta,) = change
                yield Pending(metric, attributes + fixed64(2, start_ns) + time + number(6, 4, delta), stream, (value,))

    def _histogram(self, block: Distribution, time_ns: int) -> Iterator[Pending]:
        (row,), (attributes,) = block.labels.rows, _spelled(block)
        start_ns, total, counts = self._start_ns, block.total, list(block.counts)
        stream, value = None, (block.total, *block.counts)
        if self._is_delta["histogram"]:
            # The bounds are part of the stream's identity here: counts in other buckets cannot be subtracted.
            stream = (block.metric.name, (*row, *((repr(edge), "") for edge in block.labels.edges)))
            change = self._change(stream, value, time_ns)
            if change is None:
                return
            start_ns, (total, *deltas) = change
            counts = [int(delta) for delta in deltas]
        point = b"".join(
            (
                fixed64(2, start_ns),
                fixed64(3, time_ns),
                fixed64(4, sum(counts)),
                double(5, total),
                packed_fixed64(6, counts),
                packed_doubles(7, block.labels.edges),
                *(message(8, _exemplar(found)) for found in block.exemplars.values() if found.time_ns > start_ns),
                attributes,
            )
        )
        yield Pending(block.metric, point, stream, value)

    def _change(self, stream: Stream, value: Value, time_ns: int) -> tuple[int, Value] | None:
        """Return (start, difference to the delivered value), or None when nothing changed."""
        known = self._delivered.get(stream)
        if known is None:
            return self._start_ns, value
        start_ns, before = known
        if before == value:
            self._delivered[stream] = (time_ns, value)
            return None
        delta = tuple(new - old for new, old in zip(value, before, strict=True))
        # A count that fell was reset (a series that was evicted): all of it is new.
        if any(step < 0 for step in delta):
            return start_ns, value
        return start_ns, delta

    def _forget(self, blocks: MetricBlocks) -> None:
        """Drop the baselines unused for longest; kept as long as possible, because a stream that returns would count twice."""
        present = sum(block.series for family in blocks.families.values() for block in family) + blocks.cut
        if len(self._delivered) > 2 * present:
            by_time = sorted(self._delivered.items(), key=lambda item: item[1][0])
            self._delivered = dict(by_time[-present:])


def _spelled(block: Scalars | Distribution) -> list[bytes]:
    """Return the attributes of the points as they are on the wire, kept in the labels of the block."""
    found: list[bytes] | None = block.labels.spelled.get(_SPELLED)
    if found is None:
        field = 9 if isinstance(block, Distribution) else 7
        found = block.labels.spelled[_SPELLED] = [attribute_messages(field, row) for row in block.labels.rows]
    return found


def _exemplar(exemplar: Exemplar) -> bytes:
    span, trace = exemplar.span_id.to_bytes(8, "big"), exemplar.trace_id.to_bytes(16, "big")
    return fixed64(2, exemplar.time_ns) + double(3, exemplar.value_s) + message(4, span) + message(5, trace)
