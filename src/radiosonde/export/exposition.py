"""Blocks as Prometheus text (0.0.4) or OpenMetrics (1.0).

A line is a prefix (name and labels), a value and a line feed. Prefixes are kept in the `Labels` of a block, so a scrape
formats numbers only; values that are the tuple they were at the last scrape are not even formatted. Exemplars exist in OpenMetrics alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import cast

from prometheus_client.utils import floatToGoString

from radiosonde.export.blocks import Distribution, Scalars
from radiosonde.export.builder import MetricBlocks
from radiosonde.export.labels import Attributes, Labels
from radiosonde.model import Exemplar
from radiosonde.semconv.prometheus import PrometheusName, label_name, prometheus_name

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def render(blocks: MetricBlocks, *, openmetrics: bool) -> bytes:
    """Return the exposition of *blocks*, with exemplars when it is *openmetrics*."""
    lines: list[str] = []
    for family in blocks.families.values():
        name = prometheus_name(family[0].metric)
        lines += _header(name, family[0].metric.brief, openmetrics=openmetrics)
        for block in family:
            lines += (
                _scalar_lines(block, name)
                if isinstance(block, Scalars)
                else _buckets(block, name, exemplars=openmetrics)
            )
    if openmetrics:
        lines.append("# EOF\n")
    return "".join(lines).encode()


def sample_suffix(name: PrometheusName) -> str:
    """Return the suffix of a scalar sample's name after the family's."""
    return "_total" if name.kind == "counter" else ""


def bound_text(bound: float) -> str:
    """Return a bucket bound as prometheus-client writes it (``1.0``, ``+Inf``)."""
    return str(floatToGoString(bound))  # type: ignore[no-untyped-call]


def label_pairs(attributes: Attributes) -> dict[str, str]:
    """Return the labels of a stream; booleans become ``true`` and ``false``."""
    return {label_name(key): _text(value) for key, value in attributes}


def exemplar_labels(exemplar: Exemplar) -> dict[str, str]:
    """Return the labels of an exemplar: trace and span in hexadecimal."""
    return {"trace_id": f"{exemplar.trace_id:032x}", "span_id": f"{exemplar.span_id:016x}"}


def _header(name: PrometheusName, brief: str, *, openmetrics: bool) -> Iterable[str]:
    # The classic format types the sample's name, OpenMetrics the family's.
    shown = name.family if openmetrics else name.family + sample_suffix(name)
    escaped = brief.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {shown} {escaped}\n"
    yield f"# TYPE {shown} {name.kind}\n"
    if openmetrics and name.unit:
        yield f"# UNIT {shown} {name.unit}\n"


def _scalar_lines(block: Scalars, name: PrometheusName) -> Iterable[str]:
    spelled = block.labels.spelled
    values, lines = spelled.get("prometheus lines", (None, ()))
    if values is block.values:  # the shares of a reference: a third of a page of features
        return cast("Iterable[str]", lines)
    prefixes: list[str] | None = spelled.get("prometheus")
    if prefixes is None:
        prefixes = spelled["prometheus"] = [
            _prefix(name.family + sample_suffix(name), row) for row in block.labels.rows
        ]
    made = [f"{prefix}{_number(value)}\n" for prefix, value in zip(prefixes, block.values, strict=True)]
    if isinstance(block.values, tuple) and block.metric.instrument == "gauge":
        spelled["prometheus lines"] = (block.values, ("".join(made),))
    return made


def _buckets(block: Distribution, name: PrometheusName, *, exemplars: bool) -> Iterator[str]:
    prefixes: list[str] | None = block.labels.spelled.get("prometheus")
    if prefixes is None:
        prefixes = block.labels.spelled["prometheus"] = _histogram_prefixes(block.labels, name)
    cumulative = 0
    for bucket, count in enumerate(block.counts):
        cumulative += count
        exemplar = block.exemplars.get(bucket) if exemplars else None
        yield f"{prefixes[bucket]}{cumulative}{_exemplar(exemplar) if exemplar else ''}\n"
    yield f"{prefixes[-2]}{cumulative}\n"
    yield f"{prefixes[-1]}{_number(block.total)}\n"


def _histogram_prefixes(labels: Labels, name: PrometheusName) -> list[str]:
    (row,) = labels.rows
    bounds = (*labels.edges, math.inf)
    buckets = [_prefix(f"{name.family}_bucket", (*row, ("le", bound_text(bound)))) for bound in bounds]
    return [*buckets, _prefix(f"{name.family}_count", row), _prefix(f"{name.family}_sum", row)]


def _prefix(name: str, attributes: Attributes) -> str:
    if not attributes:
        return f"{name} "
    pairs = ",".join(f'{label}="{_escape(value)}"' for label, value in label_pairs(attributes).items())
    return f"{name}{{{pairs}}} "


def _exemplar(exemplar: Exemplar) -> str:
    pairs = ",".join(f'{label}="{value}"' for label, value in exemplar_labels(exemplar).items())
    return f" # {{{pairs}}} {_number(exemplar.value_s)} {exemplar.time_ns / 1e9:.3f}"


def _text(value: str | bool) -> str:  # noqa: FBT001 - one of the two types an attribute has
    return value if isinstance(value, str) else str(value).lower()


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else bound_text(value)
