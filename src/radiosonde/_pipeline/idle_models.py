"""Releases the ring of a model that was not called for an hour. The next call opens another one of the same schema.

A process may hold many models of which few are used (a model per customer, one per day). Each would keep a ring of some MiB for the life of
the process. The cost is the few milliseconds in which a ring is opened again.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING

from radiosonde._clock import NS
from radiosonde._record.record_writer import RecordWriter

if TYPE_CHECKING:
    from radiosonde._record.recorder import Recorder

IDLE_S = 3600.0
"""Seconds without a call. Arbitrary: long beside a nightly job's pauses between calls, short beside a process's life."""

LOOK_EVERY_S = 60.0


class IdleModels:
    """Remembers when a record was last seen in each ring. Owner: the consumer thread."""

    def __init__(self) -> None:
        self._seen: weakref.WeakKeyDictionary[RecordWriter, tuple[int, int]] = weakref.WeakKeyDictionary()
        self._looked_ns = 0

    def look(self, recorders: Iterable[Recorder], now_ns: int) -> None:
        """Release idle rings; at most once per `LOOK_EVERY_S`.

        Args:
            recorders: of the models.
            now_ns: monotonic clock.
        """
        if now_ns - self._looked_ns < LOOK_EVERY_S * NS:
            return
        self._looked_ns = now_ns
        for recorder in recorders:
            writer = recorder.writer
            if not isinstance(writer, RecordWriter):
                continue
            # Each record has a larger mark than the ones before it.
            newest = int(writer.ring.headers["mark"].max())
            seen, since_ns = self._seen.setdefault(writer, (newest, now_ns))
            if newest != seen:
                self._seen[writer] = newest, now_ns
            elif now_ns - since_ns >= IDLE_S * NS:
                recorder.rest(writer)
