"""Runtime health of this process, sampled by the consumer: CPU, throttling, memory, collector, loops, pools.

Three tables are filled at the source: the garbage collector's pauses in its own callback, the lag of an asyncio loop by a timer in it, and
waits for a thread by the submitter of the work. They are cumulative and never emptied; a sample takes the increase since the last one, so
nothing is lost and no lock is taken. The rest is read from the kernel.

Where an agent drains the rings, the same samples are taken and their totals left in the spool (`radiosonde._pipeline.worker_publisher`);
the agent makes the windows (`radiosonde._agent.workers_health`).

Cost: 60 us per sample, 0.2 ms every five seconds for pressure and run queues, and 1 us per run of the collector (bench ``runtime-cpu``).
"""

from __future__ import annotations

import functools
import gc
import math
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from radiosonde._aggregate.answers import AnswerState
from radiosonde._aggregate.traffic import TrafficState
from radiosonde._clock import NS, monotonic_ns, process_time_ns, wall_ns
from radiosonde._health import probes
from radiosonde._health.pressure import Contention, ContentionProbe
from radiosonde._native import RLock
from radiosonde.model import LATENCY, RUNTIME_KEY, DurationCounts, RuntimeCounts, Window
from radiosonde.model.addition import add
from radiosonde.model.runtime import LEVELS

if TYPE_CHECKING:
    import asyncio

BEAT_EVERY_S = 0.25
"""Interval of the timer in an asyncio loop: a stall of a quarter of a second is always detected, a shorter one in proportion."""

SAMPLE_EVERY_NS = NS // 2
"""Samples closer together than this are one."""

GPU_EVERY_NS = 10 * NS
"""NVML is queried less often: a call may take a millisecond."""

CONTENTION_EVERY_NS = 5 * NS
"""Pressure and run queues are read less often: a dozen files of the kernel, 0.2 ms."""

_STEPS = 1 << LATENCY.scale

Returned = TypeVar("Returned")


class DurationTable:
    """Cumulative durations in `LATENCY` buckets; one thread at a time adds, any thread may read."""

    __slots__ = ("_counts", "_sum_ns")

    def __init__(self) -> None:
        self._counts = [0] * LATENCY.size
        self._sum_ns = 0

    def add(self, duration_ns: int) -> None:
        """Count one duration."""
        index = math.ceil(math.log2(max(duration_ns, 1) / NS) * _STEPS) - 1 - LATENCY.offset
        self._counts[min(max(index, 0), LATENCY.size - 1)] += 1
        self._sum_ns += max(duration_ns, 0)

    def snapshot(self) -> DurationCounts:
        """Return the counts so far."""
        return DurationCounts(np.array(self._counts, dtype=np.int64), self._sum_ns / NS)


class HealthSampler:
    """Counts the health of this process into windows of wall time. Guarded by the lock of the pipeline's turn.

    Args:
        window_s: length of a window in seconds.
        process: identity of this process in the windows.
    """

    def __init__(self, window_s: float, process: str) -> None:
        self._window_ns = round(window_s * NS)
        self._process = process
        self._pauses, self._lags, self._waits = DurationTable(), DurationTable(), DurationTable()
        self._tables = self._snapshots()  # counts from before the start are included
        self._pause_began_ns = 0
        # Guards adding to lags and waits. Re-entrant: a finaliser may submit work in the middle of it. Never taken by the
        # collector's callback: a child forked while another thread held it would stop at its first collection.
        self._lock = RLock()
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        self.is_running = self._is_over = False
        self.total = RuntimeCounts()
        """Counts since the start, levels as last seen. Replaced as a whole, so any thread may read it."""

    def start(self) -> None:
        """Begin to count; again is nothing. The first sample does it, in the consumer's turn: it takes a millisecond or two."""
        if self.is_running or self._is_over:
            return
        self.is_running = True
        limit = probes.cpu_limit()
        self._stat = limit.stat
        self._cores = min(limit.cores, probes.available_cores())
        self._contention = ContentionProbe()
        self._contention_ns = monotonic_ns()
        self._memory_bytes = self._memory_limit_bytes = 0
        self._gpu = probes.gpu_probe()
        self._gpu_bytes = 0
        self._gpu_asked_ns = (
            -GPU_EVERY_NS
        )  # so that the first sample reads it, also if the monotonic clock has just started
        self._throttling = probes.throttling(self._stat) if self._stat else probes.Throttling()
        self._cpu_ns, self._sampled_ns = process_time_ns(), monotonic_ns()
        self._start_ns = wall_ns()
        self._start_ns -= self._start_ns % self._window_ns
        self._parts: list[RuntimeCounts] = []
        gc.callbacks.append(self._on_collection)

    def stop(self) -> None:
        """Remove the hooks; timers in loops stop at their next run."""
        self.is_running, self._is_over = False, True
        if self._on_collection in gc.callbacks:
            gc.callbacks.remove(self._on_collection)

    # Where things happen ---------------------------------------------------------------------------------------------

    def _on_collection(self, phase: str, _: dict[str, int]) -> None:
        # Collections never nest (so no lock), and hold the interpreter lock (or stop the world) in between.
        # Where the application's stack is all but full, the calls below do not fit on it. That pause is not counted: an exception
        # would go to `sys.unraisablehook`, which prints it. The call of this method needs its frame all the same.
        try:
            if phase == "start":
                self._pause_began_ns = monotonic_ns()
            elif self._pause_began_ns:
                self._pauses.add(monotonic_ns() - self._pause_began_ns)
                self._pause_began_ns = 0
        except RecursionError:
            self._pause_began_ns = 0

    def watch_running_loop(self) -> None:
        """Check the asyncio loop that runs in this thread, if one does, from now on; again is nothing.

        May come before `start`: a server's first request is there before its first prediction.
        """
        events = sys.modules.get("asyncio.events")
        loop = None if events is None else events._get_running_loop()  # noqa: SLF001 - the documented one raises where no loop runs
        if loop is not None and loop not in self._loops and not self._is_over:
            self._loops.add(loop)
            self._beat_later(loop)

    def _beat_later(self, loop: asyncio.AbstractEventLoop) -> None:
        due_ns = monotonic_ns() + round(BEAT_EVERY_S * NS)
        # In an empty context: the caller's context would live as long as the loop.
        loop.call_later(BEAT_EVERY_S, self._beat, weakref.ref(loop), due_ns, context=_empty_context())

    def _beat(self, watched: weakref.ref[asyncio.AbstractEventLoop], due_ns: int) -> None:
        loop = watched()
        if not self._is_over and loop is not None:
            lag_ns = monotonic_ns() - due_ns
            with self._lock:
                self._lags.add(lag_ns)
            self._beat_later(loop)

    def queued(self, function: Callable[..., Returned]) -> Callable[..., Returned]:
        """Wrap *function* so that its call counts the time since now: its wait for a thread."""
        submitted_ns = monotonic_ns()

        @functools.wraps(function, updated=())
        def begun(*args: Any, **kwargs: Any) -> Returned:
            waited_ns = monotonic_ns() - submitted_ns
            with self._lock:
                self._waits.add(waited_ns)
            return function(*args, **kwargs)

        return begun

    # Windows ---------------------------------------------------------------------------------------------------------

    def sample(self, *, everything: bool = False) -> list[Window]:
        """Count the increase since the last sample; return the window that ended, or with *everything* the open one."""
        if not self.is_running:
            self.start()
            return []
        now_ns = monotonic_ns()
        if now_ns - self._sampled_ns < SAMPLE_EVERY_NS and not everything:
            return []
        ended: list[Window] = []
        start_ns = wall_ns()
        start_ns -= start_ns % self._window_ns
        if start_ns != self._start_ns:
            ended = self._close()
            self._start_ns = start_ns
        part = self._since(now_ns, is_last=everything)
        self._parts = [add([*self._parts, part])]
        last: dict[str, Any] = {level: getattr(part, level) for level in LEVELS}
        self.total = replace(add([self.total, part]), **last)
        return [*ended, *(self._close() if everything else ())]

    def _since(self, now_ns: int, *, is_last: bool) -> RuntimeCounts:
        """Return the increase since the last sample."""
        waited = Contention(memory_bytes=self._memory_bytes, memory_limit_bytes=self._memory_limit_bytes)
        if is_last or now_ns - self._contention_ns >= CONTENTION_EVERY_NS:
            waited, self._contention_ns = self._contention.look(), now_ns
            self._memory_bytes, self._memory_limit_bytes = waited.memory_bytes, waited.memory_limit_bytes
        cpu_ns, tables = process_time_ns(), self._snapshots()
        throttled = probes.throttling(self._stat) if self._stat else probes.Throttling()
        grown = throttled.since(self._throttling)
        if self._gpu is not None and now_ns - self._gpu_asked_ns >= GPU_EVERY_NS:
            self._gpu_bytes, self._gpu_asked_ns = self._gpu(), now_ns
        added = [
            DurationCounts(table.counts - before.counts, table.sum_s - before.sum_s)
            for table, before in zip(tables, self._tables, strict=True)
        ]
        pauses, lags, waits = added
        part = RuntimeCounts(
            (now_ns - self._sampled_ns) / NS,
            (cpu_ns - self._cpu_ns) / NS,
            *grown,
            probes.rss_bytes(),
            self._gpu_bytes,
            gc_pauses=pauses,
            loop_lags=lags,
            pool_waits=waits,
            cores=self._cores,
            **waited._asdict(),
        )
        self._cpu_ns, self._sampled_ns, self._throttling, self._tables = cpu_ns, now_ns, throttled, tables
        return part

    def _snapshots(self) -> tuple[DurationCounts, DurationCounts, DurationCounts]:
        return self._pauses.snapshot(), self._lags.snapshot(), self._waits.snapshot()

    def _close(self) -> list[Window]:
        parts, self._parts = self._parts, []
        return [runtime_window(self._process, self._start_ns, self._window_ns, part) for part in parts]


def runtime_window(process: str, start_ns: int, window_ns: int, runtime: RuntimeCounts, agent: str = "") -> Window:
    """Return a window with the health of a process only; its predictions are counted by *agent*."""
    nothing = TrafficState()
    return Window(
        key=RUNTIME_KEY._replace(cohort=agent),
        start_ns=start_ns,
        end_ns=start_ns + window_ns,
        process=process,
        calls=0,
        rows=0,
        errors={},
        batch_sizes=nothing.batch_sizes,
        latency=nothing.latency(()),
        output=AnswerState().freeze(()),
        runtime=runtime,
    )


@functools.cache
def _empty_context() -> Any:
    from contextvars import Context

    return Context()
