"""The folder of a replay: what was predicted, in parts, from which an interrupted replay goes on.

``part-000000000000.parquet`` holds the rows of one batch from that row on: ``row``, the key if one is named, ``replayed``, and
``corrected``. A part is written under another name and renamed, so there is never half a part, also after a crash. ``_replay.json``
holds the request; a folder with another request is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from radiosonde.errors import ConfigurationError
from radiosonde.forensics.answers import Column, recorded_column

REQUEST = "_replay.json"
"""Readers of folders of Parquet files skip names that begin with an underscore."""


class ReplayFolder:
    """A folder of parts.

    Args:
        path: of the folder, made if it is missing.
        request: identifies the replay.

    Raises:
        ConfigurationError: it cannot be made, or holds another replay.
    """

    def __init__(self, path: Path, request: Mapping[str, Any]) -> None:
        self._path = path
        text = json.dumps(request, indent=2, sort_keys=True) + "\n"
        try:
            path.mkdir(parents=True, exist_ok=True)
            file = path / REQUEST
            if file.exists():
                if file.read_text(encoding="utf-8") != text:
                    raise ConfigurationError(
                        f"{path} holds a replay of another table, model or options; choose another folder with --out, or delete it"
                    )
            elif any(not each.name.startswith("_") for each in path.iterdir()):
                raise ConfigurationError(f"{path} holds other files; choose a new folder with --out")
            else:
                _replace(file, text.encode())
        except OSError as error:
            raise ConfigurationError(
                f"cannot use the folder {path}: {error.strerror}; choose another with --out"
            ) from error

    def read(self, first: int, rows: int) -> tuple[Column, Column | None] | None:
        """Return the replayed and the corrected answers to the rows from *first* on; None if they are not there."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = self._file(first)
        if not file.exists():
            return None
        try:
            table = pq.read_table(file)
        except (OSError, pa.ArrowException) as error:
            raise ConfigurationError(
                f"cannot read {file}: {error}; delete it, and its rows are predicted again"
            ) from error
        if table.num_rows != rows:
            return None
        replayed = _restored(table.column("replayed"))
        return replayed, _restored(table.column("corrected")) if "corrected" in table.column_names else None

    def write(self, first: int, replayed: Column, corrected: Column | None, key: tuple[str, Any] | None) -> None:
        """Write the answers to the rows from *first* on.

        Args:
            first: number of the first row.
            replayed: the answers of the model.
            corrected: the other answers, if there are any.
            key: name and values of the column that identifies a row, if one is named.

        Raises:
            ConfigurationError: they cannot be written.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, Any] = {"row": pa.array(np.arange(first, first + len(replayed)))}
        if key is not None:
            columns[key[0] if key[0] not in {"row", "replayed", "corrected"} else f"{key[0]}_key"] = key[1]
        columns["replayed"] = _stored(replayed)
        if corrected is not None:
            columns["corrected"] = _stored(corrected)
        file = self._file(first)
        try:
            pq.write_table(pa.table(columns), _unfinished(file))
            _unfinished(file).replace(file)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write {file}: {error}; make room, and run the command again to go on"
            ) from error

    def _file(self, first: int) -> Path:
        return self._path / f"part-{first:012}.parquet"


def _replace(file: Path, content: bytes) -> None:
    _unfinished(file).write_bytes(content)
    _unfinished(file).replace(file)


def _unfinished(file: Path) -> Path:
    return file.with_name(f"_unfinished-{file.name}")


def _stored(column: Column) -> Any:
    import pyarrow as pa

    return pa.array(column.tolist(), pa.string()) if column.dtype == object else pa.array(column)


def _restored(column: Any) -> Column:
    import pyarrow as pa

    if pa.types.is_floating(column.type):
        return np.asarray(column.to_numpy(), dtype=np.float64)
    restored: Column = np.array(column.to_pylist(), dtype=object)
    return restored if len(restored) else recorded_column([])
