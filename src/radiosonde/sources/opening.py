"""Opens addresses as a source; errors include what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from radiosonde.errors import StoreError
from radiosonde.sources.address import Address, ClickHouseAddress
from radiosonde.sources.batched import BatchedReader
from radiosonde.sources.parquet import SealedReader
from radiosonde.sources.source import StoredParts, StoredSource
from radiosonde.store import StoreReader
from radiosonde.store.connection import reading

LABELS = "labels.sqlite"
"""End of the name of a join store, beside a store or in a spool."""


def open_source(
    paths: str | Address | Sequence[str | Address],
    *,
    sketches: bool | Sequence[str] = True,
    label_cells: bool = True,
    batched: bool = False,
) -> StoredSource:
    """Open *paths* as one source.

    Args:
        paths: one or more of: a SQLite store; a folder of sealed hours (it holds ``process=...`` folders); any other
            folder, for every ``*.sqlite`` store of windows in it and the sealed hours in its subfolder ``sealed``; the address of a ClickHouse
            database.
        sketches: kinds of sketches to read too (`radiosonde.sketches.KINDS`); True for all. They are most of the bytes, and checks
            need those of quantiles alone.
        label_cells: whether to read labels per feature cell, which no check needs.
        batched: whether to read SQLite stores by column, for a command that looks at a whole store: a third of the time, and 50 MiB for
            DuckDB, if it is installed.

    Raises:
        StoreError: a path is missing, or is none of these; a database cannot be read, or has no windows.
    """
    places = [
        place
        for path in ([paths] if isinstance(paths, str | Address) else paths)
        for place in _places(
            Path(path) if isinstance(path, str) else path,
            BatchedReader if batched else StoreReader,
            sketches=sketches,
            label_cells=label_cells,
        )
    ]
    # SQLite first: see `StoredSource`.
    return StoredSource(sorted(places, key=lambda place: not isinstance(place, StoreReader)))


def _places(path: Address, reader: type[StoreReader], **asked: Any) -> list[StoredParts]:
    if isinstance(path, ClickHouseAddress):
        from radiosonde.sources.clickhouse import ClickHouseReader

        database = ClickHouseReader(path, sketches=asked["sketches"])
        database.check()
        return [database]
    if not path.is_dir():
        with reading(path):  # raises errors early
            return [reader(path, **asked)]
    if _is_sealed(path):
        return [SealedReader(path, **asked)]
    places = [place for store in _stores(path) for place in _places(store, reader, **asked)]
    if _is_sealed(path / "sealed"):
        places.append(SealedReader(path / "sealed", **asked))
    if not places:
        raise StoreError(
            f"no store in folder {path}: expected *.sqlite files, a subfolder `sealed`, or process=... folders as "
            f"written by `radiosonde store seal`"
        )
    return places


def _stores(folder: Path) -> list[Path]:
    """Return the stores in *folder*; join stores, which lie beside them by default and hold no windows, are left out."""
    found = sorted(folder.glob("*.sqlite"))
    return [path for path in found if path.name != LABELS and not path.name.endswith(f".{LABELS}")]


def _is_sealed(folder: Path) -> bool:
    return next(folder.glob("process=*/"), None) is not None
