"""Rows of all models that wait for provisional references, and the references made from them.

A reference is made when its rows suffice, when the rows of all models together take too much memory (the oldest one first), and at the
end of the process, within a deadline. The rows that waited are then counted by it. Records whose features were never drained have left
their number with their stream (`Stream.leave_unseen`); it is spread evenly over the rows of their cohort that waited.

Streams of one version share a reference across processes, because counts add up only within one grid.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from radiosonde._aggregate.provisional import HURRIED_ROWS, Backlog, OutOfTimeError
from radiosonde._clock import monotonic_ns
from radiosonde.model.losses import FEATURES_UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from radiosonde._aggregate.provisional import Part
    from radiosonde._aggregate.thinning import Thinner
    from radiosonde._guard import Guard
    from radiosonde.reference.profile import Reference

WAITING_BYTES = 32 << 20
"""Bytes of rows of all models together; beyond it the oldest reference is made early."""

_Identity = tuple[str, str, tuple[str, ...]]


class Backlogs:
    """Guarded by the aggregator's lock.

    Args:
        span_ns: event time that the rows of a reference must cover.
        thinner: draws the rows that stay when they become too many.
        guard: counts rows that could not be counted in time.
        count: counts rows by the reference of their stream; receives also how many rows were unseen for them.
    """

    def __init__(self, span_ns: int, thinner: Thinner, guard: Guard, count: Callable[[Part, int], None]) -> None:
        self._span_ns, self._thinner, self._guard, self._count = span_ns, thinner, guard, count
        self._waiting: dict[_Identity, Backlog] = {}
        self._references: dict[_Identity, Reference] = {}

    def __iter__(self) -> Iterator[Backlog]:
        """Yield the rows that wait, one backlog per reference."""
        return iter(list(self._waiting.values()))

    @property
    def references(self) -> dict[tuple[str, str], Reference]:
        """The references made so far, by (model, version)."""
        return {(model, version): reference for (model, version, _), reference in self._references.items()}

    def restore(self, model: str, version: str, reference: Reference) -> None:
        """Go on counting by a reference that was made before."""
        self._references[model, version, tuple(feature.name for feature in reference.features)] = reference

    def add(self, part: Part) -> None:
        """Keep rows until there is a reference, and make it when it is due."""
        identity = part.stream.identity
        backlog = self._waiting.get(identity)
        if backlog is None:
            backlog = self._waiting[identity] = Backlog(self._span_ns, self._thinner)
        backlog.add(part)
        if backlog.is_ready or identity in self._references:
            self._settle(identity, self._waiting.pop(identity))
        elif sum(each.size_bytes for each in self._waiting.values()) > WAITING_BYTES:
            oldest = next(iter(self._waiting))
            self._settle(oldest, self._waiting.pop(oldest))

    def settle(self, deadline_ns: int | None) -> None:
        """Make all references and count all rows that wait, at the end of the process.

        With a deadline, rows not counted by half of the time are sampled. The sample is counted once it has a reference; without one by
        the deadline, its rows are a counted loss.

        Args:
            deadline_ns: monotonic clock; None: take the time that is needed.
        """
        while self._waiting:
            identity = next(iter(self._waiting))
            backlog = self._waiting.pop(identity)
            if deadline_ns is None:
                self._settle(identity, backlog)
            else:
                self._settle_in_time(identity, backlog, deadline_ns)

    def _settle_in_time(self, identity: _Identity, backlog: Backlog, deadline_ns: int) -> None:
        now_ns = monotonic_ns()
        with suppress(OutOfTimeError):
            self._settle(identity, backlog, now_ns + (deadline_ns - now_ns) // 2)
            return
        backlog.thin_to(HURRIED_ROWS)
        with suppress(OutOfTimeError):
            self._reference(identity, backlog, deadline_ns)
            self._settle(identity, backlog)  # so few rows cost little beside the reference
            return
        lost = backlog.estimated_rows
        self._guard.lose(FEATURES_UNFINISHED, lost)
        self._guard.warn(
            "features unfinished",
            "The features of %d rows of %s could not be counted before the exit deadline; calls, errors and latency were. "
            "Give the model a reference, or observe fewer features (max_features)",
            lost,
            backlog.model,
        )

    def _settle(self, identity: _Identity, backlog: Backlog, deadline_ns: int | None = None) -> None:
        """Make the reference of a backlog, unless it exists, and count the backlog by it.

        Raises:
            OutOfTimeError: the deadline has passed; rows that were not counted are still in the backlog.
        """
        reference = self._reference(identity, backlog, deadline_ns)
        for stream in backlog.streams:
            stream.adopt(reference)
        rows = Counter[tuple[int, str]]()
        for part in backlog.parts():
            rows[id(part.stream), part.cohort] += len(part.rows)
        for part in backlog.take():
            if deadline_ns is not None and monotonic_ns() >= deadline_ns:
                raise OutOfTimeError
            place = id(part.stream), part.cohort
            unseen = part.stream.unseen.get(part.cohort, 0) * len(part.rows) // rows[place]
            rows[place] -= len(part.rows)
            self._count(part, unseen)

    def _reference(self, identity: _Identity, backlog: Backlog, deadline_ns: int | None) -> Reference:
        if identity not in self._references:
            self._references[identity] = backlog.reference(deadline_ns)
        return self._references[identity]
