"""Layout of predictions in a join store: fixed pages of indices, so that an id leads to a few kilobytes.

A page is `PAGE_ROWS` consecutive indices of one ring. The predictions of one page in one `remember` are a chunk; a record that ends late (a
straggler) is a small chunk of its own page, so that ranges of chunks do not overlap.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radiosonde._join.matching import FoundPrediction, LaneCodes
from radiosonde._join.store import PREDICTION, LaneNames, Predictions

PAGE_SHIFT = 10
PAGE_ROWS = 1 << PAGE_SHIFT
"""Indices in a page, 76 kB with the cells of 30 features. A label alone in its page costs reading that; a chunk costs
about ten microseconds to write, a hundredth of one for each of a page's predictions."""

LOW_BITS = 0xFFFFFFFF
"""Modulus of the index in an id. Pages use it too; it is a multiple of their size."""

Place = tuple[int, int]
"""(nonce, page)."""

Key = tuple[int, int]
"""(low bits of the index, start in ns) of a prediction, in the rings of one nonce."""


class PredictionChunk(NamedTuple):
    """Predictions of one lane and one page.

    Attributes:
        lane: names of the codes.
        rows: see `Predictions.rows`.
        cells: see `Predictions.cells`.
        mark: the store's key for it.
    """

    lane: LaneCodes
    rows: NDArray[np.void]
    cells: NDArray[np.uint8]
    mark: Any = None

    @property
    def newest_ns(self) -> int:
        """Start of the youngest prediction."""
        return int(self.rows["start_ns"].max())

    @property
    def low_range(self) -> tuple[int, int]:
        """First and last index, low bits."""
        return int(self.rows["index"][0]) & LOW_BITS, int(self.rows["index"][-1]) & LOW_BITS

    def keys(self) -> list[Key]:
        """Return the key of each row."""
        return list(zip((self.rows["index"] & LOW_BITS).tolist(), self.rows["start_ns"].tolist(), strict=True))

    def find(self, keys: Sequence[Key]) -> NDArray[np.int64]:
        """Return the row of each key, -1 where it is none of these."""
        wanted = np.array(keys, dtype=np.int64)
        lows = self.rows["index"] & LOW_BITS
        rows = np.minimum(np.searchsorted(lows, wanted[:, 0]), len(lows) - 1)
        is_here = (lows[rows] == wanted[:, 0]) & (self.rows["start_ns"][rows] == wanted[:, 1])
        return np.where(is_here, rows, -1)

    def take(self, rows: NDArray[np.int64]) -> Iterator[FoundPrediction]:
        """Yield the predictions in *rows*."""
        width, cells = self.cells.shape[1], self.cells[rows].tobytes()
        for place, (_, _, event_ns, score, confidence, class_code, series) in enumerate(self.rows[rows].tolist()):
            own = cells[place * width : (place + 1) * width]
            yield FoundPrediction(self.lane, event_ns, score, confidence, class_code, series, own)

    def only(self, rows: NDArray[np.bool_]) -> PredictionChunk:
        """Return the chunk with some of its rows."""
        return self._replace(rows=self.rows[rows], cells=self.cells[rows])


def place_of(nonce: int, low: int) -> Place:
    """Return where the prediction with these low bits of its index lies."""
    return nonce, low >> PAGE_SHIFT


def cut(predictions: Predictions, lane: LaneCodes) -> Iterator[tuple[Place, PredictionChunk]]:
    """Cut a chunk along the pages."""
    rows, cells = predictions.rows, predictions.cells
    pages = rows["index"] >> PAGE_SHIFT
    ends = [*(np.flatnonzero(np.diff(pages)) + 1).tolist(), len(rows)]
    begin = 0
    for end in ends:
        if end > begin:
            part = PredictionChunk(lane, rows[begin:end], cells[begin:end])
            yield place_of(predictions.lane.nonce, part.low_range[0]), part
        begin = end


def decode(lane: LaneCodes, rows: bytes, cells: bytes, mark: Any = None) -> PredictionChunk:
    """Return a chunk that was stored as the bytes of its arrays."""
    table = np.frombuffer(rows, dtype=PREDICTION)
    return PredictionChunk(lane, table, np.frombuffer(cells, dtype=np.uint8).reshape(len(table), -1), mark)


def encode_lane(names: LaneNames) -> str:
    """Return the names behind a lane's codes as JSON."""
    return json.dumps({name: getattr(names, name) for name in LaneNames.__slots__})


def decode_lane(document: str | bytes) -> LaneNames:
    """Decode the result of `encode_lane`."""
    fields: dict[str, Any] = json.loads(document)
    for name in ("cohorts", "classes", "features"):
        fields[name] = tuple(fields[name])
    return LaneNames(**fields)


def merged_lane(known: LaneNames, new: LaneNames) -> LaneNames | None:
    """Return the names that serve the codes of both; None when one code means two things.

    Names of a lane are added while it runs. A receipt holds only its prediction's class and cohort: such a lane has the same nonce and its
    own codes.
    """
    if (known.model, known.version, known.variant, known.declared, known.features, known.grid) != (
        new.model, new.version, new.variant, new.declared, new.features, new.grid,
    ):  # fmt: skip
        return None
    tables = []
    for mine, theirs in ((known.cohorts, new.cohorts), (known.classes, new.classes)):
        longer, shorter = (theirs, mine) if len(theirs) > len(mine) else (mine, theirs)
        if longer[: len(shorter)] != shorter:
            return None
        tables.append(longer)
    return LaneNames(
        new.nonce, new.model, new.version, new.variant, tables[0], tables[1], new.declared, new.features, new.grid
    )
