"""What the agent serves and sends: one ``/metrics`` and one OTLP stream for all processes of the host.

The same page and the same OTLP outlet as in a server; two things differ. The store is not among them, because the agent
writes it together with its progress. And a commit every few seconds cuts a window into parts: they are put together again
before their sketches are sent, or a backend would get twelve events for one. What is being put together, and what waits
for a backend that is down, is in memory: an agent that is killed leaves its sketches to the store alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from radiosonde._aggregate.tail_sampler import TailSampler
from radiosonde._clock import monotonic_ns
from radiosonde._pipeline._worker import Worker
from radiosonde._pipeline.agent import COMMIT_EVERY_NS
from radiosonde._pipeline.metrics_page import MetricsPage
from radiosonde._pipeline.otlp_outlet import OtlpOutlet, resource_attributes
from radiosonde.export.snapshot import Snapshot
from radiosonde.sketches.merge import key_and_bounds, sum_windows

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde._pipeline.agent import Agent
    from radiosonde._settings import Settings
    from radiosonde.model import Window

REST_NS = 2 * COMMIT_EVERY_NS
"""A window to which two commits in a row added nothing is over."""

HELD_WINDOWS = 1000
"""Windows put together at a time; beyond them the one that waited longest goes as it is."""

CLOSE_TIMEOUT_S = 5.0


class AgentOutlets:
    """Prometheus and OTLP of one agent.

    Args:
        agent: whose snapshots and windows go out.
        guard: counts what is lost.
        settings: the port of ``/metrics``; whether and how often to export over OTLP.

    Raises:
        ConfigurationError: the port is taken.

    Attributes:
        said: what is served where, for people.
        otlp: the OTLP stream, if there is one.
    """

    def __init__(self, agent: Agent, guard: Guard, settings: Settings) -> None:
        self._agent, self._guard = agent, guard
        self._page: MetricsPage | None = None
        self._gatherer = _Gatherer()
        self.said = ""
        if settings.prometheus_port is not None:
            from radiosonde.export.prometheus import PrometheusCollector

            collector = PrometheusCollector(agent.snapshot)
            self._page = MetricsPage(collector, settings.prometheus_port, settings.prometheus_host)
            self.said = f", metrics on {self._page.url}"
        self._sender = Worker(self._send, settings.export_interval_s, "radiosonde-sender")
        self.otlp: OtlpOutlet | None = None
        self._tail_sampler: TailSampler | None = None
        if settings.otlp:
            self.otlp = OtlpOutlet(guard, self._snapshot, resource_attributes(settings, agent.process))
            self.otlp.exporter()
            agent.otlp, agent.committed = self.otlp, self._take
            if settings.spans_per_minute:
                self._tail_sampler = TailSampler(settings.spans_per_minute, guard)
                agent.keep_spans(self._tail_sampler)
            self._sender.start()
            self.said += ", OTLP"

    def _snapshot(self) -> Snapshot:
        return self._agent.snapshot()

    def _take(self, parts: Sequence[Window]) -> None:
        if self.otlp is not None:
            # After the commit: records that are drained again after a kill would make the same spans again.
            self.otlp.take(self._gatherer.add(parts), self._tail_sampler.take() if self._tail_sampler else ())

    def _send(self) -> None:
        if self.otlp is not None:
            with self._guard("agent_export"):
                self.otlp.export()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Send what there is once more, end the thread and the page; what cannot be sent is counted."""
        if self.otlp is not None:
            self.otlp.take(self._gatherer.rest())
            self._sender.ask(timeout_s)
            self._sender.stop(timeout_s)
            self.otlp.close(timeout_s)
        if self._page is not None:
            self._page.close(timeout_s)


class _Gatherer:
    """Puts parts of windows together until nothing more comes for them."""

    def __init__(self) -> None:
        self._held: dict[Hashable, tuple[int, Window]] = {}  # by window and grid, the one added to last at the end

    def add(self, parts: Sequence[Window]) -> list[Window]:
        """Add what one commit made durable; return the windows that are over."""
        now_ns = monotonic_ns()
        for part in parts:
            if part.features is None or not part.features.sketches:
                continue
            place = (key_and_bounds(part), part.features.grid)
            _, held = self._held.pop(place, (0, None))
            self._held[place] = now_ns, part if held is None else sum_windows((held, part))
        over = [place for place, (added_ns, _) in self._held.items() if now_ns - added_ns >= REST_NS]
        over += list(self._held)[len(over) : len(self._held) - HELD_WINDOWS]
        return [self._held.pop(place)[1] for place in over]

    def rest(self) -> list[Window]:
        """Return what is held, as it is."""
        rest = [window for _, window in self._held.values()]
        self._held.clear()
        return rest
