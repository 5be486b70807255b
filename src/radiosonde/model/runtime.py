"""Runtime health of a process, which distinguishes a slow machine from a slow model.

Counted per process and window of wall time, in windows of a series of their own (`RUNTIME_KEY`), because none of it
belongs to one model: calls are 0 there, and nothing that lists models lists them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from radiosonde.model.buckets import LATENCY
from radiosonde.model.fields import FLOAT, INT, Merge, Stored, counted_group, declarations, declared
from radiosonde.model.names import RUNTIME_MODEL
from radiosonde.model.series import SeriesKey

if TYPE_CHECKING:
    from radiosonde.model.window import Window

RUNTIME_KEY = SeriesKey(RUNTIME_MODEL)
"""Key for a process that counts its predictions itself. With an agent, the cohort holds the agent's identity, because the windows of calls
have the agent as their process, and health has to be matched with them."""


@dataclass(frozen=True, slots=True, eq=False)
class DurationCounts:
    """A table of durations.

    Attributes:
        counts: durations per bucket of `radiosonde.model.LATENCY`, shape (240,).
        sum_s: their sum in seconds.
    """

    counts: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(LATENCY.size, dtype=np.int64),
        metadata=declared(INT, "bucket", stored=Stored.TRIMMED, read_by="export, diagnose"),
    )
    sum_s: float = field(default=0.0, metadata=declared(FLOAT, read_by="export, diagnose"))

    def quantile_s(self, rank: float) -> float:
        """Return the upper bound of the bucket that holds *rank*, at most 9 % above the value; 0.0 without durations."""
        total = int(self.counts.sum())
        if not total:
            return 0.0
        return float(LATENCY.upper_bounds_s()[np.searchsorted(self.counts.cumsum(), max(rank * total, 1e-9))])


@dataclass(frozen=True, slots=True, eq=False)
class RuntimeCounts:
    """Health of a process. Parts add up; levels keep the largest.

    Attributes:
        observed_s: wall seconds of the process that this covers; ``cpu_s / observed_s`` is cores used.
        cpu_s: CPU seconds of the process, all threads.
        periods: enforcement periods of the control group's CPU limit; 0 where there is no limit.
        throttled_periods: periods in which the group had used up its share and had to wait.
        throttled_s: seconds the group's CPUs were held back; more than wall seconds when several are.
        rss_bytes: largest resident memory seen.
        gpu_bytes: largest use of GPU memory seen, all devices and all processes; 0 without NVML.
        gc_pauses: runs of the garbage collector.
        loop_lags: delay of a timer of the asyncio loop, four times a second.
        pool_waits: time that work for a thread pool waited for a thread.
        run_delay_s: seconds in which threads of the process were ready to run and had no core, summed over threads.
        cpu_stalled_s: seconds in which some task of the control group, or of the machine, waited for a core (pressure stall information).
        memory_stalled_s: likewise for memory.
        io_stalled_s: likewise for input and output.
        cores: largest number of cores that the process may use; 0 if unknown.
        memory_bytes: largest use of memory of the control group; 0 where it has no limit.
        memory_limit_bytes: its limit; 0 where there is none.
    """

    observed_s: float = field(default=0.0, metadata=declared(FLOAT, read_by="export, diagnose"))
    cpu_s: float = field(default=0.0, metadata=declared(FLOAT, read_by="export, diagnose"))
    periods: int = field(default=0, metadata=declared(INT, read_by="export, diagnose"))
    throttled_periods: int = field(default=0, metadata=declared(INT, read_by="export, diagnose"))
    throttled_s: float = field(default=0.0, metadata=declared(FLOAT, read_by="export, diagnose"))
    rss_bytes: int = field(default=0, metadata=declared(INT, merge=Merge.LARGEST, read_by="export, diagnose"))
    gpu_bytes: int = field(default=0, metadata=declared(INT, merge=Merge.LARGEST, read_by="export, diagnose"))
    gc_pauses: DurationCounts = field(
        default_factory=DurationCounts, metadata=counted_group(DurationCounts, read_by="export, diagnose")
    )
    loop_lags: DurationCounts = field(
        default_factory=DurationCounts, metadata=counted_group(DurationCounts, read_by="export, diagnose")
    )
    pool_waits: DurationCounts = field(
        default_factory=DurationCounts, metadata=counted_group(DurationCounts, read_by="export, diagnose")
    )
    run_delay_s: float = field(default=0.0, metadata=declared(FLOAT, read_by="diagnose"))
    cpu_stalled_s: float = field(default=0.0, metadata=declared(FLOAT, read_by="diagnose"))
    memory_stalled_s: float = field(default=0.0, metadata=declared(FLOAT, read_by="diagnose"))
    io_stalled_s: float = field(default=0.0, metadata=declared(FLOAT, read_by="diagnose"))
    cores: float = field(default=0.0, metadata=declared(FLOAT, merge=Merge.LARGEST, read_by="diagnose"))
    memory_bytes: int = field(default=0, metadata=declared(INT, merge=Merge.LARGEST, read_by="diagnose"))
    memory_limit_bytes: int = field(default=0, metadata=declared(INT, merge=Merge.LARGEST, read_by="diagnose"))


LEVELS = tuple(each.name for each in declarations(RuntimeCounts) if each.merge is Merge.LARGEST)
"""Fields that are levels: a window holds the largest value, a total the last one."""


def speaker_of(window: Window) -> str:
    """Return which process counted the calls that *window*, one of `RUNTIME_MODEL`, goes with: its own, or its agent."""
    return window.key.cohort or window.process
