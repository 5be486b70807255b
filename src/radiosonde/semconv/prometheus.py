"""Prometheus names, translated as OpenTelemetry prescribes, so that both paths give equal names.

Dots become underscores; the unit is spelled out and appended unless the name ends with it; ``1`` is ``_ratio`` on gauges
and nothing elsewhere; units in braces vanish; counters end in ``_total``.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from radiosonde.semconv.definition import MetricDefinition

Kind = Literal["counter", "gauge", "histogram"]

_UNITS = {"s": "seconds", "By": "bytes"}
_KINDS: dict[str, Kind] = {"counter": "counter", "gauge": "gauge", "histogram": "histogram"}


class PrometheusName(NamedTuple):
    """How a metric is called in Prometheus.

    Attributes:
        family: name of the family, without ``_total``.
        kind: type of the family.
        unit: unit as spelled in the name; empty for none.
    """

    family: str
    kind: Kind
    unit: str


def prometheus_name(metric: MetricDefinition) -> PrometheusName:
    """Return the Prometheus name of a metric."""
    kind = _KINDS[metric.instrument]
    unit = _UNITS.get(metric.unit, "")
    if metric.unit == "1" and metric.instrument == "gauge":
        unit = "ratio"
    family = label_name(metric.name)
    if unit and not family.endswith(f"_{unit}"):
        family = f"{family}_{unit}"
    return PrometheusName(family, kind, unit)


def label_name(attribute: str) -> str:
    """Return the label of an attribute."""
    return attribute.replace(".", "_")
