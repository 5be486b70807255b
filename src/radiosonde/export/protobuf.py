"""Blocks as Prometheus' protobuf exposition, which alone can carry native histograms. Sent to scrapers that prefer it.

Durations are counted in base-2 exponential buckets of scale 3, which is schema 3 of a native histogram: the buckets are handed on as they
are, beside the classic ones. The lowest, which holds all that is shorter than its bound, is the zero bucket; the highest holds all that is longer.

The messages are few and flat (``io.prometheus.client.MetricFamily``, each after its length), so they are written here: prometheus-client
has no encoder, and its schema is not a package.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator

from radiosonde.export.blocks import Block, Distribution, Scalars
from radiosonde.export.builder import MetricBlocks
from radiosonde.export.exposition import exemplar_labels, label_pairs, sample_suffix
from radiosonde.export.labels import Attributes, Labels
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
            _text(1, name.family + sample_suffix(name))
            + _text(2, family[0].metric.brief)
            + _whole(3, _TYPES[name.kind])
        )
        body = head + b"".join(_message(4, metric) for block in family for metric in _metrics(block, name.kind))
        families.append(_varint(len(body)) + body)
    return b"".join(families)


def _metrics(block: Block, kind: str) -> Iterator[bytes]:
    pairs = _pairs(block.labels)
    if isinstance(block, Scalars):
        field = _VALUE_FIELD[kind]
        for labels, value in zip(pairs, block.values, strict=True):
            yield labels + _message(field, _double(1, value))
    else:
        yield pairs[0] + _message(7, _histogram(block))


def _pairs(labels: Labels) -> list[bytes]:
    """Return the encoded labels of each row, kept with them."""
    kept: list[bytes] | None = labels.spelled.get(_SPELLED)
    if kept is None:
        kept = labels.spelled[_SPELLED] = [_label_messages(1, row) for row in labels.rows]
    return kept


def _label_messages(field: int, row: Attributes) -> bytes:
    return _pair_messages(field, label_pairs(row).items())


def _pair_messages(field: int, pairs: Iterable[tuple[str, str]]) -> bytes:
    return b"".join(_message(field, _text(1, name) + _text(2, value)) for name, value in pairs)


def _histogram(block: Distribution) -> bytes:
    parts, cumulative = [], 0
    for bucket, (count, bound) in enumerate(zip(block.counts, (*block.labels.edges, math.inf), strict=True)):
        cumulative += count
        exemplar = block.exemplars.get(bucket)
        parts.append(
            _message(
                3, _whole(1, cumulative) + _double(2, bound) + (_message(3, _exemplar(exemplar)) if exemplar else b"")
            )
        )
    counted = _whole(1, cumulative) + _double(2, block.total) + b"".join(parts)
    return counted if block.native is None else counted + _native(block.native)


def _native(counts: Counts) -> bytes:
    """Return schema, zero bucket, spans and deltas of a table of `LATENCY`."""
    table = counts.tolist()
    spans: list[tuple[int, int]] = []
    deltas, last, end = [], 0, 0
    for place in range(1, len(table)):
        if not table[place]:
            continue
        index = place + 1 + LATENCY.offset  # Prometheus' index is that of the upper bound
        if spans and index == end:
            spans[-1] = (spans[-1][0], spans[-1][1] + 1)
        else:
            spans.append((index - end if spans else index, 1))
        end = index + 1
        deltas.append(table[place] - last)
        last = table[place]
    return b"".join(
        (
            _whole(5, _zigzag(LATENCY.scale)),
            _double(6, _ZERO_BOUND_S),
            _whole(7, table[0]),
            *(_message(12, _whole(1, _zigzag(offset)) + _whole(2, length)) for offset, length in spans),
            *(_whole(13, _zigzag(delta)) for delta in deltas),
        )
    )


def _exemplar(exemplar: Exemplar) -> bytes:
    seconds, nanos = divmod(exemplar.time_ns, 1_000_000_000)
    time = _message(3, _whole(1, seconds) + _whole(2, nanos))
    return _pair_messages(1, exemplar_labels(exemplar).items()) + _double(2, exemplar.value_s) + time


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _whole(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())
