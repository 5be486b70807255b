"""The definition of fingerprints: 64-bit hashes of values and of rows, whose sums identify data in any order.

Anyone can compute them where features are made, in Python or SQL (`radiosonde.forensics`); ``docs/explanation/forensics.md`` has the
definition for people. In short:

1. A value becomes one 64-bit word. A number is the bits of its double, with one NaN (missing) and one zero. A text is the first eight
   bytes of the SHA-256 of its UTF-8, big-endian, unless it is the usual text of a number: then it is that number, because a category
   ``"1"`` and a number ``1`` are one value everywhere in Radiosonde (`radiosonde.model.feature_names`).
2. The hash of a word is the output of SplitMix64 in the state *word* (Steele, Lea and Flood, "Fast splittable pseudorandom number
   generators", OOPSLA 2014; mixing constants are Stafford's variant 13).
3. The fingerprint of a feature is the sum of the hashes of its values modulo 2**64. The name is no part of it, so two columns that hold
   the same values have the same fingerprint: an exchange of columns is recognised as one.
4. A row is hashed as the SplitMix64 of the sum of *factor* times *hash* over its features, where the factor of a feature is the word
   of its name, made odd. The row fingerprint is the sum of these hashes. It changes if two rows exchange a value; the sums of
   the columns do not.

Sums add over any split of the rows. SplitMix64 and not a hash of bytes, because it is two multiplications of a whole column, and because
SQL engines without a common hash function have its arithmetic. It is no cryptographic hash: it finds accidents, not forgers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEFINITION: Final = "splitmix64-1"
"""Name of this definition, kept beside each fingerprint. Fingerprints without one are of an older definition, and not comparable."""

WORD: Final = 1 << 64

MISSING_WORD: Final = 0x7FF8_0000_0000_0000
"""Word of a missing value: the bits of the quiet NaN without a payload."""

INVALID_WORD: Final = 0x7FF0_0000_0000_0000
"""Word of what is neither number, text nor missing: the bits of infinity, as in `radiosonde.reference.values`."""

CHUNK_ROWS: Final = 2048
"""Rows hashed at a time: 30 columns and the scratch space are 1 MiB, which stays in a second-level cache."""

GAMMA: Final = 0x9E37_79B9_7F4A_7C15
FIRST_FACTOR: Final = 0xBF58_476D_1CE4_E5B9
SECOND_FACTOR: Final = 0x94D0_49BB_1331_11EB
SHIFTS: Final = (30, 27, 31)

WHOLE_TEXT: Final = r"0|-?[1-9][0-9]{0,17}"
FRACTION_TEXT: Final = r"-?(0|[1-9][0-9]*)\.[0-9]*[1-9]"
"""Texts that are numbers: whole ones of up to 18 digits, and fractions of up to `FRACTION_LENGTH` characters, as Python writes them."""

FRACTION_LENGTH: Final = 16
"""Characters of a fraction, its sign apart: 15 digits and the point, for which every engine finds the nearest double."""

_is_number = re.compile(f"{WHOLE_TEXT}|{FRACTION_TEXT}").fullmatch

_GAMMA, _FIRST, _SECOND = np.uint64(GAMMA), np.uint64(FIRST_FACTOR), np.uint64(SECOND_FACTOR)
_SHIFTS = tuple(np.uint64(shift) for shift in SHIFTS)


def text_word(text: str) -> int:
    """Return the word of a text.

    >>> text_word("1") == text_word("01"), hex(text_word("1"))
    (False, '0x3ff0000000000000')
    """
    if _is_number(text) and ("." not in text or len(text.removeprefix("-")) <= FRACTION_LENGTH):
        return int(np.float64(text).view(np.uint64))
    import hashlib  # not loaded by a server without texts

    return int.from_bytes(hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:8])


def text_words(texts: Iterable[str]) -> NDArray[np.uint64]:
    """Return the word of each text."""
    return np.array([text_word(text) for text in texts], dtype=np.uint64)


def number_words(columns: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return the words of numbers, NaN for missing; *columns* is overwritten and must be contiguous."""
    columns += 0.0  # makes one zero of both
    missing = np.isnan(columns)
    words = columns.view(np.uint64)
    if missing.any():
        words[missing] = MISSING_WORD
    return words


def factors(names: Sequence[str]) -> NDArray[np.uint64]:
    """Return the factor of each feature in the hash of a row, by its name; shape (features,)."""
    import hashlib

    digests = [hashlib.sha256(name.encode(errors="surrogatepass")).digest()[:8] for name in names]
    return np.array([int.from_bytes(digest) | 1 for digest in digests], dtype=np.uint64)


def mix(words: NDArray[np.uint64], scratch: NDArray[np.uint64]) -> None:
    """Replace *words* by their hashes; *scratch* has the same shape."""
    words += _GAMMA
    np.right_shift(words, _SHIFTS[0], out=scratch)
    words ^= scratch
    words *= _FIRST
    np.right_shift(words, _SHIFTS[1], out=scratch)
    words ^= scratch
    words *= _SECOND
    np.right_shift(words, _SHIFTS[2], out=scratch)
    words ^= scratch


def fingerprints(block: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return the fingerprint of each column of numbers, shape (rows, features); NaN is missing."""
    total = np.zeros(block.shape[1], dtype=np.uint64)
    for start in range(0, len(block), CHUNK_ROWS):
        words = number_words(np.array(block[start : start + CHUNK_ROWS].T, dtype=np.float64, order="C"))
        mix(words, np.empty_like(words))
        total += np.add.reduce(words, axis=1)
    return total


def hash_rows(words: NDArray[np.uint64], factor: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Replace *words*, shape (features, rows), by the hash of each value and return the hash of each row, shape (rows,).

    Args:
        words: contiguous; overwritten by the hashes, which are not weighted by *factor*.
        factor: of each feature; 0 leaves a feature out of the hash of a row.
    """
    scratch = np.empty_like(words)
    mix(words, scratch)
    np.multiply(words, factor[:, None], out=scratch)
    rows: NDArray[np.uint64] = np.add.reduce(scratch, axis=0)
    mix(rows, np.empty_like(rows))
    return rows
