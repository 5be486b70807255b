"""Tables in files, read batch by batch, and files of fingerprints.

A file of fingerprints is Parquet with one row per group and feature: the columns of the group, ``feature``, ``fingerprint``, ``rows``,
``row_fingerprint`` (the same for all features of a group) and ``definition``. It joins with table ``features`` of a store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radiosonde.errors import ConfigurationError
from radiosonde.forensics.tables import BATCH_ROWS, GroupedFingerprints
from radiosonde.model.fingerprints import DEFINITION

if TYPE_CHECKING:
    import pyarrow as pa

WINDOW = "start_ns"
"""Column with the start of a window in nanoseconds since the epoch."""


class TableFile:
    """A Parquet or CSV file, or a folder of Parquet files.

    Args:
        path: of the file or folder.

    Attributes:
        names: of the columns, in order.
        rows: number of rows; None for CSV, which has to be read for that.

    Raises:
        ConfigurationError: pyarrow is missing, or there is no such table.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow as pa
            from pyarrow import dataset
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "reading tables needs pyarrow; install it with: pip install 'radiosonde[desk]'"
            ) from error
        self._path = path
        is_csv = path.suffix.lower() in {".csv", ".tsv"}
        try:
            self._dataset = dataset.dataset(path, format=_csv(path) if is_csv else "parquet")
            self.names = tuple(self._dataset.schema.names)
            self.rows = None if is_csv else int(self._dataset.count_rows())
        except (OSError, pa.ArrowException) as error:
            raise ConfigurationError(
                f"cannot read {path} as a table ({error}); give a Parquet or CSV file, or a folder of Parquet files"
            ) from error

    def require(self, names: Sequence[str]) -> None:
        """Raise ConfigurationError if a column is missing."""
        missing = [name for name in names if name not in self.names]
        if missing:
            raise ConfigurationError(
                f"{self._path} has no column {', '.join(map(repr, missing))}; its columns are: {', '.join(self.names)}"
            )

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the named columns batch by batch.

        Raises:
            ConfigurationError: the file is damaged.
        """
        import pyarrow as pa

        # One row group ahead is enough to keep decoding busy; the default reads 16 batches of 4 files ahead.
        options: dict[str, Any] = {"batch_size": BATCH_ROWS, "batch_readahead": 2, "fragment_readahead": 1}
        try:
            yield from self._dataset.to_batches(columns=list(dict.fromkeys(names)), **options)
        except (OSError, pa.ArrowException) as error:
            raise ConfigurationError(f"cannot read {self._path}: {error}; check that the file is whole") from error


def _csv(path: Path) -> Any:
    from pyarrow import csv, dataset

    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    return dataset.CsvFileFormat(parse_options=csv.ParseOptions(delimiter=delimiter))


def fingerprint_table(sums: GroupedFingerprints, by: Sequence[str]) -> pa.Table:
    """Return the table of a file of fingerprints, groups in the order of their keys.

    Args:
        sums: fingerprints by group.
        by: names of the parts of a key.
    """
    import pyarrow as pa

    keys = sorted(sums.groups, key=lambda key: [(part is not None, str(type(part)), part) for part in key])
    width = len(sums.names)
    columns: dict[str, Any] = {
        name: pa.array([key[place] for key in keys for _ in range(width)]) for place, name in enumerate(by)
    }
    found = [sums.of(key) for key in keys]
    columns |= {
        "feature": pa.array([name for _ in keys for name in sums.names], pa.string()),
        "fingerprint": pa.array([each.features[name] for each in found for name in sums.names], pa.uint64()),
        "rows": pa.array([each.rows for each in found for _ in range(width)], pa.int64()),
        "row_fingerprint": pa.array([each.row for each in found for _ in range(width)], pa.uint64()),
        "definition": pa.array([DEFINITION] * (width * len(keys)), pa.string()),
    }
    return pa.table(columns)


def write_fingerprints(table: pa.Table, path: Path) -> None:
    """Write a file of fingerprints.

    Raises:
        ConfigurationError: it cannot be written.
    """
    import pyarrow.parquet as pq

    try:
        pq.write_table(table, path)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error}; choose another file with --out") from error
