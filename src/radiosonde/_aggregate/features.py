"""Accumulates feature cells, fingerprints and sketches of one series in one window.

Cells and fingerprints count every row, exactly. KLL sees every row of single predictions too; distinct values and
frequent items cost twenty times as much a value, so they see at most `SKETCHED_ROWS` rows a window, thinned evenly as
the window fills; `sketched_rows` says how many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from radiosonde.model import FeatureCounts
from radiosonde.reference.grid import Grid, fingerprints

if TYPE_CHECKING:
    from radiosonde._aggregate.stream import Stream
    from radiosonde.sketches import Sketch

SKETCHED_ROWS = 1024
"""Rows a window feeds to the distinct and frequent-items sketches; bounds their cost at about 4 ms for 30 features."""

KLL_ROWS = 16_384
"""Rows of a batch that a KLL sketch sees; its own error exceeds what more rows would add."""


class FeatureState:
    """Counts of feature values. Owner: the consumer thread.

    Args:
        stream: whose features; its grid must be known.
        grid: the compiled cells.
    """

    def __init__(self, stream: Stream, grid: Grid) -> None:
        self._stream = stream
        self._grid = grid
        self._reference = stream.reference
        self._cells = np.zeros((len(grid.names), grid.width), dtype=np.int64)
        self._fingerprints = np.zeros(len(grid.names), dtype=np.uint64)
        self._sketches: dict[tuple[str, str], Sketch] = {}
        self._sketched = 0

    def update(self, rows: NDArray[np.float64], step: int = 1) -> None:
        """Add feature rows, shape (rows, features); of a batch thinned to every *step*-th row each counts *step* times."""
        # One column-major copy: the cells, the fingerprints and the KLL sketches all walk down columns.
        columns = np.asfortranarray(rows)
        self._cells += step * self._grid.count(self._stream.to_grid(columns))
        with np.errstate(over="ignore"):
            self._fingerprints += fingerprints(columns)
        self._sketch(columns)

    def _sketch(self, columns: NDArray[np.float64]) -> None:
        room = SKETCHED_ROWS - self._sketched
        thinned = columns[:: -(-len(columns) // room)] if room > 0 else columns[:0]
        self._sketched += len(thinned)
        kll_rows = columns if len(columns) <= KLL_ROWS else columns[:: -(-len(columns) // KLL_ROWS)]
        for position, name in enumerate(self._grid.names):
            if name in self._stream.pii:
                continue
            names = self._stream.categories[position]
            if names is None:
                values = kll_rows[:, position]
                self._of(name, "kll_double").update(values)
            if len(thinned):
                sample = thinned[:, position] if names is None else _texts(thinned[:, position], names)
                self._of(name, "hll").update(sample)
                self._of(name, "frequent").update(sample)

    def _of(self, name: str, kind: str) -> Sketch:
        sketch = self._sketches.get((name, kind))
        if sketch is None:
            from radiosonde.sketches import KINDS  # loads datasketches: at the first row, not at import

            sketch = self._sketches[name, kind] = KINDS[kind]()
        return sketch

    def freeze(self, *, with_sketches: bool) -> FeatureCounts:
        """Return the counts, frozen; serialized sketches on demand (they are most of the cost)."""
        return FeatureCounts(
            grid=self._grid.id,
            reference_id=self._reference.id if self._reference else "",
            provisional=self._reference.provisional if self._reference else True,
            names=self._grid.names,
            cells=self._cells.copy(),
            fingerprints=self._fingerprints.copy(),
            sketched_rows=self._sketched,
            sketches={key: sketch.to_bytes() for key, sketch in self._sketches.items()} if with_sketches else {},
        )


def _texts(codes: NDArray[np.float64], names: object) -> NDArray[np.object_]:
    listed: list[str] = list(names)  # type: ignore[call-overload]
    return np.array(
        [listed[int(code)] if 0 <= code < len(listed) else None for code in codes.tolist()], dtype=np.object_
    )
