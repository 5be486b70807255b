"""prometheus-client's multiprocess mode: telemetry of each process, in the files that its `MultiProcessCollector` adds up.

In that mode a page is generated from the files in one folder, without custom collectors such as Radiosonde's. Each process therefore writes
its samples into its own files there, as prometheus-client's metrics do, and they are on the application's page.

Counters, histograms and non-monotonic sums are kept when their process ends. Gauges belong to living processes: the last written one, or
the sum over all; files of dead processes are removed by the next writer. With an agent, only the agent writes, under one name that is
stable over its restarts, because its totals continue.

Costs: a snapshot, and a microsecond for each sample that has changed, each time it is published.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from prometheus_client.mmap_dict import MmapedDict, mmap_key

from radiosonde._clock import wall_ns
from radiosonde.export.blocks import Block, Scalars
from radiosonde.export.builder import BlockBuilder
from radiosonde.export.cardinality import MAX_SERIES
from radiosonde.export.exposition import bound_text, label_pairs, sample_suffix
from radiosonde.export.snapshot import Snapshot
from radiosonde.semconv.definition import MetricDefinition
from radiosonde.semconv.prometheus import prometheus_name

_OURS: Final = "radiosonde"
_SUMMED: Final = frozenset(
    {"radiosonde.sdk.in_flight", "radiosonde.sdk.series", "radiosonde.sdk.windows.open", "radiosonde.runtime.memory"}
)
"""Gauges that mean something only together."""


class MultiprocessFiles:
    """The files of one process.

    Args:
        folder: ``PROMETHEUS_MULTIPROC_DIR``; must exist, as for prometheus-client itself.
        snapshot: makes the cumulative snapshot that is written.
        name: identity of the process, unique over all that ever write there.
    """

    def __init__(self, folder: str, snapshot: Callable[[], Snapshot], name: str) -> None:
        self._folder, self._snapshot, self._name = Path(folder), snapshot, name
        self._builder = BlockBuilder(MAX_SERIES)
        self._pid = 0
        self._files: dict[str, Any] = {}
        self._written: dict[str, float] = {}

    def publish(self) -> None:
        """Write everything counted so far.

        Raises:
            OSError: the folder is not there, or cannot be written.
        """
        if self._pid != os.getpid():  # a fork: the parent's maps are the parent's
            self._pid, self._files, self._written = os.getpid(), {}, {}
        self._forget_the_dead()
        now_s = wall_ns() / 1e9
        for family in self._builder.build(self._snapshot()).families.values():
            kind = _file_of(family[0].metric)
            for block in family:
                for key, value in _samples(block):
                    if self._written.get(key) != value:
                        self._file(kind).write_value(key, value, now_s)
                        self._written[key] = value

    def close(self) -> None:
        """Close the files, and remove the gauges of this process."""
        for file in self._files.values():
            file.close()
        self._files, self._written = {}, {}
        for path in self._folder.glob(f"gauge_live*_{os.getpid()}-{_OURS}.db"):
            path.unlink(missing_ok=True)

    def _file(self, kind: str) -> Any:
        file = self._files.get(kind)
        if file is None:
            owner = f"{os.getpid()}-{_OURS}" if kind.startswith("gauge_live") else f"{_OURS}-{self._name}"
            path = str(self._folder / f"{kind}_{owner}.db")
            file = self._files[kind] = MmapedDict(path)  # type: ignore[no-untyped-call]
        return file

    def _forget_the_dead(self) -> None:
        """Remove gauges of processes that have ended; prometheus-client's own way knows its own files only."""
        for path in self._folder.glob(f"gauge_live*-{_OURS}.db"):
            pid = path.name.rpartition("_")[2].partition("-")[0]
            if pid.isdecimal() and not _is_alive(int(pid)):
                path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    with suppress(PermissionError):  # another user's: it is there
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
    return True


def _file_of(metric: MetricDefinition) -> str:
    """Return the prefix of the name of a metric's file, which determines its aggregation."""
    kind = prometheus_name(metric).kind
    if kind != "gauge":
        return kind
    return "gauge_livesum" if metric.name in _SUMMED else "gauge_livemostrecent"


def _samples(block: Block) -> Iterator[tuple[str, float]]:
    """Yield (key, value) of each sample of a block, as prometheus-client writes them: buckets are not cumulative."""
    name = prometheus_name(block.metric)

    def key(sample: str, labels: dict[str, str]) -> str:
        return str(mmap_key(name.family, sample, list(labels), list(labels.values()), block.metric.brief))

    if isinstance(block, Scalars):
        for row, value in zip(block.labels.rows, block.values, strict=True):
            yield key(name.family + sample_suffix(name), label_pairs(row)), float(value)
        return
    labels = label_pairs(block.labels.rows[0])
    for bucket, count in enumerate(block.counts):
        bound = block.labels.edges[bucket] if bucket < len(block.labels.edges) else float("inf")
        yield key(f"{name.family}_bucket", {**labels, "le": bound_text(bound)}), float(count)
    yield key(f"{name.family}_sum", labels), float(block.total)
