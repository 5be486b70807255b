"""Worker side of agent mode: publishes counts and health in the spool, and checks for an agent.

Once a second, by the consumer's thread, and at the exit. The health is sampled here and not by the agent from outside: pauses,
lag and waits are known to nobody else, and ``/proc`` and the control group of another process may belong to another container,
are gone when it is dead, and would leave its last second out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from radiosonde._clock import monotonic_ns, wall_ns
from radiosonde._ring.counts import CountsPage
from radiosonde._ring.health_page import HealthPage
from radiosonde._ring.spool import AGENT_LOCK, Spool, is_held
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde._health.health import HealthSampler
    from radiosonde._pipeline.launch import Launcher
    from radiosonde.model import RuntimeCounts

LOSS, LABEL, GUARDED = "loss.", "label.", "guarded."
"""Before the names of losses, label results and places of errors in a page of counts."""


class WorkerPublisher:
    """Looks after one process's side of a spool.

    Args:
        guard: its losses and errors, which are left in the spool.
        process: identity of the process.
        spool: returns the spool, None without one; may raise.
        labels: returns the label results of the process.
        health: samples the health of the process; None where it is not wanted.
        launcher: starts an agent where none runs; None where somebody else does.
    """

    def __init__(
        self, guard: Guard, process: str, spool: Callable[[], Spool | None],
        labels: Callable[[], Mapping[str, int]], health: HealthSampler | None = None, launcher: Launcher | None = None,
    ) -> None:  # fmt: skip
        self._guard, self._process, self._spool, self._labels = guard, process, spool, labels
        self._launcher = launcher
        self._page: CountsPage | None = None
        self._has_no_page = False
        self._health = health
        self._health_page: HealthPage | None = None
        self._is_health_unshared = False

    def look(self, *, is_last: bool = False) -> None:
        """Leave the counts and the health; start an agent, or say that there is none.

        Args:
            is_last: the process is about to exit.
        """
        if self._health is not None:  # the agent makes windows of the totals; those made here are for nobody
            with self._guard("health_publish"):
                self._health.sample(everything=is_last)
        failure = self._guard.attempt(self._look)
        if isinstance(failure, Exception):  # the folder went away, or may no longer be entered
            self._guard.tell("spool", "The spool cannot be used (%s); make it usable again", failure)

    def _look(self) -> None:
        spool = self._spool()
        if spool is None:
            return
        if self._health is not None and self._health.total.observed_s:
            self._leave_health(spool, self._health.total)
        self._leave_counts(spool)
        if self._launcher is not None:
            self._launcher.look(spool, monotonic_ns())
        elif not is_held(spool.folder / AGENT_LOCK):
            self._guard.tell(
                "agent", "No agent drains %s, so only counts of what is recorded are kept; start: radiosonde agent --spool %s",
                spool.folder, spool.folder,
            )  # fmt: skip

    def _leave_counts(self, spool: Spool) -> None:
        if self._page is not None and self._page.is_removed:
            self._page.close()
            self._page = None
        counts = {LOSS + reason: count for reason, count in self._guard.losses().items() if count}
        counts |= {LABEL + result: count for result, count in self._labels().items() if count}
        counts |= {GUARDED + place: count for place, count in self._guard.errors().items() if count}
        if self._page is None:
            if not counts:
                return
            made = self._guard.attempt(CountsPage, spool.counts_path(self._process))
            if isinstance(made, Exception):
                if not self._has_no_page:  # tried again every second, counted once
                    self._guard.lose(losses.SPOOL_FAILED)
                self._has_no_page = True
                self._guard.tell("spool", "%s (until then this process's losses are in its own statistics only)", made)
                return
            self._page = made
        self._page.write(counts)

    def _leave_health(self, spool: Spool, total: RuntimeCounts) -> None:
        if self._health_page is not None and self._health_page.is_removed:
            self._health_page.close()
            self._health_page = None
        if self._health_page is None:
            made = self._guard.attempt(HealthPage, spool.health_path(self._process))
            if isinstance(made, Exception):
                if not self._is_health_unshared:
                    self._guard.lose(losses.HEALTH_UNSHARED)
                self._is_health_unshared = True
                self._guard.tell("health", "%s (until then the agent does not count this process's health)", made)
                return
            self._health_page = made
        self._health_page.write(total, wall_ns())

    def end(self) -> None:
        """Leave the last counts, and an agent for what is in the rings; the process is about to exit."""
        self.look(is_last=True)
        for page in (self._page, self._health_page):
            if page is not None:
                page.close()
        self._page = self._health_page = None
