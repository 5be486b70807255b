"""The memory in which a drain joins its pieces serves the next drain, but never while anything refers to it."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest

from radiosonde._ring import block as block_module
from radiosonde._ring.block import KEPT_BYTES, Block, Gathering
from radiosonde._ring.layout import HEADER, HEADER_BYTES

FEATURES = 3


def gathered(number: int, records: int = 100, features: int = FEATURES) -> Block:
    """Return a block of two pieces, all of whose values are *number*."""
    gathering = Gathering(features, records)
    for size in (records // 2, records - records // 2):
        headers = np.zeros(size, dtype=HEADER)
        headers["rows"] = number
        gathering.add(Block(headers, np.full((size, features), float(number)), np.full(size, number)))
    return gathering.block()


@pytest.mark.parametrize(
    "held",
    [
        lambda block: block.rows,
        lambda block: block.rows[3:5],
        lambda block: block.rows.T[1],
        lambda block: block.headers["rows"],
        lambda block: block.part(slice(10, 20)).headers,
        lambda block: memoryview(block.rows),
        lambda block: np.lib.stride_tricks.sliding_window_view(block.rows[:, 0], 2),
    ],
    ids=["rows", "slice", "column", "field", "part", "memoryview", "windows"],
)
def test_what_is_held_is_not_overwritten(held) -> None:
    """Whatever view of a block somebody keeps, it shows the same values after many further drains."""
    kept = held(gathered(7))
    for number in range(20):
        assert (gathered(number).rows == number).all()
    values = np.asarray(kept)
    assert (np.asarray(values["rows"] if values.dtype.names else values) == 7).all()


@pytest.mark.parametrize("records", [2, 100, KEPT_BYTES // (HEADER_BYTES + 8 * FEATURES)])
def test_memory_serves_the_next_drain(records: int) -> None:
    """Once a block is gone, its memory is used again, whatever the size up to the bound."""
    gathered(1, records)
    (memory,) = block_module._kept
    assert len(memory) == KEPT_BYTES
    del memory
    first = gathered(2, records).rows.ctypes.data
    assert {gathered(number, records).rows.ctypes.data for number in range(5)} == {first}


def test_large_blocks_keep_nothing() -> None:
    """Memory beyond the bound goes back to the system, and what was kept stays."""
    gathered(1)
    before = [id(memory) for memory in block_module._kept]
    large = gathered(2, KEPT_BYTES // HEADER_BYTES)
    assert (large.rows == 2).all()
    assert [id(memory) for memory in block_module._kept] == before


def test_threads_that_drain_at_once_have_memory_of_their_own() -> None:
    """Each of four threads reads back what it wrote, however often the interpreter switches between them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    wrong: list[int] = []
    together = threading.Barrier(4)

    def drain(number: int) -> None:
        together.wait(60)
        for _ in range(300):
            block = gathered(number)
            if not ((block.rows == number).all() and (block.headers["rows"] == number).all()):
                wrong.append(number)

    threads = [threading.Thread(target=drain, args=(number,)) for number in range(4)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(before)
    assert wrong == []
