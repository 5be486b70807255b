"""Records windows that the store did not accept, to be written as soon as it recovers: a gap must not look like no traffic.

One entry per model and reason for an outage of any length: the numbers of windows and calls, and their span of time. The entries are
windows of `RUNTIME_KEY` (`radiosonde.model.lost`), so they are stored, merged and deleted like all others. They leave this list only when
their transaction is committed. A process that ends while its store is still down cannot write them; its losses are in its log.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from radiosonde._native import RLock
from radiosonde.model import LATENCY, OVERFLOW_COHORT, RUNTIME_KEY, LatencyCounts, OutputCounts, RuntimeCounts, Window
from radiosonde.model.bins import BATCH_BUCKETS, CONFIDENCE_BINS, LATENCY_EDGES_S
from radiosonde.model.lost import LostCounts

MOST_ENTRIES = 1000
"""Models and reasons kept apart; further ones count under `OVERFLOW_COHORT`."""


@dataclass(slots=True)
class _Entry:
    start_ns: int
    end_ns: int
    windows: int = 0
    calls: int = 0


class LostWindows:
    """The losses of one process since the last committed ones.

    Args:
        process: identity of the process.
    """

    def __init__(self, process: str) -> None:
        self._process = process
        self._lock = RLock()  # windows are dropped by the consumer and by the thread that stores
        self._entries: dict[tuple[str, str], _Entry] = {}  # guarded by _lock
        self._written: dict[tuple[str, str], _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, windows: Iterable[Window], reason: str) -> None:
        """Count *windows* as lost."""
        with self._lock:
            for window in windows:
                if window.lost is not None or window.key.model == RUNTIME_KEY.model:
                    continue  # health of a process, of which no call is missing
                place = (window.key.model, reason)
                if place not in self._entries and len(self._entries) >= MOST_ENTRIES:
                    place = (OVERFLOW_COHORT, reason)
                entry = self._entries.setdefault(place, _Entry(window.start_ns, window.end_ns))
                entry.start_ns, entry.end_ns = (
                    min(entry.start_ns, window.start_ns),
                    max(entry.end_ns, window.end_ns),
                )
                entry.windows += 1
                entry.calls += window.calls

    def windows(self) -> list[Window]:
        """Return the entries to write with the next windows; `settle` or `keep` must follow."""
        with self._lock:
            self._written, self._entries = self._entries, {}
        return [_window(self._process, place, entry) for place, entry in self._written.items()]

    def settle(self) -> None:
        """Drop the written entries."""
        self._written = {}

    def keep(self) -> None:
        """Keep the unwritten entries, merged with losses that occurred meanwhile."""
        with self._lock:
            for place, entry in self._written.items():
                newer = self._entries.get(place)
                if newer is not None:
                    entry.start_ns, entry.end_ns = min(entry.start_ns, newer.start_ns), max(entry.end_ns, newer.end_ns)
                    entry.windows, entry.calls = entry.windows + newer.windows, entry.calls + newer.calls
                self._entries[place] = entry
            self._written = {}


def _window(process: str, place: tuple[str, str], entry: _Entry) -> Window:
    """Return the window with the losses at *place*."""
    none, tables = np.zeros(0, dtype=np.int64), np.zeros((0, CONFIDENCE_BINS), dtype=np.int64)
    return Window(
        key=RUNTIME_KEY,
        start_ns=_storable(entry.start_ns),
        end_ns=_storable(entry.end_ns),
        process=process,
        calls=0,
        rows=0,
        errors={},
        batch_sizes=np.zeros(BATCH_BUCKETS, dtype=np.int64),
        latency=LatencyCounts(
            counts=np.zeros(LATENCY.size, dtype=np.int64),
            sums_s=np.zeros(LATENCY.size),
            phases=(),
            phase_sums_s=np.zeros((0, LATENCY.size)),
            edges_s=LATENCY_EDGES_S,
            edge_counts=np.zeros(len(LATENCY_EDGES_S) + 1, dtype=np.int64),
        ),
        output=OutputCounts((), none, tables, tables.astype(float), np.zeros(0), none),
        runtime=RuntimeCounts(),
        lost=LostCounts({place: entry.windows}, {place: _storable(entry.calls)}),
    )


def _storable(number: int) -> int:
    """Return *number*, or the nearest that a column holds: windows are refused for numbers beyond it."""
    return min(max(number, -(2**63)), 2**63 - 1)
