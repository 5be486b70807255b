"""Labels that arrived before their predictions, in memory, indexed by id and by age."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from radiosonde._join.joining import Received, target_of
from radiosonde._join.prediction_chunks import Place, place_of

_SLACK = 1024


def wakes_of(prediction_id: str) -> list[Place | str]:
    """Return the keys that a label with this id waits for: its page, if it has the form of a prediction id, and the name itself."""
    target = target_of(prediction_id)
    return [prediction_id] if target is None else [prediction_id, place_of(target[0], target[1][0])]


class WaitingRoom:
    """Labels that wait. Each operation costs a logarithm of their number.

    Args:
        capacity: labels; the one that has waited longest makes room for another.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._labels: dict[int, Received] = {}
        self._wakes: dict[Place | str, list[int]] = {}
        self._by_age: list[tuple[int, int]] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._labels)

    def add(self, label: Received) -> Received | None:
        """Add a waiting label; return the label evicted for it, if the room is full."""
        if label.id is None:
            raise ValueError("a label without an id cannot wait for a prediction")
        self._number += 1
        self._labels[self._number] = label
        for wake in wakes_of(label.id):
            self._wakes.setdefault(wake, []).append(self._number)
        heapq.heappush(self._by_age, (label.since_ns, self._number))
        if len(self._by_age) > 2 * len(self._labels) + _SLACK:  # mostly of labels that have left
            self._by_age = [(each.since_ns, number) for number, each in self._labels.items()]
            heapq.heapify(self._by_age)
        return self._pop_oldest() if len(self._labels) > self._capacity else None

    def wake(self, wake: Place | str) -> Iterator[Received]:
        """Take out the labels that wait for *wake*."""
        for number in self._wakes.get(wake, [])[:]:
            yield self._leave(number)

    def due(self, waited_out_ns: int, limit: int) -> Iterator[Received]:
        """Take out up to *limit* labels that have waited since *waited_out_ns* or longer."""
        for _ in range(limit):
            self._drop_stale()
            if not self._by_age or self._by_age[0][0] > waited_out_ns:
                return
            yield self._pop_oldest()

    def _pop_oldest(self) -> Received:
        self._drop_stale()
        return self._leave(heapq.heappop(self._by_age)[1])

    def _drop_stale(self) -> None:
        while self._by_age and self._by_age[0][1] not in self._labels:
            heapq.heappop(self._by_age)

    def _leave(self, number: int) -> Received:
        label = self._labels.pop(number)
        for wake in wakes_of(label.id or ""):
            numbers = self._wakes[wake]
            numbers.remove(number)
            if not numbers:
                del self._wakes[wake]
        return label
