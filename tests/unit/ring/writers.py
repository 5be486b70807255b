"""A writer of records that says what it wrote, for tests of the reading side."""

from __future__ import annotations

from radiosonde._ring import Ring
from radiosonde._ring.layout import BEGIN, DONE, END, END_OFFSET, FAILED, HEADER_BYTES, INPUT_ROW

NAN = float("nan")


def begin(ring: Ring) -> int:
    """Reserve a record, mark it in flight, write its index into its row; return the index."""
    index = ring.reserve()
    slot = index & (ring.capacity - 1)
    BEGIN.pack_into(ring.memory, ring.header_offset + slot * HEADER_BYTES, index, 0, 0, 1, 0, index * 4 + 5)
    ring.rows[slot] = float(index)
    return index


def finish(ring: Ring, index: int, *, is_failed: bool = False) -> bool:
    """Mark a record done or failed; return False when its slot was given away meanwhile."""
    slot = index & (ring.capacity - 1)
    at = ring.header_offset + slot * HEADER_BYTES
    if ring.words[slot * 16 + 15] != index * 4 + 5:
        return False
    state = FAILED if is_failed else DONE
    END.pack_into(ring.memory, at + END_OFFSET, NAN, index, -1, NAN, 0, 0, INPUT_ROW, 1, 1, 1, index * 4 + 4 + state)
    return True
