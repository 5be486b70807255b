"""Exports of an agent besides its store: the exporters of `radiosonde.export.carriers`.

The agent writes the store itself: counts are durable first, and exported afterwards. A window is committed in parts; a carrier of windows
gets it once, when it is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from radiosonde._aggregate.tail_sampler import TailSampler
from radiosonde._clock import NS, monotonic_ns
from radiosonde._pipeline.delivery import Delivery
from radiosonde.export.carriers import make_exporters
from radiosonde.export.exporter import ExportContext, ExportCounts
from radiosonde.export.prometheus_exporters import PageExporter
from radiosonde.model.size import held_bytes
from radiosonde.sketches.merge import key_and_bounds, sum_windows

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde._settings import Settings
    from radiosonde.export.snapshot import Snapshot
    from radiosonde.model import Window

REST_NS = 10 * NS
"""A window to which nothing was added for so long, two commits, is over."""

HELD_BYTES = 32 << 20
"""Windows put together at a time, in bytes; beyond them the one that waited longest goes as it is."""

CLOSE_TIMEOUT_S = 5.0


class AgentExports:
    """The exporters of one agent.

    Args:
        settings: select the exporters. The store and prometheus-client's registry are excluded: the agent writes a store itself, and only a
            page reads its registry.
        guard: counts losses.
        snapshot: returns all counts of the agents of a spool.
        process: identity of the agents of a spool.

    Attributes:
        tail_sampler: selects predictions that get a span after they ended; None if no exporter accepts spans.
    """

    def __init__(self, settings: Settings, guard: Guard, snapshot: Callable[[], Snapshot], process: str) -> None:
        own = replace(settings, store=None, prometheus=False)
        context = ExportContext(own, guard, snapshot, lambda: snapshot().references, process)
        self._exporters = make_exporters(context)
        self._delivery = Delivery(own, guard, self._exporters, labels=None)
        self._gatherer = _Gatherer()
        bound = settings.spans_per_minute if any(each.takes_spans for each in self._exporters) else 0
        self.tail_sampler = TailSampler(bound, guard) if bound else None

    @property
    def said(self) -> str:
        """Description of the exports, for log messages."""
        pages = [each.page for each in self._exporters if isinstance(each, PageExporter) and each.page is not None]
        others = [each.setting.upper() for each in self._exporters if each.interval_s is not None]
        return "".join(f", {each}" for each in [*(f"metrics on {page.url}" for page in pages), *others])

    def open(self) -> None:
        """Open the exporters and start their threads.

        Raises:
            RadiosondeError: one cannot be opened.
        """
        self._delivery.open()
        self._delivery.start()

    def take(self, parts: Sequence[Window]) -> None:
        """Accept the windows of a commit.

        Spans come after the commit: records that are drained again after a kill would make the same spans again.
        """
        self._delivery.export(self._gatherer.add(parts), self.tail_sampler.take() if self.tail_sampler else ())

    def flush(self, timeout_s: float) -> bool:
        """Have every exporter deliver now; return whether all did in time."""
        return self._delivery.flush(monotonic_ns() + round(timeout_s * NS))

    def counts(self) -> ExportCounts:
        """Return the delivery counts."""
        return self._delivery.counts()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Deliver a last time and end the threads; undelivered items are counted."""
        self._delivery.export(self._gatherer.rest())
        self.flush(timeout_s)
        self._delivery.stop(monotonic_ns() + round(timeout_s * NS))
        self._delivery.close(timeout_s)


class _Gatherer:
    """Puts parts of windows together until nothing more comes for them."""

    def __init__(self) -> None:
        # By window and grid, most recently added last: time, window, and its bytes.
        self._held: dict[Hashable, tuple[int, Window, int]] = {}
        self._bytes = 0

    def add(self, parts: Sequence[Window]) -> list[Window]:
        """Add the windows of one commit; return those that are complete."""
        now_ns = monotonic_ns()
        for part in parts:
            place: Hashable = (key_and_bounds(part), "" if part.features is None else part.features.grid)
            _, held, size = self._held.pop(place, (0, None, 0))
            whole = part if held is None else sum_windows((held, part))
            self._held[place] = now_ns, whole, held_bytes(whole)
            self._bytes += self._held[place][2] - size
        over: list[Window] = []
        for place, (added_ns, window, size) in list(self._held.items()):
            if now_ns - added_ns < REST_NS and self._bytes <= HELD_BYTES:
                break
            del self._held[place]
            self._bytes -= size
            over.append(window)
        return over

    def rest(self) -> list[Window]:
        """Return all held windows."""
        rest = [window for _, window, _ in self._held.values()]
        self._held.clear()
        self._bytes = 0
        return rest
