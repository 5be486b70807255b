"""Most frequent values of a feature: the frequent-items sketch over text, 2**7 slots.

* Error: deterministic. The true count of a value lies between `FrequentItem.low` and `FrequentItem.high`, and they
  differ by at most 2.74 % (3.5 / 128) of all updates; a value with a larger share is always listed.
* Memory: at most 96 values are kept; text longer than 256 characters is cut. 96 values of 12 characters are 2.3 kB.
* Merge: associative and commutative within the bound; the bounds stay true after any merges.
* Empty: nothing is listed, `top_share_ratio` is 0, bytes are 8 long. NaN, infinities and ``None`` never enter.
* A number enters as ``repr(float)``, so ``1`` and ``1.0`` are one value.
* Privacy: holds raw values; features marked ``pii`` get none.

Reference: Anderson et al., "A High-Performance Algorithm for Identifying Frequent Items in Data Streams", IMC 2017.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, cast

import numpy as np

from radiosonde.model import name_of
from radiosonde.sketches.contract import DAMAGED, Sketch
from radiosonde.sketches.library import library

if TYPE_CHECKING:
    from numpy.typing import NDArray

COUNT_ERROR_RATIO = 3.5 / 128
"""Largest difference between the bounds of a count, as a share of all updates."""


class FrequentItem(NamedTuple):
    """One frequent value with the bounds of its count."""

    value: str
    low: int
    high: int


class FrequentSketch(Sketch):
    """Frequent-items sketch of a text or numeric stream; see the module for its guarantees."""

    __slots__ = ("_sketch",)
    kind: ClassVar[str] = "frequent"
    parameter: ClassVar[int] = 7

    def __init__(self) -> None:
        """Make an empty sketch."""
        self._sketch = library().frequent_strings_sketch(self.parameter)

    @property
    def n(self) -> int:
        """Values seen, missing ones left out."""
        return int(self._sketch.total_weight)

    @property
    def is_empty(self) -> bool:
        """Whether no value has entered."""
        return bool(self._sketch.is_empty())

    def update(self, values: NDArray[Any]) -> None:
        """Add finite numbers or text; ``None`` and other values are ignored."""
        if values.dtype.kind in "OUS":
            counts = Counter(name_of(value) for value in values.tolist() if isinstance(value, str))
            for text, count in counts.items():
                self._sketch.update(text, count)
            return
        numbers = np.asarray(values, dtype=np.float64)
        for number, count in Counter((numbers[np.isfinite(numbers)] + 0.0).tolist()).items():
            self._sketch.update(repr(number), count)

    def merge(self, other: Self) -> None:
        """Add everything *other* has seen."""
        self._same_kind(other)
        self._sketch.merge(other._sketch)

    def to_bytes(self) -> bytes:
        """Return the DataSketches serialization."""
        return cast("bytes", self._sketch.serialize())

    @classmethod
    def from_bytes(cls, serialized: bytes) -> Self:
        """Read a serialized frequent-strings sketch."""
        sketch = cls.__new__(cls)
        try:
            sketch._sketch = library().frequent_strings_sketch.deserialize(serialized)
        except DAMAGED as error:
            cls._damaged(serialized, error)
        return sketch

    def top(self, limit: int = 10) -> list[FrequentItem]:
        """Return the values with the largest counts, most frequent first; none is missed above the error bound."""
        found = self._sketch.get_frequent_items(library().frequent_items_error_type.NO_FALSE_NEGATIVES)
        items = [FrequentItem(value, low, high) for value, _, low, high in found]
        items.sort(key=lambda item: (-item.low, -item.high, item.value))
        return items[:limit]

    def top_share_ratio(self) -> float:
        """Return the lower bound of the most frequent value's share; 0 when empty."""
        leader = self.top(1)
        return leader[0].low / self.n if leader else 0.0
