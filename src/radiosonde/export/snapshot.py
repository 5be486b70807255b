"""The input of an exporter: cumulative windows, their references, and internal statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from radiosonde.model import RuntimeCounts, Statistics, Window
from radiosonde.model.watched import Watched
from radiosonde.reference.profile import Reference


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything counted since *start_ns*, frozen.

    Attributes:
        start_ns: when counting began (process start or fork), nanoseconds since the epoch; wall clock.
        time_ns: when the snapshot was taken; wall clock.
        windows: cumulative windows, one per series key (and grid), without sketches.
        references: reference profile by (model, version), for the series that have one (provisional ones included).
        statistics: the counts of Radiosonde itself; None for a process that observes nothing.
        runtime: health of the process since *start_ns*, with the last levels; None if it is not counted.
        runtimes: health of each process of an agent, by the process's identity, since its start.
        watched: state of a watch; None for other processes.
    """

    start_ns: int
    time_ns: int
    windows: tuple[Window, ...]
    references: Mapping[tuple[str, str], Reference] = field(default_factory=dict)
    statistics: Statistics | None = field(default_factory=Statistics)
    runtime: RuntimeCounts | None = None
    runtimes: Mapping[str, RuntimeCounts] = field(default_factory=dict)
    watched: Watched | None = None
