"""Rows that stay for a long time, one after the other in memory of their own.

On the heap they would lie between the large and short-lived arrays of each turn: 4 MiB of rows in some hundred pieces kept another
6 MiB of free memory from going back to the operating system (bench_presence).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radiosonde._ring.anonymous import room_for


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

    def append(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Copy rows to the end, where there must be room, and return them as they lie here."""
        start, self._used = self._used, self._used + len(rows)
        found = self._rows[start : self._used]
        found[:] = rows
        return found

    def clear(self) -> None:
        """Begin again at the start. Rows given out before are overwritten by those that come."""
        self._used = 0
