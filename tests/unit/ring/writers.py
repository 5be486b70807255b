"""A writer of records that logs its writes, for tests of the reading side."""

from __future__ import annotations

from radiosonde._ring.layout import BEGIN, DONE, END, END_OFFSET, FAILED, HEADER_BYTES, INPUT_ROW
from radiosonde._ring.reclaim import Reclaimer
from radiosonde._ring.ring import Ring
from radiosonde._ring.tally import Tallier

NAN = float("nan")


def reclaimer_of(ring: Ring, lost: dict[str, int] | None = None) -> Reclaimer:
    """Return a reclaimer that counts its losses in *lost*."""

    def lose(reason: str, count: int) -> None:
        if lost is not None:
            lost[reason] = lost.get(reason, 0) + count

    return Reclaimer(ring, Tallier(), lose, lambda: None)


def begin(ring: Ring, reclaimer: Reclaimer | None = None) -> int:
    """Take an index, mark it in flight, write it into its row; return the index."""
    index = next(ring.indices)
    if reclaimer is not None and index >= ring.room[0]:
        reclaimer.make_room(index)
    slot = index & (ring.capacity - 1)
    BEGIN.pack_into(ring.memory, ring.header_offset + slot * HEADER_BYTES, index, 0, 0, 1, 0, index * 4 + 5)
    ring.rows[slot] = float(index)
    return index


def finish(ring: Ring, index: int, reclaimer: Reclaimer | None = None, *, is_failed: bool = False) -> bool:
    """Mark a record done or failed; return False when its slot was reused meanwhile."""
    slot = index & (ring.capacity - 1)
    at = ring.header_offset + slot * HEADER_BYTES
    state = FAILED if is_failed else DONE
    fields = (NAN, index, -1, NAN, 0, 0, INPUT_ROW, 1, 1, 1)
    if reclaimer is not None and index < ring.given[0]:
        reclaimer.end(index, (*fields, state), 0)
        return True
    if ring.words[slot * 16 + 15] != index * 4 + 5:
        return False
    END.pack_into(ring.memory, at + END_OFFSET, *fields, index * 4 + 4 + state)
    return True
