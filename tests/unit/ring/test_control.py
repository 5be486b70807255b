"""The control area: the checks of writers each time they enter a segment."""

from __future__ import annotations

import numpy as np
import pytest

from radiosonde._ring.anonymous import anonymous_memory
from radiosonde._ring.control import Control, size_bytes
from radiosonde._ring.layout import HEADER
from radiosonde._ring.tally import Tallier

CAPACITY = 64


@pytest.mark.parametrize(
    "left", [[], [0], [63], [5, 40], list(range(64))], ids=["none", "first", "last", "some", "all"]
)
@pytest.mark.parametrize("length", [0, 1, 16, 63, 64, 100])
def test_a_record_left_behind_is_seen_where_it_is(left: list[int], length: int) -> None:
    """In its own slot and in no other, wherever the range begins and whether or not it goes around the end of the ring."""
    control = Control(anonymous_memory(size_bytes(CAPACITY)), 0, CAPACITY)
    control.left[left] = True
    for start in range(1000, 1000 + CAPACITY):
        expected = any(index % CAPACITY in left for index in range(start, start + length))
        assert control.has_left(start, start + length) is expected


@pytest.mark.parametrize("held", [0, 1, 7])
def test_slots_are_given_away_as_by_a_reclaim_of_nothing(held: int) -> None:
    """Existing counts stay."""
    nothing = Tallier().count(np.empty(0, dtype=HEADER))
    given, reclaimed = (Control(anonymous_memory(size_bytes(CAPACITY)), 0, CAPACITY) for _ in range(2))
    for control in (given, reclaimed):
        control.reclaim(3, np.zeros(held, dtype=nothing.dtype))
    given.give(40)
    reclaimed.reclaim(40, nothing)
    assert bytes(given._words) == bytes(reclaimed._words)
    assert given.given == 40
    assert len(given.open_tally()) == held
