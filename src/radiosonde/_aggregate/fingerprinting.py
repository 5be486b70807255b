"""Accumulates the fingerprints of one series in one window.

The hash of a value does not depend on the grid, so the producer of the features can compute it without a reference
(`radiosonde.model.fingerprints`). Per row of 30 numbers 0.10 us, of which the hash of the row is a quarter (bench_drain).

A feature with hidden values has the fingerprint 0 and no part in the hash of a row: its numbers were never recorded, and the hash of a
name is easily reversed by trying names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from radiosonde.model.fingerprints import CHUNK_ROWS, WORD, hash_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde._aggregate.stream import Stream


class FingerprintState:
    """Sums of hashes. Owner: the consumer thread.

    Args:
        stream: decodes texts.
        names: of the features, in the order of the columns.

    Attributes:
        columns: fingerprint of each feature, shape (features,).
        row: the row fingerprint.
        rows: rows in them.
    """

    def __init__(self, stream: Stream, names: Sequence[str]) -> None:
        self._stream = stream
        self._factors = stream.factors(names)
        self._is_hidden = self._factors == 0
        self.columns = np.zeros(len(names), dtype=np.uint64)
        self.row = self.rows = 0

    def update(self, rows: NDArray[np.float64]) -> None:
        """Add rows as they are in the ring, shape (rows, features)."""
        for start in range(0, len(rows), CHUNK_ROWS):
            words = self._stream.words(rows[start : start + CHUNK_ROWS])
            hashes = hash_rows(words, self._factors)
            self.columns += np.add.reduce(words, axis=1)
            self.row = (self.row + int(np.add.reduce(hashes))) % WORD
        self.columns[self._is_hidden] = 0
        self.rows += len(rows)
