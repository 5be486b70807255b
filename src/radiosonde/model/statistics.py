"""Internal statistics: one frozen record, returned by `radiosonde.statistics()` and exported as metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Statistics:
    """The instrument's own counts since the process started (or was forked).

    Attributes:
        records: predictions drained from the rings.
        rows: predicted rows drained.
        in_flight: predictions that have begun and not ended.
        losses: telemetry not recorded or not exported, by reason, zeros included; the reasons are listed in
            `radiosonde.model.losses`.
        labels: labels by result, zeros included: ``joined``, ``duplicate``, ``unknown``, ``invalid``, ``unanswered``.
        series: series in memory.
        windows_open: windows still being filled.
        windows_closed: windows handed to the store and the exporters.
        drain_lag_s: age of the oldest record at the last drain, in seconds.
        consumer_cpu_s: CPU seconds of Radiosonde's threads, including turns taken in other threads.
        exports: successful exports by carrier (``otlp.metrics``, ``otlp.sketches``, ``otlp.windows``, ``store``, ``prometheus``).
        exported_bytes: bytes handed to carriers, where the carrier knows.
        series_cut: time series that the cardinality bound left out of the last OTLP export.
        spans_bounded: predictions that qualified for a span after the fact and got none, because of ``spans_per_minute``.
        sampling_ratio: share of rows whose features were counted (1.0: all).
        guarded: internal errors that were swallowed, by place.
    """

    records: int = 0
    rows: int = 0
    in_flight: int = 0
    losses: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    series: int = 0
    windows_open: int = 0
    windows_closed: int = 0
    drain_lag_s: float = 0.0
    consumer_cpu_s: float = 0.0
    exports: Mapping[str, int] = field(default_factory=dict)
    exported_bytes: int = 0
    series_cut: int = 0
    spans_bounded: int = 0
    sampling_ratio: float = 1.0
    guarded: Mapping[str, int] = field(default_factory=dict)
