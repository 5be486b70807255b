"""Summarises wide rows (embeddings, images) and texts as a few numbers.

A row wider than ``max_features`` becomes `WIDE_NAMES`: how many values, their Euclidean norm, mean, standard deviation,
smallest, largest, the shares of zeros and of missing values (all but the last without the missing ones), and sixteen
projections. The projections are a count sketch (Charikar, Chen and Farach-Colton, 2002) with fixed signs: projection *j*
is the sum of the values at positions *j*, *j* + 16, *j* + 32, ..., each with the sign of a hash of its position. Squared and
summed they are the squared norm on average, so a shift of the row in any direction shows in some of them; and they cost
one multiplication a value, where a dense projection would cost sixteen. Rows wider than `READ_VALUES` are read at evenly
spaced positions, the same in every row of that width; `row.values` holds the true width.

A text becomes `TEXT_NAMES`: characters, words, and of its first `READ_CHARACTERS` characters the shares of digits, capital
letters, white space and non-ASCII characters. No part of the text itself is kept.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

PROJECTIONS: Final = 16
WIDE_NAMES: Final = (
    "row.values", "row.norm", "row.mean", "row.spread", "row.smallest", "row.largest", "row.zeros", "row.missing",
    *(f"row.p{place:02d}" for place in range(PROJECTIONS)),
)  # fmt: skip
TEXT_NAMES: Final = (
    "text.characters", "text.words", "text.digits", "text.capitals", "text.spaces", "text.not_ascii",
)  # fmt: skip

READ_VALUES: Final = 65_536
"""Values read of one wide row: half a millisecond."""

READ_CHARACTERS: Final = 4096
"""Characters read of one text: 10 us."""

CHUNK_VALUES: Final = 131_072
"""Values converted at a time: 1 MiB of doubles for any batch."""

_STATISTICS = len(WIDE_NAMES) - PROJECTIONS


def stride_of(width: int) -> int:
    """Return every how manyeth value of a row is read."""
    return -(-width // READ_VALUES)


def summarise(matrix: NDArray[Any]) -> NDArray[np.float64]:
    """Return the summaries of rows of numbers, shape (rows, features) to (rows, `WIDE_NAMES`).

    Infinite and unreadable values count as missing.
    """
    rows, width = matrix.shape
    found = np.empty((rows, len(WIDE_NAMES)))
    step = max(1, CHUNK_VALUES // min(max(1, width), READ_VALUES))
    read = matrix[:, :: stride_of(width)] if width else matrix
    for start in range(0, rows, step):
        with np.errstate(all="ignore"):
            _summarise_chunk(read[start : start + step].astype(np.float64), found[start : start + step])
    found[:, 0] = width
    return found


def _summarise_chunk(values: NDArray[np.float64], found: NDArray[np.float64]) -> None:
    finite = np.isfinite(values)
    width = values.shape[1]
    counts = finite.sum(axis=1)
    if counts.sum() < values.size:
        found[:, 4] = np.where(finite, values, np.inf).min(axis=1, initial=np.inf)
        found[:, 5] = np.where(finite, values, -np.inf).max(axis=1, initial=-np.inf)
        values[~finite] = 0.0
    else:
        found[:, 4], found[:, 5] = values.min(axis=1, initial=np.inf), values.max(axis=1, initial=-np.inf)
    squares = np.einsum("ij,ij->i", values, values)
    zeros = (values == 0.0).sum(axis=1) - (width - counts)
    _statistics(found, (counts, values.sum(axis=1), squares, zeros), width)
    values *= signs(width)
    whole = width - width % PROJECTIONS
    projected = values[:, :whole].reshape(len(values), -1, PROJECTIONS).sum(axis=1)
    projected[:, : width - whole] += values[:, whole:]
    found[:, _STATISTICS:] = projected
    found[counts == 0, 1:7] = np.nan


def _statistics(
    found: NDArray[np.float64],
    sums: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]],
    width: int | NDArray[Any],
) -> None:
    """Write norm, mean, spread, zeros and missing from (count, sum, sum of squares, zeros) of each row."""
    counts, total, squares, zeros = sums
    mean = total / counts
    found[:, 1], found[:, 2] = np.sqrt(squares), mean
    found[:, 3] = np.sqrt(np.maximum(squares / counts - mean * mean, 0.0))
    found[:, 6], found[:, 7] = zeros / counts, 1.0 - counts / width


def summarise_sparse(matrix: Any) -> NDArray[np.float64]:
    """Return the summaries of the rows of a scipy CSR matrix, from its stored values alone."""
    rows, width = matrix.shape
    found = np.zeros((rows, len(WIDE_NAMES)))
    lengths = np.diff(matrix.indptr)
    row = np.repeat(np.arange(rows), lengths)
    values = matrix.data.astype(np.float64)
    finite = np.isfinite(values)
    row, columns, values = row[finite], matrix.indices[finite].astype(np.int64), values[finite]
    missing = lengths - np.bincount(row, minlength=rows)
    with np.errstate(all="ignore"):
        sums = np.bincount(row, values, rows), np.bincount(row, values * values, rows)
        stored = np.bincount(row[values != 0.0], minlength=rows)
        _statistics(found, (width - missing, *sums, width - missing - stored), width)
        has_implicit = lengths < width
        found[:, 4], found[:, 5] = np.where(has_implicit, 0.0, np.inf), np.where(has_implicit, 0.0, -np.inf)
        np.minimum.at(found[:, 4], row, values)
        np.maximum.at(found[:, 5], row, values)
    places = row * PROJECTIONS + columns % PROJECTIONS
    projected = np.bincount(places, values * _sign(columns), rows * PROJECTIONS)
    found[:, _STATISTICS:] = projected.reshape(rows, PROJECTIONS)
    found[:, 0] = width
    return found


def _sign(positions: NDArray[np.int64]) -> NDArray[np.float64]:
    mixed = (positions + 1).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    return 1.0 - 2.0 * (mixed >> np.uint64(63)).astype(np.float64)


@functools.lru_cache(maxsize=4)
def signs(width: int) -> NDArray[np.float64]:
    """Return the sign of each position."""
    return _sign(np.arange(width))


_OTHER, _DIGIT, _CAPITAL, _SPACE, _CONTINUED, _NOT_ASCII = range(6)
_CLASSES = np.zeros(256, dtype=np.intp)
_CLASSES[ord("0") : ord("9") + 1] = _DIGIT
_CLASSES[ord("A") : ord("Z") + 1] = _CAPITAL
_CLASSES[list(b" \t\n\r\v\f")] = _SPACE
_CLASSES[0x80:0xC0] = _CONTINUED  # later bytes of one character
_CLASSES[0xC0:] = _NOT_ASCII


def summarise_texts(texts: Sequence[object]) -> NDArray[np.float64]:
    """Return the summaries of texts, shape (texts, `TEXT_NAMES`); a row of another type is missing throughout."""
    found = np.full((len(texts), len(TEXT_NAMES)), math.nan)
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            continue
        read = text[:READ_CHARACTERS]
        counts = np.bincount(_CLASSES[np.frombuffer(read.encode(errors="replace"), np.uint8)], minlength=6)
        words = len(read.split())
        if len(text) > len(read):
            words = round(words * len(text) / len(read))
        characters = max(1, len(read))
        found[place] = (
            len(text), words, counts[_DIGIT] / characters, counts[_CAPITAL] / characters, counts[_SPACE] / characters,
            counts[_NOT_ASCII] / characters,
        )  # fmt: skip
    return found
