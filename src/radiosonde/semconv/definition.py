"""The registry entry of one metric; the generated catalogue consists of these."""

from __future__ import annotations

from typing import Literal, NamedTuple

Instrument = Literal["counter", "gauge", "histogram"]


class MetricDefinition(NamedTuple):
    """A metric of the registry.

    Attributes:
        name: dotted name.
        instrument: OpenTelemetry instrument.
        unit: UCUM unit.
        brief: one sentence on what it measures.
        attributes: attribute names, in the order of the registry.
    """

    name: str
    instrument: Instrument
    unit: str
    brief: str
    attributes: tuple[str, ...]
