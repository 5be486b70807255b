"""The slowest predictions of a window, found without sorting it."""

from __future__ import annotations

from bisect import insort
from typing import NamedTuple

import numpy as np

from radiosonde._aggregate.stream import Stream
from radiosonde._ring.block import Block

PLACES = 3
"""Predictions per window and series that count as its slowest. Arbitrary; bounds the memory until the window's end."""


class Candidate(NamedTuple):
    """A copied record that may be among the slowest."""

    stream: Stream
    record: Block


class Slowest:
    """Ranks the durations of one window and series; costs one maximum per block once the window has begun.

    A removed record keeps its place in the ranking: further parts of the window have to exceed it.
    """

    def __init__(self) -> None:
        self._ranking: list[tuple[int, int]] = []  # duration, number; ascending
        self._candidates: dict[int, Candidate] = {}
        self._number = 0

    def add(self, stream: Stream, block: Block) -> None:
        """Rank the records of a block that have no span."""
        durations_ns = block.headers["duration_ns"]
        floor_ns = self._ranking[0][0] if len(self._ranking) == PLACES else -1
        if not len(block) or durations_ns.max() <= floor_ns:
            return
        open_ = np.flatnonzero((block.headers["span_id"] == 0) & (durations_ns > floor_ns))
        for place in open_[np.argsort(durations_ns[open_], kind="stable")[-PLACES:]].tolist():
            self._number += 1
            insort(self._ranking, (int(durations_ns[place]), self._number))
            self._candidates[self._number] = Candidate(stream, block.part(np.array([place])))
        for _, number in self._ranking[:-PLACES]:
            self._candidates.pop(number, None)
        del self._ranking[:-PLACES]

    def take(self) -> list[Candidate]:
        """Take out those that are among the slowest and were not taken out before, slowest first."""
        taken = [self._candidates[number] for _, number in reversed(self._ranking) if number in self._candidates]
        self._candidates.clear()
        return taken
