"""Sees that the rings of this process lie in the spool, where they are found: once a second, in the consumer's thread.

A ring is outside the spool if the spool was full or unusable when it was opened, or if its files or the whole folder were removed since.
Writing continues in memory or into a file without a name. A new ring is therefore opened in its
place as soon as that is possible. The same holds for a ring whose descriptor the host has closed: readers take its writer for dead.

With an agent, the records left in the old ring have to reach it, too. They are counted, as a writer counts reclaimed records
(`radiosonde._ring.reclaim`), into the tally of a separate small ring, which the agent finds in the spool, counts and removes like that of a
dead process. It holds no features and ids. An agent that has the old ring open continues to drain it; each record goes to exactly one of
the two. While there is no room for a ring either, such small rings are created only if an agent is running to remove them, and at exit;
records without room even then are a named loss.

The files themselves cannot be given back: Linux links no file that has lost its last name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde._record.ring_factory import leave_reference
from radiosonde._ring.names import CLASSES, COHORTS, ERRORS, PHASES, Name, NameWriter
from radiosonde._ring.ring import Ring
from radiosonde._ring.spool import AGENT_LOCK, NAMES, Spool, is_held
from radiosonde.errors import SpoolError
from radiosonde.model import losses

if TYPE_CHECKING:
    from collections.abc import Callable

    from radiosonde._guard import Guard
    from radiosonde._pipeline.ring_consumer import RingConsumer
    from radiosonde._pipeline.rings import Rings


class SpoolWatch:
    """Looks after the rings of one process.

    Args:
        guard: counts losses.
        rings: the rings.
        spool: returns the spool, None without one; may raise.
        process: identity of the process.
        is_drained_here: whether the process drains its own rings, in or outside the spool.
    """

    def __init__(
        self,
        guard: Guard,
        rings: Rings[RingConsumer],
        spool: Callable[[], Spool | None],
        process: str,
        *,
        is_drained_here: bool,
    ) -> None:
        self._guard, self._rings, self._spool, self._process = guard, rings, spool, process
        self._is_drained_here = is_drained_here

    def look(self) -> None:
        """Open new rings for those that are not in the spool, and hand over the records of the old ones."""
        for consumer in list(self._rings):
            if _is_found(consumer.ring):
                continue
            if self._reopen(consumer) and not self._is_drained_here:
                self._hand_over(consumer)

    def end(self) -> None:
        """Hand over all records, or count the loss; recording has ended."""
        if self._is_drained_here:
            return
        for consumer in list(self._rings):
            if _is_found(consumer.ring):
                continue
            self._hand_over(consumer)
            lost = consumer.give_up()
            if lost:
                self._guard.lose(losses.SPOOL_UNDRAINED, lost)
                self._guard.warn(
                    "undrained",
                    "%d predictions were lost because the spool is full; free space on its disk",
                    lost,
                )

    def _reopen(self, consumer: RingConsumer) -> bool:
        """Open a new ring in place of one; return whether its records are to be handed over now."""
        writer = consumer.writer
        if writer is None or writer.recorder.writer is not writer:
            return True  # replaced already
        is_removed = consumer.ring.file is not None
        failure = self._guard.attempt(writer.recorder.reopen, writer)
        if isinstance(failure, Exception):
            self._guard.warn(
                "spool", "%s; until then rings are in memory and are lost if the process is killed", failure
            )
            spool = self._guard.attempt(self._spool)
            return isinstance(spool, Spool) and is_held(spool.folder / AGENT_LOCK)
        if is_removed:
            self._guard.lose(losses.SPOOL_REMOVED)
            self._guard.warn(
                "spool", "Files of a living process were removed from the spool, or closed by it (%s); a new ring was opened. "
                "Leave what ends in .ring, .arena and .names to the agent, and close only descriptors that you have opened", consumer.ring.file.path if consumer.ring.file else "",
            )  # fmt: skip
        return True

    def _hand_over(self, consumer: RingConsumer) -> None:
        if not consumer.has_uncounted:
            return
        made = self._guard.attempt(self._parcel, consumer)
        if isinstance(made, Exception):
            self._guard.warn("spool", "%s; records wait in memory until there is space", made)
            return
        try:
            consumer.hand_over(made)
        finally:
            if made.file is not None:
                Spool.let_go(made.file)
            made.close()

    def _parcel(self, consumer: RingConsumer) -> Ring:
        """Return a small ring of the same model in the spool.

        Raises:
            SpoolError: the spool cannot be used, or has no room.
            ProfileError: likewise, for the reference profile.
            OSError: likewise, for the names.
        """
        spool, stream = self._spool(), consumer.stream
        if spool is None:
            raise SpoolError("no spool is set; set RADIOSONDE_SPOOL")
        reference = "" if stream.reference is None else leave_reference(spool, stream.reference)
        page = {**consumer.ring.schema, "version": stream.version, "reference": reference}
        ring = Ring(consumer.ring.features, total_bytes=0, schema=page, spool=spool, process=self._process)
        if ring.file is None:
            raise SpoolError(f"{spool.folder} accepted no ring; choose another spool")
        try:
            ring.names = NameWriter(ring.file.beside(NAMES))
            for table, names in (
                (COHORTS, stream.cohorts), (CLASSES, stream.classes), (ERRORS, stream.errors), (PHASES, stream.phases),
            ):  # fmt: skip
                for code, name in enumerate(names):
                    ring.names.append(Name(table, 0, code, name))
        except OSError:
            ring.close()
            spool.remove(ring.file)
            raise
        return ring


def _is_found(ring: Ring) -> bool:
    """Whether the ring is visible in the spool."""
    return ring.file is not None and not ring.is_removed
