"""The exporter interface, used by servers and by the agent.

An exporter is one file of this package and one line in `radiosonde.export.carriers`, with its setting. It knows windows,
spans and snapshots, and nothing of rings or threads. The laws that all of them keep are in ``tests/laws/test_exporter_laws.py``:

* `export` never blocks and never raises; it queues its arguments, bounded.
* `flush` delivers the queue. It may take as long as the backend, so it has a separate thread. A failed delivery is counted, and items that
  may be delivered later are kept.
* `close` ends within its timeout; items not delivered by then are counted. Closing is idempotent, and a closed exporter can be opened
  again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde._settings import Settings
    from radiosonde.export.snapshot import Snapshot
    from radiosonde.model import Window
    from radiosonde.model.spans import KeptSpan
    from radiosonde.reference.profile import Reference

References = Mapping[tuple[str, str], "Reference"]
"""Reference profiles by (model, version)."""


@dataclass(frozen=True, slots=True)
class ExportContext:
    """The context from which exporters are created.

    Attributes:
        settings: the settings.
        guard: counts losses.
        snapshot: returns all counts since the start, for carriers of cumulative metrics.
        references: returns the profiles that the windows are read against.
        process: identity of the process.
    """

    settings: Settings
    guard: Guard
    snapshot: Callable[[], Snapshot]
    references: Callable[[], References]
    process: str


@dataclass(frozen=True, slots=True)
class ExportCounts:
    """Delivery counts of an exporter.

    Attributes:
        exports: successful exports by carrier.
        payload_bytes: bytes handed to the carrier.
        series_cut: time series left out of the last export.
    """

    exports: Mapping[str, int] = field(default_factory=dict)
    payload_bytes: int = 0
    series_cut: int = 0


class Exporter(Protocol):
    """One carrier.

    Attributes:
        setting: name of the setting that turns it on.
        interval_s: seconds between calls of `flush`; None: a pull carrier, without `flush`.
        takes_spans: whether `export` keeps spans.
    """

    setting: str
    interval_s: float | None
    takes_spans: bool

    def open(self) -> None:
        """Get ready to export. Again, where it failed or was closed, tries again.

        Raises:
            RadiosondeError: the carrier cannot be used; the message says what to do.
        """

    def prepare(self) -> None:
        """Load the libraries for `flush`; called before each, in its thread. The first call may come while the interpreter ends."""

    def export(self, windows: Sequence[Window], spans: Sequence[KeptSpan]) -> None:
        """Keep closed windows, and spans made after the fact, until `flush`. The consumer's thread."""

    def flush(self) -> None:
        """Deliver the queue, and a snapshot if the carrier is cumulative. For one thread at a time."""

    def close(self, timeout_s: float) -> None:
        """Count undelivered items and release resources."""

    def counts(self) -> ExportCounts:
        """Return the delivery counts so far."""

    def abandon(self) -> None:
        """Release the parent's resources in a forked child; sockets and connections are not touched."""


class BaseExporter:
    """A no-op exporter; carriers override the methods they need."""

    setting = ""
    interval_s: float | None = None
    takes_spans = False

    def open(self) -> None:
        """Do nothing."""

    def prepare(self) -> None:
        """Do nothing."""

    def export(self, windows: Sequence[Window], spans: Sequence[KeptSpan]) -> None:
        """Keep nothing."""

    def flush(self) -> None:
        """Deliver nothing."""

    def close(self, timeout_s: float) -> None:
        """Do nothing."""

    def counts(self) -> ExportCounts:
        """Return that nothing was delivered."""
        return ExportCounts()

    def abandon(self) -> None:
        """Do nothing."""


class ExporterHealth(NamedTuple):
    """The report of ``radiosonde doctor`` on a carrier.

    Attributes:
        state: ``ok``; ``off``: not configured; ``note``: works, with a remark; ``fix``: requires action.
        said: one sentence.
        command: the next command to run; empty for none.
    """

    state: Literal["ok", "off", "note", "fix"]
    said: str
    command: str = ""


class Carrier(NamedTuple):
    """A line of the list of carriers.

    Attributes:
        name: for people.
        setting: name of the setting that turns it on.
        make: returns the exporter, None if the settings do not select it. Opens nothing and imports little.
        health: reports whether the carrier would work with these settings and variables. Tries it, and changes nothing.
    """

    name: str
    setting: str
    make: Callable[[ExportContext], Exporter | None]
    health: Callable[[Settings, Mapping[str, str]], Iterator[ExporterHealth]]
