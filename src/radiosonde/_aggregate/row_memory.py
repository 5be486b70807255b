"""Rows that stay for a long time, one after the other in memory of their own.

On the heap they would lie between the large and short-lived arrays of each turn: 4 MiB of rows in some hundred pieces kept another
6 MiB of free memory from going back to the operating system (bench_presence).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radiosonde._ring.anonymous import room_for

COPIED_BYTES = 120 << 10
"""Of rows that are copied at once through the heap of a thread. Below 128 KiB: glibc maps what is larger, and when it first lets such an
array go, it raises that bound to the size of the array and lets the heap of every thread keep twice as much for ever."""


class RowMemory:
    """Room for a bounded number of rows.

    Args:
        width: values of a row.
        most_bytes: of all rows.
    """

    def __init__(self, width: int, most_bytes: int) -> None:
        self._rows = room_for(most_bytes // (8 * max(width, 1)), width)
        self._used = 0

    @property
    def size_bytes(self) -> int:
        """Bytes of the rows that are here."""
        return self._used * self._rows.strides[0] if self._used else 0

    def has_room(self, rows: int) -> bool:
        """Whether so many rows more fit."""
        return self._used + rows <= len(self._rows)

    def append(self, rows: NDArray[np.float64], chosen: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Copy rows to the end, where there must be room, and return them as they lie here.

        Args:
            rows: rows of the caller's, or ones that lie here from where they are to lie on.
            chosen: ascending positions of those to copy; None copies all.
        """
        start, self._used = self._used, self._used + len(rows if chosen is None else chosen)
        found = self._rows[start : self._used]
        if chosen is None:
            found[:] = rows
            return found
        most = max(1, COPIED_BYTES // max(1, self._rows.strides[0]))
        for first in range(0, len(chosen), most):
            found[first : first + most] = rows[chosen[first : first + most]]
        return found

    def clear(self) -> None:
        """Begin again at the start. Rows given out before are overwritten by those that come."""
        self._used = 0
