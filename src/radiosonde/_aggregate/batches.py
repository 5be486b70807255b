"""Reads batches out of the arena: chosen ones, chosen rows of them, many batches gathered into one array.

Counting the cells of a hundred rows takes 130 us and of a thousand 600 us, so small batches are counted together; what
a batch costs by itself is two views and two copies. Gathered are at most `GATHERED_ROWS` rows, which stay in a
second-level cache.

A block is copied before it is judged: what is whole after the copy was whole during it. Blocks that were overwritten
are found whether they are chosen or not, so their loss is exact, and the sample is one of those that are whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radiosonde._ring.layout import BATCH_OUTPUTS, INPUT_ROW, OUTPUT_NONE, OUTPUT_UNREADABLE

if TYPE_CHECKING:
    from radiosonde._aggregate.stream import Stream
    from radiosonde._aggregate.thinning import Thinner

GATHERED_ROWS = 4096


class Part(NamedTuple):
    """Rows of one weight.

    Attributes:
        rows: feature rows, shape (rows, features); no rows where the batches had no features.
        outputs: their outputs, shape (rows, 2); not of failed batches.
        kind: what the outputs are.
        weight: how many rows each stands for.
    """

    rows: NDArray[np.float64]
    outputs: NDArray[np.float64]
    kind: int
    weight: int


class _Chosen(NamedTuple):
    position: int
    rows: int
    features: NDArray[np.float64]
    outputs: NDArray[np.float64]


class Batches:
    """The batches of one series in one drained block.

    Args:
        stream: whose arena they are in.
        headers: their headers.
        thinner: chooses among them.
        step: how many rows one row may stand for.

    Attributes:
        lost_rows: rows of batches that were overwritten before they were read; complete after `parts`.
        unreadable_rows: rows of whole batches whose output could not be understood.
    """

    def __init__(self, stream: Stream, headers: NDArray[Any], thinner: Thinner, step: int) -> None:
        self._stream, self._thinner, self._step = stream, thinner, step
        arena = stream.arena
        is_whole = headers["batch"].astype(np.int64) - 1 >= arena.reserved - arena.size
        self.lost_rows = int(headers["rows"][~is_whole].sum())
        self._headers = headers[is_whole] if self.lost_rows else headers
        failed = self._headers["error"] > 0
        unreadable = (self._headers["output_kind"] == OUTPUT_UNREADABLE) & ~failed
        self.unreadable_rows = int(self._headers["rows"][unreadable].sum())

    def parts(self) -> Iterator[Part]:
        """Yield the rows that are to be counted."""
        headers = self._headers
        gathered: dict[tuple[int, bool, int], list[_Chosen]] = {}
        counts: dict[tuple[int, bool, int], int] = {}
        for at, within in self._thinner.batches(headers["kept"].astype(np.int64), self._step):
            header = headers[at]
            kind = OUTPUT_NONE if header["error"] else int(header["output_kind"])
            weight = int(header["step"]) * (self._step // within * within)
            group = kind, bool(header["input_kind"] == INPUT_ROW), weight
            chosen = self._read(header, within)
            gathered.setdefault(group, []).append(chosen)
            counts[group] = counts.get(group, 0) + len(chosen.features)
            if counts[group] >= GATHERED_ROWS:
                del counts[group]
                yield self._joined(group, gathered.pop(group))
        for group, members in gathered.items():
            yield self._joined(group, members)

    def _read(self, header: Any, within: int) -> _Chosen:
        position, kept, width = int(header["batch"]) - 1, int(header["kept"]), len(self._stream.features)
        features = self._stream.arena.block(position, kept, width)
        outputs = self._stream.arena.block(position + kept * width, kept, BATCH_OUTPUTS)
        if within == 1:
            return _Chosen(position, int(header["rows"]), features.copy(), outputs.copy())
        rows = self._thinner.positions(kept, within)
        return _Chosen(position, int(header["rows"]), features[rows], outputs[rows])

    def _joined(self, group: tuple[int, bool, int], members: list[_Chosen]) -> Part:
        kind, has_features, weight = group
        whole = [member for member in members if self._stream.arena.is_whole(member.position)]
        if len(whole) < len(members):
            self.lost_rows += sum(member.rows for member in members) - sum(member.rows for member in whole)
        features = _one([member.features for member in whole], len(self._stream.features))
        outputs = _one([member.outputs for member in whole], BATCH_OUTPUTS)
        return Part(features if has_features else features[:0], outputs, kind, weight)


def _one(blocks: list[NDArray[np.float64]], columns: int) -> NDArray[np.float64]:
    if len(blocks) == 1:
        return blocks[0]
    return np.concatenate(blocks) if blocks else np.zeros((0, columns))
