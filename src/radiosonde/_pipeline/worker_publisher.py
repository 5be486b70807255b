"""Worker side of agent mode: publishes counts and health in the spool, and checks for an agent.

Once a second, by the consumer's thread, and at exit. The health is sampled here and not by the agent: pauses, lag and waits can only be
measured inside the process, and ``/proc`` and the control group of another process may belong to another container, are gone when it is
dead, and would miss its last second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from radiosonde._clock import monotonic_ns, wall_ns
from radiosonde._ring.process_pages import COUNTS, HEALTH, HealthReading, PageKind, ProcessPage
from radiosonde._ring.spool import AGENT_LOCK, Spool, is_held
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde._health.health import HealthSampler
    from radiosonde._pipeline.launch import Launcher

LOSS, LABEL, GUARDED = "loss.", "label.", "guarded."
"""Before the names of losses, label results and places of errors in a page of counts."""


Value = TypeVar("Value")


class _OwnPage(Generic[Value]):
    """A page of this process, created at the first value and again after it was removed.

    Args:
        guard: counts and logs where it cannot be created.
        kind: type of its contents.
        loss: counted once where it cannot be created; it is tried again with each value.
        consequence: of that, for the log.
    """

    def __init__(self, guard: Guard, kind: PageKind[Value], loss: str, consequence: str) -> None:
        self._guard, self._kind, self._loss, self._consequence = guard, kind, loss, consequence
        self._page: ProcessPage[Value] | None = None
        self._is_lost = False

    def publish(self, spool: Spool, process: str, value: Value) -> None:
        """Replace the contents of the page."""
        if self._page is not None and self._page.is_removed:
            self.close()
        if self._page is None:
            made = self._guard.attempt(ProcessPage[Value], spool.page_path(process, self._kind.suffix), self._kind)
            if isinstance(made, Exception):
                if not self._is_lost:
                    self._guard.lose(self._loss)
                self._is_lost = True
                self._guard.warn(self._kind.name, "%s (until then %s)", made, self._consequence)
                return
            self._page = made
        self._page.write(value)

    def close(self) -> None:
        """Release the file; its contents are final."""
        if self._page is not None:
            self._page.close()
        self._page = None


class WorkerPublisher:
    """Publishes counts and health of this process in a spool for the agent.

    Args:
        guard: its losses and errors, which are left in the spool.
        process: identity of the process.
        spool: returns the spool, None without one; may raise.
        labels: returns the label results of the process.
        health: samples the health of the process; None if disabled.
        launcher: starts an agent if none runs; None if it is started otherwise.
    """

    def __init__(
        self, guard: Guard, process: str, spool: Callable[[], Spool | None],
        labels: Callable[[], Mapping[str, int]], health: HealthSampler | None = None, launcher: Launcher | None = None,
    ) -> None:  # fmt: skip
        self._guard, self._process, self._spool, self._labels = guard, process, spool, labels
        self._launcher = launcher
        self._health = health
        self._counts_page = _OwnPage(
            guard, COUNTS, losses.SPOOL_FAILED, "losses of this process are only in its own statistics"
        )
        self._health_page = _OwnPage(
            guard, HEALTH, losses.HEALTH_UNSHARED, "the agent does not count this process's health"
        )

    def look(self, *, is_last: bool = False) -> None:
        """Publish the counts and the health; start an agent, or log that none is running.

        Args:
            is_last: the process is about to exit.
        """
        if self._health is not None:  # the agent creates windows from the totals; those created here are discarded
            with self._guard("health_publish"):
                self._health.sample(everything=is_last)
        failure = self._guard.attempt(self._look)
        if isinstance(failure, Exception):  # the folder went away, or may no longer be entered
            self._guard.warn("spool", "The spool cannot be used (%s); check the folder and its permissions", failure)

    def _look(self) -> None:
        spool = self._spool()
        if spool is None:
            return
        if self._health is not None and self._health.total.observed_s:
            self._health_page.publish(spool, self._process, HealthReading(wall_ns(), self._health.total))
        if counts := self._counts():
            self._counts_page.publish(spool, self._process, counts)
        if self._launcher is not None:
            self._launcher.look(spool, monotonic_ns())
        elif not is_held(spool.folder / AGENT_LOCK):
            self._guard.warn(
                "agent", "No agent drains %s, so only counts are kept, without features; start: radiosonde agent --spool %s",
                spool.folder, spool.folder,
            )  # fmt: skip

    def _counts(self) -> dict[str, int]:
        counts = {LOSS + reason: count for reason, count in self._guard.losses().items() if count}
        counts |= {LABEL + result: count for result, count in self._labels().items() if count}
        return counts | {GUARDED + place: count for place, count in self._guard.errors().items() if count}

    def end(self) -> None:
        """Publish the last counts and start an agent for the remaining records; the process is about to exit."""
        self.look(is_last=True)
        self._counts_page.close()
        self._health_page.close()
