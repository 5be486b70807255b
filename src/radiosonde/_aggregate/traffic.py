"""Accumulates calls, errors, durations and phases of one series in one window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde._clock import NS
from radiosonde._ring import tally
from radiosonde._ring.layout import DONE, FAILED, PHASES
from radiosonde.model import LATENCY, Exemplar, LatencyCounts
from radiosonde.model.bins import BATCH_BUCKETS, LATENCY_EDGES_S, batch_bucket, latency_edge
from radiosonde.model.spans import KeptSpan


class TrafficState:
    """Counts of calls. Owner: the consumer thread.

    Args:
        edges_s: bounds of the duration histogram.
    """

    def __init__(self, edges_s: tuple[float, ...] = LATENCY_EDGES_S) -> None:
        self._edges_s = edges_s
        self._edges = np.array(edges_s)
        self.calls = 0
        self.rows = 0
        self.errors: Counter[str] = Counter()
        self.batch_sizes = np.zeros(BATCH_BUCKETS, dtype=np.int64)
        self._counts = np.zeros(LATENCY.size, dtype=np.int64)
        self._sums_s = np.zeros(LATENCY.size)
        self._phase_sums_s = np.zeros((PHASES, LATENCY.size))
        self._edge_counts = np.zeros(len(edges_s) + 1, dtype=np.int64)
        self._exemplars: dict[int, Exemplar] = {}

    def update(self, headers: NDArray[Any], error_names: Sequence[str]) -> bool:
        """Add records, and return whether one failed; a failed one counts as a call with its duration, not as rows."""
        self.calls += len(headers)
        is_failed = (headers["mark"] & 3) == FAILED
        has_failed = bool(is_failed.any())
        if has_failed:
            codes, counts = np.unique(headers["error"][is_failed], return_counts=True)
            for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
                self.errors[error_names[code]] += count
        rows = headers["rows"][(headers["mark"] & 3) == DONE].astype(np.int64)
        self.rows += int(rows.sum())
        sized = headers["rows"][headers["rows"] > 0]
        self.batch_sizes += np.bincount(batch_bucket(sized), minlength=BATCH_BUCKETS)
        self._add_durations(headers)
        return has_failed

    def _add_durations(self, headers: NDArray[Any]) -> None:
        durations_s = headers["duration_ns"] / 1e9
        buckets = LATENCY.index(durations_s)
        self._counts += np.bincount(buckets, minlength=LATENCY.size)
        self._sums_s += np.bincount(buckets, weights=durations_s, minlength=LATENCY.size)
        phases_s = headers["phase_s"]
        for code in np.flatnonzero(phases_s.any(axis=0)).tolist():
            self._phase_sums_s[code] += np.bincount(buckets, weights=phases_s[:, code], minlength=LATENCY.size)
        edges = latency_edge(durations_s, self._edges)
        self._edge_counts += np.bincount(edges, minlength=len(self._edge_counts))
        for place in np.flatnonzero(headers["span_id"]).tolist():
            self._exemplars[int(edges[place])] = Exemplar(
                float(durations_s[place]),
                int(headers["start_ns"][place]),
                int(headers["trace_hi"][place]) << 64 | int(headers["trace_lo"][place]),
                int(headers["span_id"][place]),
            )

    def add(self, counted: tally.Counted, error_names: Sequence[str]) -> None:
        """Add a writer's counts of reclaimed records."""
        calls = counted.of(tally.CALLS)
        self.calls += int(calls.counts.sum())
        self.rows += int(calls.totals.sum())
        errors = counted.of(tally.ERRORS)
        for code, count in zip(errors.code.tolist(), errors.counts.tolist(), strict=True):
            self.errors[error_names[code]] += count
        sizes, durations, phases = (counted.of(kind) for kind in (tally.SIZES, tally.DURATIONS, tally.PHASE_SUMS))
        np.add.at(self.batch_sizes, sizes.bucket, sizes.counts)
        np.add.at(self._counts, durations.bucket, durations.counts)
        np.add.at(self._sums_s, durations.bucket, durations.totals)
        np.add.at(self._edge_counts, durations.code, durations.counts)
        np.add.at(self._phase_sums_s, (phases.code, phases.bucket), phases.totals)

    def point_to(self, spans: Iterable[KeptSpan]) -> None:
        """Take *spans* for exemplars of their buckets, over those that are there."""
        for span in spans:
            duration_s = (span.end_ns - span.start_ns) / NS
            bucket = int(latency_edge(np.array([duration_s]), self._edges)[0])
            self._exemplars[bucket] = Exemplar(duration_s, span.start_ns, span.trace_id, span.span_id)

    def latency(self, phase_names: Sequence[str]) -> LatencyCounts:
        """Return the durations, frozen, with the phases that have a name."""
        named = min(len(phase_names), PHASES)
        return LatencyCounts(
            counts=self._counts.copy(),
            sums_s=self._sums_s.copy(),
            phases=tuple(phase_names[:named]),
            phase_sums_s=self._phase_sums_s[:named].copy(),
            edges_s=self._edges_s,
            edge_counts=self._edge_counts.copy(),
            exemplars=dict(self._exemplars),
        )
