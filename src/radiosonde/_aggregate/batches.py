"""Reads the features of sampled batches and rows from the arena into one array.

Counting the cells of a hundred rows takes 130 us and of a thousand 600 us, so small batches are counted together; what
the fixed cost of a batch is a view and a copy. At most `GATHERED_ROWS` rows are gathered, which fit into a second-level cache.

A block is copied before it is validated: a block that is whole after the copy was whole during it. The features of overwritten blocks are
not counted, and other rows are weighted for them. Outputs were copied when the records were taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radiosonde._ring.layout import FAILED, INPUT_ROW, OUTPUT_UNREADABLE

if TYPE_CHECKING:
    from radiosonde._aggregate.stream import Stream
    from radiosonde._aggregate.thinning import Thinner

GATHERED_ROWS = 4096


class BatchPart(NamedTuple):
    """Rows of one weight.

    Attributes:
        rows: feature rows, shape (rows, features).
        weight: weight of each row.
    """

    rows: NDArray[np.float64]
    weight: int


class _Chosen(NamedTuple):
    position: int
    rows: int
    features: NDArray[np.float64]


class Batches:
    """The batches of one series in one drained block.

    Args:
        stream: whose arena they are in.
        headers: their headers.
        thinner: selects rows.
        step: largest weight of a row.

    Attributes:
        unseen_rows: rows of batches whose features were overwritten before they were read; complete after `parts`.
        unreadable_rows: rows of batches whose output could not be understood.
    """

    def __init__(self, stream: Stream, headers: NDArray[Any], thinner: Thinner, step: int) -> None:
        self._stream, self._thinner, self._step = stream, thinner, step
        unreadable = (headers["output_kind"] == OUTPUT_UNREADABLE) & (headers["error"] == 0)
        self.unreadable_rows = int(headers["rows"][unreadable].sum())
        headers = headers[headers["input_kind"] == INPUT_ROW]
        arena = stream.arena
        is_whole = headers["batch"].astype(np.int64) - 1 >= arena.reserved - arena.size
        self.unseen_rows = int(headers["rows"][~is_whole].sum())
        self._headers = headers[is_whole] if self.unseen_rows else headers

    def parts(self) -> Iterator[BatchPart]:
        """Yield the rows that are to be counted."""
        headers = self._headers
        gathered: dict[int, list[_Chosen]] = {}
        counts: dict[int, int] = {}
        for at, within in self._thinner.batches(headers["kept"].astype(np.int64), self._step):
            header = headers[at]
            weight = int(header["step"]) * (self._step // within * within)
            chosen = self._read(header, within)
            gathered.setdefault(weight, []).append(chosen)
            counts[weight] = counts.get(weight, 0) + len(chosen.features)
            if counts[weight] >= GATHERED_ROWS:
                del counts[weight]
                yield self._joined(weight, gathered.pop(weight))
        for weight, members in gathered.items():
            yield self._joined(weight, members)

    def _read(self, header: Any, within: int) -> _Chosen:
        position, kept, width = int(header["batch"]) - 1, int(header["kept"]), len(self._stream.features)
        features = self._stream.arena.block(position, kept, width)
        chosen = features.copy() if within == 1 else features[self._thinner.positions(kept, within)]
        return _Chosen(position, int(header["rows"]), chosen)

    def _joined(self, weight: int, members: list[_Chosen]) -> BatchPart:
        whole = [member for member in members if self._stream.arena.is_whole(member.position)]
        if len(whole) < len(members):
            self.unseen_rows += sum(member.rows for member in members) - sum(member.rows for member in whole)
        return BatchPart(_one([member.features for member in whole], len(self._stream.features)), weight)


def _one(blocks: list[NDArray[np.float64]], columns: int) -> NDArray[np.float64]:
    if len(blocks) == 1:
        return blocks[0]
    return np.concatenate(blocks) if blocks else np.zeros((0, columns))


def by_result(headers: NDArray[Any], *, has_failed: bool) -> list[tuple[bool, NDArray[Any]]]:
    """Return the headers of successful calls and, if there are any, those of failed calls."""
    if not has_failed:
        return [(False, headers)]
    failed = (headers["mark"] & 3) == FAILED
    return [(False, headers[~failed]), (True, headers[failed])]
