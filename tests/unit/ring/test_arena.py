from __future__ import annotations

import threading
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde._ring import arena as module
from radiosonde._ring.arena import BatchArena
from tests.interruptions import interrupt_everywhere


def test_nothing_is_mapped_before_the_first_batch():
    """A server that predicts single rows never pays for the arena."""
    arena = BatchArena(8000)
    assert arena._values is None
    with pytest.raises(IndexError, match="no block yet"):
        arena.block(0, 1, 1)


def test_a_block_is_written_and_read_in_place():
    """A reserved block is a writable view of its rows and columns."""
    arena = BatchArena(8000)
    arena.block(arena.reserve(6), 2, 3)[:] = [[1, 2, 3], [4, 5, 6]]
    assert arena.block(0, 3, 2).tolist() == [[1, 2], [3, 4], [5, 6]]


def test_too_large_is_refused():
    """Blocks above half of the arena are refused and take no room."""
    arena = BatchArena(800)
    assert (arena.reserve(51), arena.reserve(50), arena.reserve(1)) == (-1, 0, 50)


def test_a_reservation_inside_a_reservation_is_refused():
    """A thread that interrupts itself inside `reserve` is refused instead of waiting for itself."""
    arena = BatchArena(800)
    answers = []

    class Sized(int):
        def __gt__(self, other):
            return False

        def __radd__(self, other):
            if arena._owner:
                answers.append(arena.reserve(1))
            return other + int(self)

    assert arena.reserve(Sized(5)) == 0
    assert answers
    assert set(answers) == {-1}
    assert arena.reserve(1) == 5


def test_an_interruption_of_a_reservation_never_waits_for_it():
    """Before whichever instruction a handler reserves, it has a block of its own at once or is refused."""
    arena, blocks = BatchArena(1 << 20), []

    def reserve():
        position = arena.reserve(3)
        if position >= 0:
            blocks.append(position)

    assert interrupt_everywhere(module, reserve, reserve) > 50
    assert len(set(blocks)) == len(blocks)
    assert {position % 3 for position in blocks} == {0}
    assert arena.reserve(3) == 3 * len(blocks)


def test_room_is_made_before_a_needed_block_is_written_over():
    """Until the floor is raised, a block that would go over it asks for room first; if there is none it goes ahead."""
    arena, asked = BatchArena(800), []
    arena.make_room = asked.append
    for _ in range(2):
        arena.reserve(50)
    assert asked == []
    arena.reserve(20)
    assert set(asked) == {20}
    asked.clear()
    arena.floor = arena.reserved
    arena.reserve(50)
    arena.make_room = lambda _: setattr(arena, "floor", arena.reserved)
    assert [arena.reserve(50) for _ in range(3)] == [200, 250, 300]
    assert arena.floor == 250


@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=60))
def test_blocks_are_contiguous_whole_until_overwritten_and_never_overlap(sizes):
    """Blocks never straddle the end; one is whole exactly while no later one lies on its place."""
    arena = BatchArena(800)
    written = []
    for number, size in enumerate(sizes):
        position = arena.reserve(size)
        place = position % 100
        assert place + size <= 100
        arena.block(position, 1, size)[:] = number
        written.append((position, size, number))
    for position, size, number in written:
        if arena.is_whole(position):
            assert np.all(arena.block(position, 1, size) == number)


def test_threads_never_share_a_block():
    """Four threads reserving at once get disjoint blocks."""
    arena = BatchArena(8 * 400_000)
    got: list[list[int]] = [[], [], [], []]

    def reserve(mine):
        mine.extend(arena.reserve(7) for _ in range(5000))

    threads = [threading.Thread(target=reserve, args=(mine,)) for mine in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(chain.from_iterable(got)) == list(range(0, 7 * 20_000, 7))
