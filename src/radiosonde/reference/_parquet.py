"""Reading training rows out of a Parquet file in batches; needs pyarrow, which the extra ``desk`` brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from radiosonde.errors import ConfigurationError
from radiosonde.reference.containers import Coded
from radiosonde.reference.frames import BATCH_ROWS, Batch, Column, ReferenceTable, from_any, from_codes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class ParquetTable(ReferenceTable):
    """A Parquet file; each pass reads it again, so memory is bounded by a batch (and a row group's pages)."""

    def __init__(self, path: Path) -> None:
        """Open *path* and read its footer.

        Raises:
            ConfigurationError: pyarrow is missing, or the file is missing or no Parquet file.
        """
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "reading Parquet needs pyarrow; install it with: pip install 'radiosonde[desk]'"
            ) from error
        self._path = path
        try:
            with pq.ParquetFile(path) as file:
                self.names = tuple(file.schema_arrow.names)
                self.rows = int(file.metadata.num_rows)
        except (OSError, pa.ArrowException) as error:
            raise ConfigurationError(
                f"cannot read {path} as Parquet ({error}); give an existing Parquet file"
            ) from error

    def batches(self, names: Sequence[str]) -> Iterator[Batch]:
        """Yield the named columns batch by batch.

        Raises:
            ConfigurationError: a column is neither numbers nor text, or the file is damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            # Without pre-buffering a pass holds the pages it decodes and not whole row groups of every column.
            with pq.ParquetFile(self._path, pre_buffer=False) as file:
                for part in file.iter_batches(batch_size=BATCH_ROWS, columns=list(names)):
                    yield {name: _from_arrow(name, part.column(name)) for name in names}
        except (OSError, pa.ArrowException) as error:
            raise ConfigurationError(f"cannot read {self._path}: {error}; check that the file is whole") from error


def _from_arrow(name: str, column: Any) -> Column:  # pyarrow.Array
    import pyarrow as pa

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        column = column.cast(pa.string()).dictionary_encode()
    if isinstance(column, pa.DictionaryArray):
        found: Column | str = from_codes(Coded(column.dictionary.to_pylist(), _codes(column.indices)))
    else:
        found = from_any(name, column)
    if isinstance(found, str):
        raise ConfigurationError(found)
    return found


def _codes(indices: Any) -> np.ndarray[Any, np.dtype[np.intp]]:  # pyarrow.Array
    import pyarrow as pa

    return np.asarray(indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.intp)
