"""Accumulates feature cells, fingerprints and sketches of one series in one window.

Cells count every row with its weight: exactly, if nothing is sampled. KLL sees the same rows unweighted, so a window in which the sampling
rate changed over-represents one part; it is for exploration. Fingerprints cover the rows of weight one only, and count them. Distinct values and frequent
items cost 0.75 us per value where the rest together costs 0.03 (bench_total), so they see at most `SKETCHED_ROWS` rows per window;
`sketched_rows` holds the number. Each fold uses a quarter of the remaining allowance, so the rows are spread over the window instead of its
first second. Those rows wait until the window is frozen, and are sketched
then: that is half a KiB a feature while the window is open, where its two sketches would be four.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from radiosonde._aggregate.decoding import as_numbers
from radiosonde._aggregate.fingerprinting import FingerprintState
from radiosonde._aggregate.thinning import Thinner
from radiosonde.model import FeatureCounts
from radiosonde.model.fingerprints import DEFINITION
from radiosonde.reference.grid import ReferenceGrid
from radiosonde.sketches import KINDS, KllSketch, is_available

if TYPE_CHECKING:
    from radiosonde._aggregate.stream import Stream

SKETCHED_ROWS = 64
"""Largest number of rows per window for the distinct and frequent-items sketches: at most 1.5 ms for 30 features, and 3 840 rows an hour at
one window a minute, enough to detect a stuck value or a new category of one in a hundred."""

KLL_ROWS = 16_384
"""Largest number of rows of a batch for a KLL sketch; its own error exceeds the gain of more rows."""

FAILED_ROWS = 64
"""Largest number of rows of failed calls counted per fold; these are weighted for the others. Bounds the extra cost of an outage: 0.2 ms
per fold for 30 features."""

HELD_ROWS = 512
"""Rows of a sample that are buffered to be counted together: the fixed cost of 30 columns and their sketches is 0.2 ms (0.7 ms with cold
caches), the cost of 500 rows. 4 KiB per feature while sampling is on; every snapshot counts them."""


class FeatureState:
    """Counts of feature values. Owner: the consumer thread.

    Args:
        stream: whose features; its grid must be known.
        grid: the compiled cells.
    """

    def __init__(self, stream: Stream, grid: ReferenceGrid) -> None:
        self._stream = stream
        self._grid = grid
        self._reference = stream.reference
        self._cells = np.zeros((len(grid.names), grid.width), dtype=np.int64)
        self._fingerprints = FingerprintState(stream, grid.names)
        self._quantiles = [self._quantile_sketch(position, name) for position, name in enumerate(grid.names)]
        self._sample: list[NDArray[np.float64]] = []
        self._sketched = 0
        self._counted_rows = self._weight_square_sum = 0
        self._held: dict[int, list[NDArray[np.float64]]] = {}
        self._held_rows = 0
        self._failed_cells = np.zeros((0, 0), dtype=np.int64)
        self._thinner = Thinner()

    def update(self, rows: NDArray[np.float64], weight: int = 1) -> None:
        """Add feature rows, shape (rows, features), each of weight *weight*."""
        self._counted_rows += len(rows)
        self._weight_square_sum += weight * weight * len(rows)
        if weight == 1:
            self._count(rows, 1)
            return
        self._held.setdefault(weight, []).append(rows)
        self._held_rows += len(rows)
        if self._held_rows >= HELD_ROWS:
            self._count_held()

    def update_failed(self, rows: NDArray[np.float64], weight: int) -> None:
        """Count rows of failed calls, each of weight *weight*; `update` counts them among all rows."""
        if not self._failed_cells.size:
            self._failed_cells = np.zeros_like(self._cells)
        step = -(-len(rows) // FAILED_ROWS)
        # Random, not every *step*th row: traffic may be periodic.
        thinned = rows if step == 1 else rows[self._thinner.positions(len(rows), step)]
        columns = np.array(self._stream.to_grid(thinned), order="F")
        columns.sort(axis=0)
        cells, _ = self._grid.count_sorted(columns)
        self._failed_cells += weight * step * cells

    def _count_held(self) -> None:
        held, self._held, self._held_rows = self._held, {}, 0
        for weight, parts in held.items():
            self._count(parts[0] if len(parts) == 1 else np.concatenate(parts), weight)

    def _count(self, rows: NDArray[np.float64], weight: int) -> None:
        self._take_sample(rows)
        coded = self._stream.to_grid(rows)
        if weight == 1:  # of a sample it would identify nothing
            self._fingerprints.update(rows)
        # A copy, column by column, because it is sorted: see ReferenceGrid.count_sorted for why sorting pays.
        columns = np.array(coded, order="F")
        columns.sort(axis=0)
        cells, finite = self._grid.count_sorted(columns)
        self._cells += weight * cells
        self._sketch_quantiles(columns, finite)

    def _sketch_quantiles(self, columns: NDArray[np.float64], finite: NDArray[np.int64]) -> None:
        # Every nth value of a sorted column is a better sample of it than a random one.
        stride = -(-len(columns) // KLL_ROWS)
        for position, (first, last) in enumerate(finite.tolist()):
            sketch = self._quantiles[position]
            if sketch is not None and first < last:
                values = columns[first:last, position]
                sketch.update_finite(values if stride == 1 else values[stride // 2 :: stride].copy())

    def _take_sample(self, rows: NDArray[np.float64]) -> None:
        quota = -(-(SKETCHED_ROWS - self._sketched) // 4)
        if quota <= 0:
            return
        # Random, not every *step*th row: traffic may be periodic.
        thinned = rows[self._thinner.positions(len(rows), -(-len(rows) // quota))]
        self._sketched += len(thinned)
        self._sample.append(thinned)

    def _quantile_sketch(self, position: int, name: str) -> KllSketch | None:
        is_number = name not in self._stream.pii and self._grid.codes[position] is None
        return KllSketch() if is_number and is_available() else None

    def _serialized(self) -> dict[tuple[str, str], bytes]:
        """Return the sketches by (feature, kind); none where the library that makes them is not installed."""
        if not is_available():
            return {}
        sample = np.concatenate(self._sample) if self._sample else np.empty((0, len(self._grid.names)))
        numbers = as_numbers(sample)  # of all features at once: by the column it is a third of a window's cost
        serialized: dict[tuple[str, str], bytes] = {}
        for position, name in enumerate(self._grid.names):
            quantiles = self._quantiles[position]
            if quantiles is not None:
                serialized[name, "kll_double"] = quantiles.to_bytes()
            if name in self._stream.pii or not len(sample):
                continue
            texts = self._stream.texts(position, sample[:, position])
            values = numbers[:, position] if texts is None else np.array(texts, dtype=np.object_)
            for kind in ("hll", "frequent"):
                sketch = KINDS[kind]()
                sketch.update(values)
                serialized[name, kind] = sketch.to_bytes()
        return serialized

    def freeze(self, *, with_sketches: bool) -> FeatureCounts:
        """Return the counts, frozen; serialized sketches on demand (they are most of the cost)."""
        self._count_held()
        return FeatureCounts(
            grid=self._grid.id,
            reference_id=self._stream.reference_id,
            provisional=self._reference.provisional if self._reference else True,
            names=self._grid.names,
            cells=self._cells.copy(),
            fingerprints=self._fingerprints.columns.copy(),
            sketched_rows=self._sketched,
            counted_rows=self._counted_rows,
            weight_square_sum=self._weight_square_sum,
            failed_cells=self._failed_cells.copy(),
            row_fingerprint=self._fingerprints.row,
            fingerprinted_rows=self._fingerprints.rows,
            fingerprint_definition=DEFINITION,
            sketches=self._serialized() if with_sketches else {},
        )
