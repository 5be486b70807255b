"""The rings that other processes left in a spool: found, attached, and released once their records are durable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde._agent.attached_ring import AttachedRing, attach
from radiosonde._pipeline.rings import Rings
from radiosonde._ring.descriptors import have_room
from radiosonde._ring.spool import AGENT
from radiosonde.errors import SpoolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from radiosonde._guard import Guard
    from radiosonde._pipeline.ring_consumer import RingConsumer
    from radiosonde._ring.spool import RingFile, Spool
    from radiosonde.store.progress import RingProgress

    Identity = tuple[str, int]


class SpoolRings:
    """The rings in a spool that are left to an agent; see `radiosonde._pipeline.turn.RingSource`.

    Args:
        spool: the folder.
        guard: logs rings that cannot be attached.
        progress: positions of the rings at the last commit of a former agent, by process and nonce.
        was_counted: returns whether a ring was counted to its end by a former agent.

    Attributes:
        has_living: whether a process wrote into a ring at the last poll.
    """

    def __init__(
        self,
        spool: Spool,
        guard: Guard,
        progress: Mapping[Identity, RingProgress],
        was_counted: Callable[[Identity], bool],
    ) -> None:
        self._spool, self._guard, self._was_counted = spool, guard, was_counted
        self._progress = progress
        self._rings: Rings[AttachedRing] = Rings()
        self._refused: set[Path] = set()
        self.has_living = False

    def look(self) -> None:
        """Attach the rings that have come into the spool, as far as there are descriptors for them."""
        files = self._spool.rings()
        self._refused &= {file.path for file in files}  # bounded, however many workers come and go
        known = self._refused | {ring.file.path for ring in self._rings}
        for file in files:
            if file.path not in known:
                if not have_room():
                    break  # those that are finished are removed at the end of this turn
                self._attach(file)
        self.has_living = any(not ring.is_over for ring in self._rings)

    def rings(self) -> Rings[AttachedRing]:
        """Return the rings."""
        return self._rings

    def ended(self, ring: RingConsumer) -> bool:
        """Note that the writer of *ring* is dead and all it published was drained; its files go after the next commit."""
        if not isinstance(ring, AttachedRing) or ring.is_finished:
            return False
        # Tallies that could not be sealed yet are counted after the next commit.
        ring.is_finished = not ring.ring.control.has_open_tally
        return True

    @property
    def finished(self) -> list[AttachedRing]:
        """Rings that were drained to their end, whose files are still there."""
        return [ring for ring in self._rings if ring.is_finished]

    @property
    def is_filling(self) -> bool:
        """Whether a ring fills so fast that the next turn should come at once."""
        return any(ring.is_filling for ring in list(self._rings))

    @property
    def is_half_undurable(self) -> bool:
        """Whether half of a ring was written since the last commit."""
        return any(ring.is_half_undurable for ring in self._rings)

    def progress(self) -> list[RingProgress]:
        """Return the position of each ring: first of `rings`, in their order, then of rings that are not drained.

        Rings that lie there and cannot be attached may only be unreadable for the moment.
        """
        attached = [ring.progress() for ring in self._rings]
        drained = {ring.identity for ring in self._rings}
        others = {(file.process, file.nonce) for file in self._spool.rings()} - drained
        return attached + [each for place, each in self._progress.items() if place in others]

    def committed(self, progress: Sequence[RingProgress]) -> None:
        """Note that *progress* is durable, and remove the rings that are finished."""
        self._progress = {(each.process, each.nonce): each for each in progress}
        for ring, counted in zip(self._rings, progress, strict=False):
            ring.mark_durable(counted.tally)
        for ring in self.finished:
            self._rings.let_go(ring)
            self._spool.remove(ring.file)

    def close(self) -> None:
        """Release the files; undrained records stay in the spool."""
        for ring in self._rings:
            ring.close()

    def _attach(self, file: RingFile) -> None:
        if self._was_counted((file.process, file.nonce)):
            self._spool.remove(file)  # an agent was killed between the ring's last commit and this
            return
        try:
            ring = attach(self._spool, file)
        except SpoolError as error:
            self._refused.add(file.path)
            if file.path.exists():  # a writer that drains itself may have removed it meanwhile
                self._guard.warn(str(file.path), "%s", error)
            return
        if ring.drained_by != AGENT:
            ring.close()
            self._refused.add(file.path)  # drained by the process that writes it
            return
        known = self._progress.get((file.process, file.nonce))
        if known is not None:
            ring.reader.resume(known.cursor, known.stragglers, known.tally)
        self._rings.append(ring)
