"""Blocks as OpenTelemetry points, cumulative or delta.

Built from the SDK's own classes and given to its own exporter, because the SDK offers no way to feed it aggregates: no
MetricProducer, no histogram instrument that takes counts. Loaded by `radiosonde.export.otlp` at construction, because
importing the SDK costs a third of a second.

Delta points are made by subtracting, stream by stream, what was last *delivered*: an export that fails leaves its
streams' baselines, and the next one carries both intervals. A stream that did not change sends no delta, but for
its first point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics import Histogram as HistogramInstrument
from opentelemetry.sdk.metrics import ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from radiosonde.export.blocks import Distribution, Scalars
from radiosonde.export.builder import MetricBlocks
from radiosonde.export.labels import Attributes
from radiosonde.model import Exemplar
from radiosonde.semconv.definition import MetricDefinition

Point = NumberDataPoint | HistogramDataPoint
Stream = tuple[str, Attributes]
"""Metric name and attributes."""
Value = tuple[float, ...]
"""A counter is (value,), a histogram (sum, count per bucket ...): one form, so that deltas are one subtraction."""

MAX_POINTS = 2000
"""Points per request. About 0.6 MB: collectors refuse requests from 4 MiB (gRPC hops) or 20 MiB (HTTP) on, as a whole."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A point to deliver, and what to remember once it is.

    Attributes:
        metric: the metric.
        point: the point.
        stream: the stream; None when nothing is to be remembered (gauges, cumulative).
        value: the cumulative value this point brings the backend to.
    """

    metric: MetricDefinition
    point: Point
    stream: Stream | None = None
    value: Value = ()


class PointMaker:
    """Makes points of one exporter's temporality, and remembers what was delivered."""

    __slots__ = ("_delivered", "_start_ns", "_temporality")

    def __init__(self, exporter: MetricExporter) -> None:
        # Our sums come from cumulative snapshots, which is what LOWMEMORY means by observable counters. The attribute is
        # private; the SDK's own reader takes the temporality from the same place.
        preferred: Mapping[type, AggregationTemporality] = exporter._preferred_temporality or {}  # noqa: SLF001
        cumulative = AggregationTemporality.CUMULATIVE
        self._temporality = {
            "counter": preferred.get(ObservableCounter, cumulative),
            "histogram": preferred.get(HistogramInstrument, cumulative),
        }
        self._start_ns = 0
        self._delivered: dict[Stream, tuple[int, Value]] = {}

    def points(self, blocks: MetricBlocks, start_ns: int, time_ns: int) -> Iterator[Pending]:
        """Yield the points of *blocks*, which were counted from *start_ns* until *time_ns*."""
        if start_ns != self._start_ns:
            # Counting began anew: what was delivered before is not part of these counts.
            self._start_ns = start_ns
            self._delivered.clear()
        for family in blocks.families.values():
            for block in family:
                if isinstance(block, Distribution):
                    yield from self._histogram(block, time_ns)
                elif block.metric.instrument == "gauge":
                    for attributes, value in zip(_mappings(block), block.values, strict=True):
                        yield Pending(block.metric, NumberDataPoint(attributes, None, time_ns, value))  # type: ignore[arg-type]
                else:
                    yield from self._sums(block, time_ns)
        self._forget(blocks)

    def delivered(self, pending: Pending, time_ns: int) -> None:
        """Remember that *pending* has arrived."""
        if pending.stream is not None:
            self._delivered[pending.stream] = (time_ns, pending.value)

    def metrics(self, pending: list[Pending], resource: Resource, scope: InstrumentationScope) -> MetricsData:
        """Return the request of some points: one resource and one scope, for the encoder keeps one of equal ones."""
        points: dict[MetricDefinition, list[Point]] = {}
        for item in pending:
            points.setdefault(item.metric, []).append(item.point)
        found = [Metric(m.name, m.brief, m.unit, self._aggregate(m, of)) for m, of in points.items()]
        scope_metrics = ScopeMetrics(scope, found, scope.schema_url or "")
        return MetricsData([ResourceMetrics(resource, [scope_metrics], resource.schema_url)])

    def _aggregate(self, metric: MetricDefinition, points: list[Point]) -> Sum | Gauge | Histogram:
        if metric.instrument == "gauge":
            return Gauge([point for point in points if isinstance(point, NumberDataPoint)])
        temporality = self._temporality[metric.instrument]
        if metric.instrument == "histogram":
            return Histogram([point for point in points if isinstance(point, HistogramDataPoint)], temporality)
        numbers = [point for point in points if isinstance(point, NumberDataPoint)]
        return Sum(numbers, temporality, is_monotonic=True)

    def _sums(self, block: Scalars, time_ns: int) -> Iterator[Pending]:
        metric = block.metric
        if self._temporality[metric.instrument] == AggregationTemporality.CUMULATIVE:
            for attributes, value in zip(_mappings(block), block.values, strict=True):
                yield Pending(metric, NumberDataPoint(attributes, self._start_ns, time_ns, value))
            return
        for row, attributes, value in zip(block.labels.rows, _mappings(block), block.values, strict=True):
            stream = (metric.name, row)
            change = self._change(stream, (value,), time_ns)
            if change is not None:
                start_ns, (delta,) = change
                point = NumberDataPoint(attributes, start_ns, time_ns, delta)
                yield Pending(metric, point, stream, (value,))

    def _histogram(self, block: Distribution, time_ns: int) -> Iterator[Pending]:
        (row,), (attributes,) = block.labels.rows, _mappings(block)
        start_ns, total, counts = self._start_ns, block.total, list(block.counts)
        stream, value = None, (block.total, *block.counts)
        if self._temporality["histogram"] == AggregationTemporality.DELTA:
            # The bounds are part of the stream's identity here: counts in other buckets cannot be subtracted.
            stream = (block.metric.name, (*row, *((repr(edge), "") for edge in block.labels.edges)))
            change = self._change(stream, value, time_ns)
            if change is None:
                return
            start_ns, (total, *deltas) = change
            counts = [int(delta) for delta in deltas]
        exemplars = [_exemplar(found) for found in block.exemplars.values() if found.time_ns > start_ns]
        edges = list(block.labels.edges)
        count = sum(counts)
        point = HistogramDataPoint(attributes, start_ns, time_ns, count, total, counts, edges, None, None, exemplars)  # type: ignore[arg-type]
        yield Pending(block.metric, point, stream, value)

    def _change(self, stream: Stream, value: Value, time_ns: int) -> tuple[int, Value] | None:
        """Return (start, difference to what was delivered), or None when nothing changed."""
        known = self._delivered.get(stream)
        if known is None:
            return self._start_ns, value
        start_ns, before = known
        if before == value:
            self._delivered[stream] = (time_ns, value)
            return None
        delta = tuple(new - old for new, old in zip(value, before, strict=True))
        # A count that fell was taken away and begun anew (a series that was evicted): all of it is new.
        if any(step < 0 for step in delta):
            return start_ns, value
        return start_ns, delta

    def _forget(self, blocks: MetricBlocks) -> None:
        """Forget the longest gone; what the bound cuts is kept as long as can be, lest it counts twice on its return."""
        present = sum(block.series for family in blocks.families.values() for block in family) + blocks.cut
        if len(self._delivered) > 2 * present:
            by_time = sorted(self._delivered.items(), key=lambda item: item[1][0])
            self._delivered = dict(by_time[-present:])


def _mappings(block: Scalars | Distribution) -> list[dict[str, str | bool]]:
    """Return the attributes of the points as the SDK wants them, kept in the labels of the block."""
    found: list[dict[str, str | bool]] | None = block.labels.spelled.get("otlp")
    if found is None:
        found = block.labels.spelled["otlp"] = [dict(row) for row in block.labels.rows]
    return found


def _exemplar(exemplar: Exemplar) -> SdkExemplar:
    return SdkExemplar({}, float(exemplar.value_s), exemplar.time_ns, exemplar.span_id, exemplar.trace_id)
