"""Fingerprints of tables: of any frame in memory, and of files that exceed it.

The values of a column become words by the rules of `radiosonde.reference.containers`, which the server uses too, so a table has the
fingerprints of the server that was given its rows, for any library. Texts are hashed once per batch and distinct value.

Files are read batch by batch with Arrow: memory is bounded by a batch of each column, the row group that is decoded, and 100 bytes per
feature and group. 1 to 2 million rows of 10 numbers per second of CPU, the reading of Parquet included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from radiosonde.errors import ConfigurationError
from radiosonde.model.feature_names import feature_names
from radiosonde.model.fingerprints import (
    DEFINITION,
    MISSING_WORD,
    WORD,
    factors,
    hash_rows,
    number_words,
    text_word,
)
from radiosonde.reference.containers import Coded, plain_column
from radiosonde.reference.values import plain

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

BATCH_ROWS = 65_536

Key = tuple[Any, ...]
"""Values of the columns that rows are grouped by."""


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """The fingerprints of some rows. Those of parts add up to those of the whole.

    Attributes:
        features: fingerprint by feature.
        row: the row fingerprint.
        rows: number of rows.
        definition: how they were computed (`radiosonde.model.fingerprints.DEFINITION`).
    """

    features: Mapping[str, int]
    row: int
    rows: int
    definition: str = DEFINITION

    def __add__(self, other: Fingerprints) -> Fingerprints:
        """Return the fingerprints of both parts together.

        Raises:
            ValueError: they are of other features, or of another definition.
        """
        if self.features.keys() != other.features.keys() or self.definition != other.definition:
            raise ValueError("fingerprints of different features or definitions cannot be added; compute both alike")
        added = {name: (value + other.features[name]) % WORD for name, value in self.features.items()}
        return Fingerprints(added, (self.row + other.row) % WORD, self.rows + other.rows, self.definition)


def fingerprint(frame: Any, *, features: Sequence[str] | None = None) -> Fingerprints:
    """Return the fingerprints of a table.

    Args:
        frame: a pandas or polars DataFrame, an Arrow table, a mapping of columns, a list of dicts, or a matrix (with *features*).
        features: the columns to use, in any order; default: all. For a matrix, the names of its columns.

    Raises:
        ConfigurationError: *frame* is none of these, its columns differ in length, or a column is missing.

    >>> table = {"wind": [1.5, None], "carrier": ["UA", "AA"]}
    >>> fingerprint(table) == fingerprint({"carrier": ["AA", "UA"], "wind": [None, 1.5]})
    True
    """
    columns = _columns(frame, features)
    names = list(columns) if features is None else list(features)
    missing = [name for name in names if name not in columns]
    if missing:
        raise ConfigurationError(
            f"there is no column {', '.join(map(repr, missing))}; the columns are: {', '.join(map(repr, columns))}"
        )
    if not names:
        raise ConfigurationError("the table has no columns; give at least one feature")
    chosen = [column_words(columns[name]) for name in names]
    lengths = sorted({len(words) for words in chosen})
    if len(lengths) > 1:
        raise ConfigurationError(f"columns have different lengths: {lengths}; pass one value per row in every column")
    sums = GroupedFingerprints(names)
    for start in range(0, lengths[0], BATCH_ROWS):
        sums.update(np.stack([words[start : start + BATCH_ROWS] for words in chosen]))
    return sums.total()


def _columns(frame: Any, features: Sequence[str] | None) -> Mapping[str, Any]:
    """Return the columns of a table of any kind by name."""
    library = type(frame).__module__.partition(".")[0]
    if isinstance(frame, Mapping):
        return dict(zip(feature_names(frame), frame.values(), strict=True))
    if library == "pandas" and hasattr(frame, "columns"):
        return {name: frame.iloc[:, place] for place, name in enumerate(feature_names(frame.columns))}
    if library == "polars" and hasattr(frame, "get_columns"):
        return {series.name: series for series in frame.get_columns()}
    if library == "pyarrow" and hasattr(frame, "column_names"):
        return dict(zip(feature_names(frame.column_names), frame.columns, strict=True))
    if isinstance(frame, np.ndarray) and frame.ndim == 2:
        if features is None or len(features) != frame.shape[1]:
            raise ConfigurationError(f"a matrix has no names: give features=[...] for its {frame.shape[1]} columns")
        return dict(zip(features, frame.T, strict=True))
    if isinstance(frame, Sequence) and frame and all(isinstance(row, Mapping) for row in frame):
        names = dict.fromkeys(name for row in frame for name in row)
        return dict(zip(feature_names(names), [[row.get(name) for row in frame] for name in names], strict=True))
    raise ConfigurationError(
        f"cannot read a table from {type(frame).__module__}.{type(frame).__qualname__}; give a pandas or polars DataFrame, an Arrow table, "
        "a mapping of column name to values, a list of dicts, or a matrix with features=[...]"
    )


def column_words(column: Any) -> NDArray[np.uint64]:
    """Return the words of a column of any library, shape (rows,); see `radiosonde.model.fingerprints`."""
    if type(column).__module__.partition(".")[0] == "pyarrow":
        column = _encoded(column)
    found = column if isinstance(column, Coded) else plain_column(column)
    if isinstance(found, np.ndarray):
        return number_words(np.array(found, dtype=np.float64))
    if isinstance(found, Coded):
        return np.append(_words(found.values), np.uint64(MISSING_WORD))[found.codes]
    return _words(found)


def _encoded(column: Any) -> Any:
    """Return texts of Arrow by code, so that each distinct one is hashed once; other columns as they are."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        column = column.cast(pa.large_string()).dictionary_encode()
    if not isinstance(column, pa.DictionaryArray):
        return column
    codes = column.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return Coded(column.dictionary.to_pylist(), np.asarray(codes, dtype=np.intp))


def _words(values: Sequence[Any]) -> NDArray[np.uint64]:
    """Return the words of values of any type."""
    read = [value if type(value) is str else plain(value) for value in values]
    texts = {text: text_word(text) for text in dict.fromkeys(read) if isinstance(text, str)}
    words = number_words(np.array([np.nan if isinstance(value, str) else value for value in read], dtype=np.float64))
    if texts:
        for place, value in enumerate(read):
            if isinstance(value, str):
                words[place] = texts[value]
    return words


class GroupedFingerprints:
    """Sums of hashes by group.

    Args:
        names: of the features, in the order of the words.

    Attributes:
        groups: fingerprints of the features followed by that of the rows, and the number of rows, by key.
        rows: number of rows of all groups.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._factors = factors(self.names)
        self.groups: dict[Key, tuple[NDArray[np.uint64], int]] = {}
        self.rows = 0

    def update(
        self, words: NDArray[np.uint64], places: NDArray[np.intp] | None = None, keys: Sequence[Key] = ((),)
    ) -> None:
        """Add rows.

        Args:
            words: shape (features, rows), contiguous; overwritten.
            places: per row the index of its group in *keys*; None: all are in the first.
            keys: the groups.
        """
        if not words.shape[1]:
            return
        hashes = np.concatenate([words, hash_rows(words, self._factors)[None]])
        hashes[:-1] = words  # which are the hashes of the values now
        if places is None or len(keys) == 1:
            self._add(keys[0], np.add.reduce(hashes, axis=1), hashes.shape[1])
            return
        order = np.argsort(places, kind="stable")
        counts = np.bincount(places, minlength=len(keys))
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        occupied = np.flatnonzero(counts)
        sums = np.add.reduceat(hashes[:, order], starts[occupied], axis=1)
        for column, group in enumerate(occupied.tolist()):
            self._add(keys[group], sums[:, column], int(counts[group]))

    def _add(self, key: Key, sums: NDArray[np.uint64], rows: int) -> None:
        before, count = self.groups.get(key, (np.zeros_like(sums), 0))
        self.groups[key] = (before + sums, count + rows)
        self.rows += rows

    def of(self, key: Key) -> Fingerprints:
        """Return the fingerprints of a group."""
        sums, rows = self.groups.get(key, (np.zeros(len(self.names) + 1, dtype=np.uint64), 0))
        *columns, row = sums.tolist()
        return Fingerprints(dict(zip(self.names, columns, strict=True)), row, rows)

    def total(self) -> Fingerprints:
        """Return the fingerprints of all rows."""
        found = self.of(())
        for key in self.groups:
            found = found if key == () else found + self.of(key)
        return found


def grouped(
    batches: Iterable[pa.RecordBatch],
    names: Sequence[str],
    by: Sequence[str] = (),
    window: tuple[str, float] | None = None,
) -> Iterator[GroupedFingerprints]:
    """Add up the fingerprints of batches by group; yield the sums after each batch, and at least once.

    Args:
        batches: record batches of Arrow.
        names: the features.
        by: columns to group by.
        window: a column of event times, and the length of windows in seconds; a key begins with the start of its window
            in nanoseconds since the epoch, None for a row without a time.
    """
    sums = GroupedFingerprints(names)
    for batch in batches:
        words = np.stack([column_words(batch.column(name)) for name in names])
        sums.update(words, *group_places(batch, by, window))
        yield sums
    yield sums


def group_places(
    batch: pa.RecordBatch, by: Sequence[str], window: tuple[str, float] | None
) -> tuple[NDArray[np.intp] | None, Sequence[Key]]:
    """Return per row the index of its key, None if there is one key only, and the keys; see `grouped`."""
    keys: list[tuple[NDArray[np.int64], list[Any]]] = [_coded(batch.column(name)) for name in by]
    if window is not None:
        keys.insert(0, _starts(batch.column(window[0]), window[1]))
    return _joint(keys, batch.num_rows)


def _coded(column: pa.Array[Any]) -> tuple[NDArray[np.int64], list[Any]]:
    """Return codes, and the values by code; the last one is for missing values."""
    import pyarrow as pa

    encoded = column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()
    values = [*encoded.dictionary.to_pylist(), None]
    codes = encoded.indices.cast(pa.int64()).fill_null(len(values) - 1).to_numpy(zero_copy_only=False)
    return codes, values


def _starts(column: pa.Array[Any], length_s: float) -> tuple[NDArray[np.int64], list[Any]]:
    seconds = plain_column(column)
    if not isinstance(seconds, np.ndarray):
        raise ConfigurationError("the column of --time holds neither times nor numbers of seconds; convert it")
    is_known = np.isfinite(seconds)
    windows = np.floor(np.where(is_known, seconds, 0.0) / length_s).astype(np.int64)
    distinct, codes = np.unique(windows, return_inverse=True)
    codes = np.where(is_known, codes.reshape(-1), len(distinct))
    return codes, [*(round(window * length_s * 1e9) for window in distinct.tolist()), None]


def _joint(
    keys: Sequence[tuple[NDArray[np.int64], list[Any]]], rows: int
) -> tuple[NDArray[np.intp] | None, Sequence[Key]]:
    if not keys:
        return None, ((),)
    places, first = np.zeros(rows, dtype=np.intp), np.zeros(0, dtype=np.intp)
    for (
        codes,
        values,
    ) in keys:  # numbered again after each column, because the product of many sizes has more than 64 bits
        _, first, inverse = np.unique(places * len(values) + codes, return_index=True, return_inverse=True)
        places = inverse.reshape(-1)
    return places, [tuple(values[codes[row]] for codes, values in keys) for row in first.tolist()]
