"""Windows as events: one log record per closed window, its body the whole window as one JSON document, and one per reference.

A backend that has these needs nothing else to diagnose as a store does. Metrics lack what a diagnosis reads: cells by variant and cohort,
phases by cohort, bounds to the last digit, and labels by the window of their prediction. Series for them would number in the hundred thousands,
and be of no use to a dashboard. So windows travel as they are, and every signal that is declared later travels with them.

The body is JSON text, which every SQL engine reads and every column store compresses. Sketches are not in it; they have events of their own
(`radiosonde.export.otlp_events`).

Both kinds of events can arrive twice. A window is recognised by its number, which is its place among the windows of its process, and a reference by
its identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING

from radiosonde._clock import wall_ns
from radiosonde.export import waiting
from radiosonde.export.labels import release_attributes, version_attributes
from radiosonde.export.otlp_encoding import Value, any_value, attribute_messages
from radiosonde.export.waiting import Waiting
from radiosonde.export.wire import fixed64, message, text, whole
from radiosonde.model import losses
from radiosonde.model.size import held_bytes
from radiosonde.semconv import attributes as names
from radiosonde.semconv import events
from radiosonde.store.inserting import REFUSALS
from radiosonde.store.references import encode_reference
from radiosonde.store.window_text import window_text

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde.export.exporter import References
    from radiosonde.export.otlp import OtlpExporter
    from radiosonde.export.result import ExportResult
    from radiosonde.model import Window

Numbered = tuple[int, int, "Window"]
"""Number of a window, when it was handed over, and the window."""

SEND_BYTES = 1 << 20
"""Windows encoded at a time, in the bytes they hold in memory."""

REFERENCE_EVERY_NS = 86_400 * 10**9
"""After so long a reference is sent again: a backend may delete events by their age."""

_INFO = 9
"""Severity number."""


class WindowEvents:
    """The windows of one process that wait to be sent, and the references that were sent.

    Args:
        guard: counts losses.
        process: identity of the process.
    """

    def __init__(self, guard: Guard, process: str) -> None:
        self._guard, self._process = guard, process
        self._numbers = count(1)
        self._waiting: Waiting[Numbered] = Waiting(
            guard, losses.WINDOW_EVENTS_DROPPED, waiting.WAITING_BYTES, size=lambda item: held_bytes(item[2])
        )
        self._sent: dict[tuple[str, str], tuple[str, int]] = {}

    def put(self, windows: Iterable[Window]) -> None:
        """Keep windows until they are sent. The consumer's."""
        now_ns = wall_ns()
        self._waiting.put((next(self._numbers), now_ns, window) for window in windows)

    def flush(self, client: OtlpExporter, references: References) -> Iterator[ExportResult]:
        """Send what waits, references first, and yield the result of each request; nothing is sent after a failure."""
        due = dict(self._due(references))
        if due:
            result = client.export_records([reference_event(key, *due[key]) for key in due])
            yield result
            if not result.ok:
                return
            self._sent |= {key: (identity, at_ns) for key, (identity, _, at_ns) in due.items()}
        while items := self._waiting.take(SEND_BYTES):
            delivered = 0
            try:
                result = client.export_records(list(self._records(items)))
                delivered = len(items) if result.ok else 0
            finally:
                self._waiting.settle(delivered)
            yield result
            if not result.ok:
                return

    def _due(self, references: References) -> Iterator[tuple[tuple[str, str], tuple[str, str, int]]]:
        now_ns = wall_ns()
        for key, reference in references.items():
            identity, sent_ns = self._sent.get(key, ("", 0))
            if identity != reference.id or now_ns - sent_ns > REFERENCE_EVERY_NS:
                yield key, (*encode_reference(reference), now_ns)

    def _records(self, items: Iterable[Numbered]) -> Iterator[bytes]:
        for number, written_ns, window in items:
            try:
                body = window_text(window, process=self._process, written_ns=written_ns)
            except REFUSALS:
                self._guard.lose(losses.WINDOW_EVENTS_DROPPED)
                continue
            yield window_event(window, body, number, written_ns)

    def abandon(self) -> None:
        """Count what waits as lost."""
        self._waiting.abandon()


def window_event(window: Window, body: str, number: int, written_ns: int) -> bytes:
    """Return the log record of a window."""
    attributes: dict[str, Value] = {
        names.EVENT_NAME: events.WINDOW,
        **dict(release_attributes(window.key)),
        names.COHORT: window.key.cohort,
        names.WINDOW_START: int(window.start_ns),
        names.WINDOW_END: int(window.end_ns),
        names.WINDOW_NUMBER: number,
        names.WINDOW_WRITTEN: written_ns,
    }
    return _record(events.WINDOW, int(window.end_ns), attributes, body, written_ns)


def reference_event(key: tuple[str, str], identity: str, document: str, now_ns: int) -> bytes:
    """Return the log record of the reference of a model and version."""
    attributes: dict[str, Value] = {
        names.EVENT_NAME: events.REFERENCE,
        **dict(version_attributes(*key)),
        names.REFERENCE_ID: identity,
        names.WINDOW_WRITTEN: now_ns,
    }
    return _record(events.REFERENCE, now_ns, attributes, document, now_ns)


def _record(name: str, time_ns: int, attributes: Mapping[str, Value], body: str, observed_ns: int) -> bytes:
    return (
        fixed64(1, time_ns)
        + whole(2, _INFO)
        + message(5, any_value(body))
        + attribute_messages(6, attributes.items())
        + fixed64(11, observed_ns)
        + text(12, name)
    )
