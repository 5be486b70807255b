"""Blocks as Prometheus' protobuf exposition, which alone can carry native histograms. Sent to scrapers that prefer it.

Durations are counted in base-2 exponential buckets of scale 3, which is schema 3 of a native histogram: the buckets are handed on as they
are, beside the classic ones. The lowest, which holds all that is shorter than its bound, is the zero bucket; the highest holds all that is
longer.

The messages are few and flat (``io.prometheus.client.MetricFamily``, each after its length), so they are written here: prometheus-client
has no encoder, and its schema is not a package.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from radiosonde.export.blocks import Block, Distribution, Scalars
from radiosonde.export.builder import MetricBlocks
from radiosonde.export.exposition import exemplar_labels, label_pairs, sample_suffix
from radiosonde.export.labels import Attributes, Labels
from radiosonde.export.wire import double, message, text, varint, whole, zigzag
from radiosonde.model import LATENCY, Exemplar
from radiosonde.model.window import Counts
from radiosonde.semconv.prometheus import prometheus_name

PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

_TYPES = {"counter": 0, "gauge": 1, "histogram": 4}
_VALUE_FIELD = {"counter": 3, "gauge": 2}
_SPELLED = "protobuf"
_ZERO_BOUND_S = 2.0 ** ((LATENCY.offset + 1) / (1 << LATENCY.scale))


def render_protobuf(blocks: MetricBlocks) -> bytes:
    """Return the exposition of *blocks*."""
    families = []
    for family in blocks.families.values():
        name = prometheus_name(family[0].metric)
        head = (
            text(1, name.family + sample_suffix(name)) + text(2, family[0].metric.brief) + whole(3, _TYPES[name.kind])
        )
        body = head + b"".join(message(4, metric) for block in family for metric in _metrics(block, name.kind))
        families.append(varint(len(body)) + body)
    return b"".join(families)


def _metrics(block: Block, kind: str) -> Iterator[bytes]:
    pairs = _pairs(block.labels)
    if isinstance(block, Scalars):
        field = _VALUE_FIELD[kind]
        for labels, value in zip(pairs, block.values, strict=True):
            yield labels + message(field, double(1, value))
    else:
        yield pairs[0] + message(7, _histogram(block))


def _pairs(labels: Labels) -> list[bytes]:
    """Return the encoded labels of each row, kept with them."""
    kept: list[bytes] | None = labels.spelled.get(_SPELLED)
    if kept is None:
        kept = labels.spelled[_SPELLED] = [_label_messages(1, row) for row in labels.rows]
    return kept


def _label_messages(field: int, row: Attributes) -> bytes:
    return _pair_messages(field, label_pairs(row).items())


def _pair_messages(field: int, pairs: Iterable[tuple[str, str]]) -> bytes:
    return b"".join(message(field, text(1, name) + text(2, value)) for name, value in pairs)


def _histogram(block: Distribution) -> bytes:
    parts, cumulative = [], 0
    for bucket, (count, bound) in enumerate(zip(block.counts, (*block.labels.edges, math.inf), strict=True)):
        cumulative += count
        exemplar = block.exemplars.get(bucket)
        parts.append(
            message(3, whole(1, cumulative) + double(2, bound) + (message(3, _exemplar(exemplar)) if exemplar else b""))
        )
    counted = whole(1, cumulative) + double(2, block.total) + b"".join(parts)
    return counted if block.native is None else counted + _native(block.native)


def _native(counts: Counts) -> bytes:
    """Return schema, zero bucket, spans and deltas of a table of `LATENCY`."""
    table = counts.tolist()
    spans: list[tuple[int, int]] = []
    deltas, last, end = [], 0, 0
    for place in range(1, len(table)):
        if not table[place]:
            continue
        index = place + 1 + LATENCY.offset  # Prometheus uses the index of the upper bound
        if spans and index == end:
            spans[-1] = (spans[-1][0], spans[-1][1] + 1)
        else:
            spans.append((index - end if spans else index, 1))
        end = index + 1
        deltas.append(table[place] - last)
        last = table[place]
    return b"".join(
        (
            whole(5, zigzag(LATENCY.scale)),
            double(6, _ZERO_BOUND_S),
            whole(7, table[0]),
            *(message(12, whole(1, zigzag(offset)) + whole(2, length)) for offset, length in spans),
            *(whole(13, zigzag(delta)) for delta in deltas),
        )
    )


def _exemplar(exemplar: Exemplar) -> bytes:
    seconds, nanos = divmod(exemplar.time_ns, 1_000_000_000)
    time = message(3, whole(1, seconds) + whole(2, nanos))
    return _pair_messages(1, exemplar_labels(exemplar).items()) + double(2, exemplar.value_s) + time
