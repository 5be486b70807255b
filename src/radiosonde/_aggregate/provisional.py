"""Rows that wait for a grid: without a reference, the first thousand rows of a model become a provisional one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from radiosonde._clock import sleep
from radiosonde.reference.fit import fit_rows

if TYPE_CHECKING:
    from radiosonde._aggregate.stream import Stream
    from radiosonde.reference.profile import Reference

PROVISIONAL_ROWS = 1000
"""Rows the provisional reference is made from: enough for ten cells, too few to find a shift below .25 sd."""


class Backlog:
    """Feature rows of one stream that came before its grid. Bounded: it is emptied at `PROVISIONAL_ROWS` rows."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, str, NDArray[np.float64], int]] = []
        self._rows = 0

    def add(self, start_ns: int, cohort: str, rows: NDArray[np.float64], weight: int) -> None:
        """Keep rows of the window that starts at *start_ns*."""
        self._parts.append((start_ns, cohort, rows.copy(), weight))
        self._rows += len(rows)

    @property
    def is_ready(self) -> bool:
        """Whether there are rows enough for a provisional reference."""
        return self._rows >= PROVISIONAL_ROWS

    def parts(self) -> Iterator[tuple[int, str, NDArray[np.float64], int]]:
        """Yield (window start, cohort, rows, weight) of what was kept."""
        yield from self._parts

    def reference(self, stream: Stream) -> Reference:
        """Return the provisional reference of all rows kept."""
        categories = {
            name: tuple(names)
            for name, names in zip(stream.features, stream.categories, strict=True)
            if names is not None
        }
        block = np.concatenate([rows for _, _, rows, _ in self._parts])
        return fit_rows(stream.features, block, categories=categories, model=stream.model, between=lambda: sleep(0))
