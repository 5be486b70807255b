"""The rings of one process, including released rings that still have records.

A model that is recreated every few seconds, a function that is decorated in every request, and a schema that was replaced each leave a ring
without a writer. Once it is fully drained, its mapping, its descriptors and its files are released; its counts and its reference profile
stay, because the totals continue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from radiosonde._pipeline.ring_consumer import RingConsumer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from radiosonde._aggregate.aggregator import Aggregator
    from radiosonde._guard import Guard
    from radiosonde._ring.spool import Spool
    from radiosonde.reference.profile import Reference

AnyRing = TypeVar("AnyRing", bound=RingConsumer)


class _Past(NamedTuple):
    """Counts of rings that are gone, and the nonce of the last one, which may not have left the list yet."""

    records: int = 0
    rows: int = 0
    feature_rows: int = 0
    last: int | None = None


class Rings(list[AnyRing]):
    """The rings that are drained; grows as models are opened. Rings leave it in the consumer's turn only.

    Counts are of all rings there were, those that are gone included. They may be read in any thread and never go back.
    """

    def __init__(self) -> None:
        super().__init__()
        self._past = _Past()
        self._past_profiles: dict[tuple[str, str], Reference] = {}

    @property
    def were_there(self) -> bool:
        """Whether there is or was a ring: records of released rings may be in open windows."""
        return bool(self) or self._past.last is not None

    def let_go(self, ring: AnyRing) -> None:
        """Forget a ring that was drained to its end, and close its files."""
        past = self._past
        self._past = _Past(
            past.records + ring.records, past.rows + ring.rows, past.feature_rows + ring.feature_rows, ring.ring.nonce
        )
        self.remove(ring)
        stream = ring.stream
        if stream.reference is not None:
            self._past_profiles[stream.model, stream.version] = stream.reference
        ring.close()

    def profiles(self) -> dict[tuple[str, str], Reference]:
        """Return the profiles that rows were counted by, by (model, version)."""
        streams = [ring.stream for ring in list(self)]
        in_use = {(each.model, each.version): each.reference for each in streams if each.reference is not None}
        return {**self._past_profiles, **in_use}

    @property
    def records(self) -> int:
        """Records drained."""
        past, rings = self._consistent()
        return past.records + sum(ring.records for ring in rings)

    @property
    def rows(self) -> int:
        """Rows of their calls."""
        past, rings = self._consistent()
        return past.rows + sum(ring.rows for ring in rings)

    @property
    def feature_rows(self) -> int:
        """Rows of those with features."""
        past, rings = self._consistent()
        return past.feature_rows + sum(ring.feature_rows for ring in rings)

    @property
    def in_flight(self) -> int:
        """Predictions in progress at the last drain."""
        return sum(ring.reader.in_flight for ring in list(self))

    def _consistent(self) -> tuple[_Past, list[AnyRing]]:
        """Return the counts of rings that are gone, and the rings that are not in them.

        Without a lock: a signal handler that calls this would wait for the thread it interrupts.
        """
        while True:
            past = self._past
            rings = [ring for ring in list(self) if ring.ring.nonce != past.last]
            if past is self._past:
                return past, rings


class RingsOfProcess:
    """The rings that recorders of this process write; see `radiosonde._pipeline.turn.RingSource`.

    Args:
        rings: the rings; recorders add to them.
        aggregator: counts their records.
        spool: returns the spool, None without one; may raise.
        guard: contains failures.
    """

    def __init__(
        self, rings: Rings[RingConsumer], aggregator: Aggregator, spool: Callable[[], Spool | None], guard: Guard
    ) -> None:
        self._rings, self._aggregator, self._spool, self._guard = rings, aggregator, spool, guard

    def look(self) -> None:
        """Do nothing: recorders add their rings themselves."""

    def rings(self) -> Rings[RingConsumer]:
        """Return the rings."""
        return self._rings

    def ended(self, ring: RingConsumer) -> bool:
        """Forget a ring that was drained after the last call that could write into it, and remove its files."""
        if not ring.retire(is_drained=True):
            return False
        self._aggregator.let_go(ring.stream)
        self._rings.let_go(ring)
        self._remove([ring])
        return False

    def end(self) -> None:
        """Remove the files of all rings: drained to the end, they would look like a crash."""
        self._remove(self._rings)

    def _remove(self, rings: Iterable[RingConsumer]) -> None:
        spool = self._guard.attempt(self._spool)
        if spool is None or isinstance(spool, Exception):
            return
        for ring in rings:
            if ring.ring.file is not None:
                self._guard.attempt(spool.remove, ring.ring.file)
