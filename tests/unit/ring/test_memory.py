"""Memory of a ring: proportional to the written part, not to its capacity."""

from __future__ import annotations

from pathlib import Path

from radiosonde._ring.reader import RingReader
from radiosonde._ring.ring import Ring

RINGS = 24
ROOM_BYTES = 4 << 20


def resident_bytes():
    """Return the resident memory of this process (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return int(kilobytes) * 1024


def test_a_ring_that_is_hardly_used_takes_hardly_any_memory():
    """A drain reads marks all over the ring; untouched pages take no memory by that."""
    before, rings = resident_bytes(), []
    for _ in range(RINGS):
        ring = Ring(3, total_bytes=ROOM_BYTES)
        reader = RingReader(ring)
        next(ring.indices)
        for _ in range(3):
            reader.drain()
            reader.waiting()
        rings.append((ring, reader))
    assert len(rings) == RINGS
    assert resident_bytes() - before < RINGS * ROOM_BYTES // 8
