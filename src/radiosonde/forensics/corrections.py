"""Corrected features of a table, from another table: matched by a key, or row by row.

The corrected table is held in memory; the table that it corrects is read batch by batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radiosonde.errors import ConfigurationError
from radiosonde.forensics.files import TableFile

if TYPE_CHECKING:
    import pyarrow as pa


class Corrections:
    """Corrected values of some columns.

    Args:
        path: table that holds them.
        columns: columns of the table to be corrected.
        key: column that identifies a row in both tables; None: both have the same rows in the same order.
        rows: number of rows of the table to be corrected; None: unknown. Checked without a key.

    Attributes:
        names: the corrected columns.
        uncorrected: rows so far that the corrected table does not hold; they keep their values.

    Raises:
        ConfigurationError: the table cannot be read, corrects no column, repeats a key, or has another number of rows.
    """

    def __init__(self, path: Path, columns: Sequence[str], key: str | None, rows: int | None) -> None:
        import pyarrow as pa

        file = TableFile(path)
        self._path, self._key = path, key
        self._places: dict[Any, int] = {}
        self.uncorrected = 0
        self.names = tuple(name for name in columns if name in file.names and name != key)
        if not self.names:
            raise ConfigurationError(
                f"{path} has none of the columns that the model is given ({', '.join(columns)}); its columns are: {', '.join(file.names)}"
            )
        file.require([] if key is None else [key])
        chosen = [*([key] if key is not None else []), *self.names]
        table = pa.Table.from_batches(list(file.batches(chosen)) or [_empty(chosen)])
        self._columns = {name: _whole(table.column(name)) for name in chosen}
        if key is None:
            if rows is not None and rows != table.num_rows:
                raise ConfigurationError(
                    f"{path} has {table.num_rows:,} rows and the table {rows:,}; give the same rows in the same order, or name their key with --key"
                )
            return
        # A dict, not Arrow's `index_in`, which hashes the whole table again for each batch.
        keys = self._columns[key].to_pylist()
        try:
            self._places = {value: place for place, value in enumerate(keys) if value is not None}
        except TypeError as error:
            raise ConfigurationError(
                f"{key!r} holds values that identify no row ({error}); name a column of numbers or texts"
            ) from error
        if len(self._places) < sum(value is not None for value in keys):
            raise ConfigurationError(f"{path} holds some values of {key!r} more than once; keep one row per key")

    def applied(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        """Return *batch* with corrected values.

        Args:
            batch: rows of the table.
            first: number of its first row.

        Raises:
            ConfigurationError: the values of a column do not fit those of the table.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            if self._key is None:
                places = pa.array(
                    range(first, min(first + batch.num_rows, len(self._columns[self.names[0]]))), pa.int64()
                )
                if len(places) < batch.num_rows:
                    raise ConfigurationError(
                        f"{self._path} has fewer rows than the table; give the same rows in the same order, or name their key with --key"
                    )
            else:
                keys = batch.column(self._key).cast(self._columns[self._key].type).to_pylist()
                places = pa.array([self._places.get(value) for value in keys], pa.int64())
            is_found = pc.is_valid(places)
            self.uncorrected += batch.num_rows - int(pc.sum(is_found.cast(pa.int64())).as_py() or 0)
            columns = [
                _like(pc.if_else(is_found, self._columns[name].take(places), batch.column(name)), batch.column(name))
                if name in self.names
                else batch.column(name)
                for name in batch.schema.names
            ]
        except pa.ArrowException as error:
            raise ConfigurationError(
                f"the columns of {self._path} do not fit those of the table ({error}); give them the same types"
            ) from error
        return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _whole(column: Any) -> Any:
    """Return a column in one piece, decoded."""
    import pyarrow as pa

    found = column.combine_chunks()
    if isinstance(found, pa.ChunkedArray):
        found = pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], found.type)
    return found.dictionary_decode() if isinstance(found, pa.DictionaryArray) else found


def _like(corrected: Any, column: Any) -> Any:
    """Return corrected values in the type of the table's column, if they fit.

    A model may compute in the precision of its input, or by the codes of a category: with another type, rows whose values are the same
    would differ.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.DictionaryArray):  # the codes stay; new values get further ones
        known = column.dictionary
        new = pc.unique(corrected.drop_null()).cast(known.type)
        values = pa.concat_arrays([known, new.filter(pc.invert(pc.is_in(new, value_set=known)))])
        return pa.DictionaryArray.from_arrays(pc.index_in(corrected.cast(known.type), value_set=values), values)
    try:
        return corrected.cast(column.type)
    except pa.ArrowInvalid:  # as a fraction among integers
        return corrected


def _empty(names: Sequence[str]) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_pydict({name: pa.array([], pa.null()) for name in names})
