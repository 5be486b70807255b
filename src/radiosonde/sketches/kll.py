"""Quantiles of a numeric feature: the KLL sketch of doubles, k = 200.

* Error: the rank of an answer is off by at most 1.33 % of n with probability 0.99 (the library's constant, the 99th
  percentile of the largest error over all ranks); merging does not add to it. Use it to explore and re-bin, never to
  alarm: exact tests run on cell counts.
* Memory: at most 5 KiB serialized at 100 000 rows (4.7 kB); up to 200 values are kept as they are and answers are exact.
* Merge: associative and commutative within the bound (compaction is random, so not bit for bit).
* Empty: quantiles and ranks are NaN, bytes are 8 long. NaN and infinities never enter; ``n`` counts finite values.
* Privacy: holds about 600 raw values; features marked ``pii`` get none.

Reference: Karnin, Lang, Liberty, "Optimal Quantile Approximation in Streams", FOCS 2016.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np

from radiosonde.errors import MergeError
from radiosonde.sketches.contract import DAMAGED, Sketch
from radiosonde.sketches.library import library

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

RANK_ERROR_RATIO = 0.0133
"""Single-sided normalized rank error at k = 200, 99 % confidence."""


class KllSketch(Sketch):
    """KLL sketch of the finite values of a numeric stream; see the module for its guarantees."""

    __slots__ = ("_sketch",)
    kind: ClassVar[str] = "kll_double"
    parameter: ClassVar[int] = 200

    def __init__(self, k: int = parameter) -> None:
        """Make an empty sketch; a *k* other than 200 is for fitting references, where memory is cheap."""
        self._sketch = library().kll_doubles_sketch(k)

    @property
    def n(self) -> int:
        """Finite values seen."""
        return int(self._sketch.n)

    @property
    def is_empty(self) -> bool:
        """Whether no finite value has entered."""
        return bool(self._sketch.is_empty())

    def update(self, values: NDArray[Any]) -> None:
        """Add the finite values of a numeric array; the rest is left out."""
        # The library refuses read-only arrays (pyarrow hands out such) and strided ones are copied by it anyway.
        numbers = np.require(values, np.float64, ("C_CONTIGUOUS", "WRITEABLE"))
        finite = np.isfinite(numbers)
        self._sketch.update(numbers if finite.all() else numbers[finite])

    def update_finite(self, values: NDArray[np.float64]) -> None:
        """Add values known to be finite, contiguous and writeable: the drain path, which has sorted and cut them."""
        self._sketch.update(values)

    def merge(self, other: Self) -> None:
        """Add everything *other* has seen."""
        self._same_kind(other)
        try:
            self._sketch.merge(other._sketch)
        except DAMAGED as error:
            raise MergeError(f"a kll_double sketch cannot be merged ({error}); drop it and merge the rest") from error

    def to_bytes(self) -> bytes:
        """Return the DataSketches serialization."""
        return cast("bytes", self._sketch.serialize())

    @classmethod
    def from_bytes(cls, serialized: bytes) -> Self:
        """Read a serialized KLL sketch of doubles of any k."""
        sketch = cls.__new__(cls)
        try:
            _check_levels(serialized)
            sketch._sketch = library().kll_doubles_sketch.deserialize(serialized)
            if not sketch.is_empty and not np.isfinite(sketch._sketch.get_quantiles([0.0, 1.0])).all():
                raise ValueError("its values are not finite")
        except DAMAGED as error:
            cls._damaged(serialized, error)
        return sketch

    def quantiles(self, ranks: Sequence[float]) -> list[float]:
        """Return the value at each normalized rank in [0, 1]; rank 0 is the minimum, 1 the maximum, both exact."""
        if self.is_empty:
            return [float("nan")] * len(ranks)
        found = [float(value) for value in self._sketch.get_quantiles(list(ranks), inclusive=True)]
        # The library answers rank 0 with the smallest value it retained, though it knows the smallest it saw.
        ends = {0.0: float(self._sketch.get_min_value()), 1.0: float(self._sketch.get_max_value())}
        return [ends.get(rank, value) for rank, value in zip(ranks, found, strict=True)]

    def rank(self, value: float) -> float:
        """Return the share of values at or below *value*; NaN when empty."""
        if self.is_empty:
            return float("nan")
        return float(self._sketch.get_rank(value, inclusive=True))


def retained(serialized: bytes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the values that a serialized KLL sketch of doubles retains, unordered, and their weights.

    Reads the bytes as they are (their layout: `_check_levels`), without the library: a month of windows holds more than a
    hundred thousand sketches, and the library hands over one Python float at a time.

    Raises:
        MergeError: the bytes are not those of such a sketch.
    """
    try:
        if len(serialized) < _EMPTY_BYTES or serialized[2] != _FAMILY:
            raise ValueError("its bytes are not a sketch of this kind")
        if serialized[3] & 0b1:
            return np.empty(0), np.empty(0, dtype=np.int64)
        if serialized[3] & 0b100:
            return np.frombuffer(serialized, "<f8", 1, _EMPTY_BYTES), np.ones(1, dtype=np.int64)
        sizes = _check_levels(serialized)
        values = np.frombuffer(serialized, "<f8", sum(sizes), 20 + 4 * len(sizes) + 16)
        if not np.isfinite(values).all():
            raise ValueError("its values are not finite")
    except DAMAGED as error:
        KllSketch._damaged(serialized, error)
    return values, np.repeat(1 << np.arange(len(sizes)), sizes)


def retained_of_many(bodies: Sequence[bytes]) -> Iterator[tuple[Sequence[int], NDArray[np.float64], NDArray[np.int64]]]:
    """Return the values and weights of many sketches: those that are laid out alike are read together.

    Yields:
        Which of *bodies*, by index; their values, shape (sketches, values); the weights, same for all of them, shape (values,).

    Raises:
        MergeError: as `retained`; read the sketches one by one to know which.
    """
    alike: dict[tuple[int, bytes], list[int]] = {}
    for index, body in enumerate(bodies):
        # What decides the layout: everything before the minimum. Only sketches whose table has been checked share it.
        alike.setdefault(
            (len(body), bytes(body[: 20 + 4 * body[18]]) if len(body) > _SINGLE_BYTES else body), []
        ).append(index)
    for members in alike.values():
        values, weights = retained(bodies[members[0]])
        if len(members) > 1:
            whole = np.frombuffer(b"".join([bodies[index] for index in members]), dtype=np.uint8).reshape(
                len(members), -1
            )
            table = np.ascontiguousarray(whole[:, whole.shape[1] - values.nbytes :]).view("<f8")
            if not np.isfinite(table).all():
                raise MergeError("the values of a sketch are not finite; leave it out")
            yield members, table, weights
        else:
            yield members, values[None], weights


_EMPTY_BYTES, _SINGLE_BYTES, _FAMILY = 8, 20, 15
"""Length of an empty sketch, and the number of KLL sketches among those of DataSketches, at 2."""


def _check_levels(serialized: bytes) -> list[int]:
    """Check the level table of a serialized sketch, which the library trusts and follows out of bounds; return the sizes of its levels.

    Layout of a sketch of more than one value: flags at 3 (bit 0 empty, bit 2 single value), n at 8, number of levels
    at 18, level offsets (uint32) from 20, then minimum, maximum and the retained values. A value of level *i* represents 2**i values, so
    the levels must add up to n, and the offsets and the length must agree.

    Raises:
        ValueError: they do not.
    """
    if len(serialized) < 20 or serialized[3] & 0b101:
        return []  # Empty, single, or too short for a table: the library checks these itself.
    levels = serialized[18]
    retained, rest = divmod(len(serialized) - 20 - 4 * levels - 16, 8)
    if retained < 0 or rest or not levels:
        raise ValueError("its length does not fit its levels")
    offsets = struct.unpack_from(f"<{levels}I", serialized, 20)
    sizes = [high - low for low, high in pairwise((*offsets, offsets[0] + retained))]
    (n,) = struct.unpack_from("<Q", serialized, 8)
    if min(sizes) < 0 or sum(size << level for level, size in enumerate(sizes)) != n:
        raise ValueError("its levels do not add up")
    return sizes
