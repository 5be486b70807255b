"""Runtime health of the processes that an agent drains, as windows and metrics per process.

A process samples itself once a second and publishes its totals in the spool (`radiosonde._ring.process_pages`). The agent polls once a
second, counts the increase since its last poll into the window of wall time in which the process sampled, and writes a window when it is
over: one row per process and window, as the process would write itself. Losses travel the same way
(`radiosonde._agent.cumulative_counts`); a ring would have to be sized for the longest absence of an agent, and a page of totals
bridges any.

Exactly once: a commit stores, per process, the total up to the end of its windows. A new agent subtracts it from the page. Counts that a
killed agent had only in memory are therefore counted by the next one, at the latest in the window of its first poll; and a dead process's
page that was counted and not removed adds nothing.

Bounds: 12 kB in the spool and in memory per process, 1 kB in the commit. While the store cannot be written, windows do not end:
the one that is open takes what comes. A dead process's page is removed after the commit that counts it; its metrics are
shown for `SHOWN_NS` more, so that a backend gets their last values.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radiosonde._agent.worker_pages import read_pages
from radiosonde._clock import NS, monotonic_ns
from radiosonde._health.health import runtime_window
from radiosonde._ring.process_pages import HEALTH, HealthReading
from radiosonde._ring.spool import Spool
from radiosonde.model import RuntimeCounts
from radiosonde.model.addition import subtract
from radiosonde.model.runtime import LEVELS
from radiosonde.store.documents import group_document

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde.model import Window

SHOWN_NS = 300 * NS
"""Nanoseconds a dead process's last values are shown: several of the usual intervals of scrapes and exports."""

SHOWN_DEAD = 100
"""Dead processes shown at most, the newest: a server that crashes in a loop makes some each second."""


@dataclass(slots=True)
class _Worker:
    """One process.

    Attributes:
        counted: total up to the end of the last window that ended.
        document: committed form of *counted*; None while that is empty.
        seen: total at the last poll.
        start_ns: start of the open window; 0 without one.
        peaks: largest of each level within the open window.
        died_ns: when its last window was committed, monotonic; 0 while its page is there.
    """

    counted: RuntimeCounts
    document: dict[str, Any] | None = None
    seen: RuntimeCounts = field(default_factory=RuntimeCounts)
    start_ns: int = 0
    peaks: dict[str, Any] = field(default_factory=dict)
    died_ns: int = 0


class WorkersHealth:
    """Windows and totals of all processes of a spool. For one thread; `totals` may be called from any.

    Args:
        spool: where processes leave their pages.
        guard: logs unreadable pages.
        stored: result of `document` in the last commit of a former agent.
        window_s: length of a window in seconds.
        agent: identity of the agent.
    """

    def __init__(self, spool: Spool, guard: Guard, stored: Mapping[str, Any], window_s: float, agent: str) -> None:
        self._spool, self._guard, self._agent = spool, guard, agent
        self._window_ns = round(window_s * NS)
        self._stored = dict(stored)
        self._workers: dict[str, _Worker] = {}  # copy-on-write: `totals` reads it in another thread
        self._ended: list[Window] = []
        self._dead: dict[str, Path] = {}
        self._is_durable = True
        self.has_living = False

    def look(self) -> None:
        """Read the pages that are there."""
        self.has_living = False
        pages = self._spool.pages(HEALTH.suffix)
        for path, is_alive, reading in read_pages(self._spool, HEALTH, self._guard):
            process = path.stem
            worker = self._workers.get(process) or self._adopt(process)
            if reading is not None:
                self._take(process, worker, reading)
            if is_alive:
                self.has_living, worker.died_ns = True, 0  # its page may have been removed and created again
            elif process not in self._dead:
                self._end(process, worker)
                self._dead[process] = path
        self._forget({path.stem for path in pages})

    def _adopt(self, process: str) -> _Worker:
        document = self._stored.pop(process, None)
        counted = RuntimeCounts() if document is None else group_document(RuntimeCounts).read(document)
        worker = _Worker(counted, document, seen=counted)
        self._workers = {**self._workers, process: worker}
        return worker

    def _take(self, process: str, worker: _Worker, reading: HealthReading) -> None:
        start_ns = reading.time_ns - reading.time_ns % self._window_ns
        if start_ns != worker.start_ns and self._is_durable:
            self._end(process, worker)
        worker.start_ns = worker.start_ns or start_ns
        worker.seen = reading.total
        for level in LEVELS:
            worker.peaks[level] = max(worker.peaks.get(level, 0), getattr(reading.total, level))

    def _end(self, process: str, worker: _Worker) -> None:
        """End the open window of a process, if anything was counted into it."""
        part = subtract(worker.seen, worker.counted)
        if part.observed_s > 0:
            whole = replace(part, **worker.peaks)
            self._ended.append(runtime_window(process, worker.start_ns, self._window_ns, whole, self._agent))
            worker.counted, worker.document = worker.seen, group_document(RuntimeCounts).write(worker.seen)
        worker.start_ns, worker.peaks = 0, {}

    def end_all(self) -> None:
        """End the open windows; the agent is about to exit, and its successor continues from there."""
        for process, worker in self._workers.items():
            if not worker.died_ns:
                self._end(process, worker)

    def _forget(self, pages: Collection[str]) -> None:
        """Let dead processes go that were shown long enough."""
        now_ns = monotonic_ns()
        for process, worker in self._workers.items():
            if not worker.died_ns and process not in pages:  # its page was removed by another process
                self._end(process, worker)
                worker.died_ns = now_ns
        newest_first = sorted(self._buried(), key=lambda each: -each[1].died_ns)
        gone = {process for process, worker in newest_first if now_ns - worker.died_ns >= SHOWN_NS}
        gone |= {process for process, _ in newest_first[SHOWN_DEAD:]}
        if gone:
            self._workers = {process: worker for process, worker in self._workers.items() if process not in gone}

    def _buried(self) -> Iterator[tuple[str, _Worker]]:
        return ((process, worker) for process, worker in self._workers.items() if worker.died_ns)

    # Commits ---------------------------------------------------------------------------------------------------------

    @property
    def is_settled(self) -> bool:
        """Whether nothing a dead process left waits for a commit."""
        return not self._dead

    def windows(self) -> Sequence[Window]:
        """Return the windows that have ended and are not durable yet."""
        return tuple(self._ended)

    def document(self) -> dict[str, Any]:
        """Return the state for the next agent: totals up to the end of the last window, by process that may have a page."""
        pages = {path.stem for path in self._spool.pages(HEALTH.suffix)}
        # Pages that lie there and cannot be read may only be unreadable for the moment.
        self._stored = {process: document for process, document in self._stored.items() if process in pages}
        known = {
            process: worker.document
            for process, worker in self._workers.items()
            if worker.document is not None and process in pages
        }
        return {**self._stored, **known}

    def committed(self, *, is_durable: bool) -> None:
        """Adopt the committed `windows` and `document`; remove the counted pages of dead processes."""
        self._is_durable = is_durable
        if not is_durable:
            return
        self._ended.clear()
        now_ns = monotonic_ns()
        for process, path in self._dead.items():
            path.unlink(missing_ok=True)
            self._workers[process].died_ns = now_ns
        self._dead.clear()

    # Views -----------------------------------------------------------------------------------------------------------

    def totals(self) -> dict[str, RuntimeCounts]:
        """Return the totals of each process since it began to count, the living first; who is dead holds no memory."""
        workers = self._workers
        living = {process: worker.seen for process, worker in workers.items() if not worker.died_ns}
        nothing: dict[str, Any] = dict.fromkeys(LEVELS, 0)
        dead = {process: replace(worker.seen, **nothing) for process, worker in workers.items() if worker.died_ns}
        return {process: total for process, total in (living | dead).items() if total.observed_s}
