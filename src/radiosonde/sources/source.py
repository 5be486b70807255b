"""The source interface, and the source that combines several.

A source yields *parts*: windows as their processes wrote them. Parts with the same key and bounds add up to the window
(`radiosonde.sketches.merge.merge_windows`), which is left to the reader because what to merge over differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from radiosonde.errors import ConfigurationError
from radiosonde.model import Window
from radiosonde.reference.codec import from_text
from radiosonde.reference.profile import Reference
from radiosonde.sources.address import Address
from radiosonde.store import Annotation, Interval, ReferenceRow, SeriesSummary
from radiosonde.store.annotations import read_annotations


class Source(Protocol):
    """Something windows can be read from."""

    def windows(self, start_ns: int | None = None, end_ns: int | None = None, model: str | None = None) -> list[Window]:
        """Return the window parts that overlap ``[start_ns, end_ns)``, ordered by start, series and process."""
        ...

    def references(self) -> Mapping[tuple[str, str], Reference]:
        """Return the reference written last for each (model, version)."""
        ...


class StoredParts(Protocol):
    """One place where parts lie: a SQLite store, a folder of sealed hours, or a database."""

    @property
    def path(self) -> Address:
        """The file, the folder or the database."""
        ...

    def parts(self, interval: Interval) -> list[tuple[int, Window]]:
        """Return (id, part) for every part in *interval*."""
        ...

    def references(self) -> list[ReferenceRow]:
        """Return every reference."""
        ...

    def summaries(self) -> list[SeriesSummary]:
        """Return a summary, per model, version and variant."""
        ...

    def held_bytes(self) -> int:
        """Return the bytes on disk."""
        ...

    def last_written_ns(self) -> int | None:
        """Return when the newest window was written, by the writer's wall clock; None without windows."""
        ...

    def spans(self) -> set[tuple[str, int, int]]:
        """Return model, start and end of all windows, each once."""
        ...

    def mark(self) -> tuple[int, int]:
        """Return a value that changes when a part is added. Cheap."""
        ...

    @property
    def annotations_path(self) -> Path | None:
        """The SQLite file with the annotations of these windows, which may be missing; None for a place that has none."""
        ...


class StoredSource:
    """A `Source` over one or more places; a part that lies in two of them is counted once.

    Args:
        places: SQLite stores first. A sealer that runs meanwhile writes Parquet before it deletes from SQLite, so in
            this order a part is seen at least once, and by its id at most once.
    """

    def __init__(self, places: Sequence[StoredParts]) -> None:
        self.places = tuple(places)

    def windows(self, start_ns: int | None = None, end_ns: int | None = None, model: str | None = None) -> list[Window]:
        """Return the window parts that overlap ``[start_ns, end_ns)``, ordered by start, series and process.

        Raises:
            StoreError: a place has become unreadable.
        """
        return self._windows(Interval(start_ns, end_ns, model))

    def runtime_windows(self, start_ns: int | None = None, end_ns: int | None = None) -> list[Window]:
        """Return the windows that hold the health of the processes, ordered by start and process.

        Raises:
            StoreError: a place has become unreadable.
        """
        return self._windows(Interval(start_ns, end_ns, runtime=True))

    def last_written_ns(self) -> int | None:
        """Return when the newest window of all places was written, by the writer's wall clock; None without windows.

        Windows with the health of a process count: a live server without traffic is not stale.

        Raises:
            StoreError: a place has become unreadable.
        """
        return max((at for place in self.places if (at := place.last_written_ns()) is not None), default=None)

    def annotations(self) -> list[Annotation]:
        """Return the annotations of these windows, including withdrawn ones, in the order of writing.

        Raises:
            StoreError: a place has become unreadable.
        """
        said = [each for path in self.annotations_paths if path.is_file() for each in read_annotations(path)]
        return sorted(said, key=lambda each: (each.written_ns, each.annotation_id))

    @property
    def annotations_path(self) -> Path:
        """The SQLite file to which annotations are written: the first store, or one in the folder of sealed hours.

        Raises:
            ConfigurationError: no place keeps annotations.
        """
        if not self.annotations_paths:
            raise ConfigurationError(f"{self.places[0].path} keeps no annotations; name a store instead")
        return self.annotations_paths[0]

    @property
    def annotations_paths(self) -> list[Path]:
        """The SQLite files with annotations, each once; they may be missing."""
        paths = (place.annotations_path for place in self.places)
        return list(dict.fromkeys(path for path in paths if path is not None))

    def _windows(self, interval: Interval) -> list[Window]:
        unique: dict[int, Window] = {}
        for place in self.places:
            for part_id, window in place.parts(interval):
                unique.setdefault(part_id, window)
        ordered = sorted(unique.items(), key=lambda item: (item[1].start_ns, item[1].key, item[1].process, item[0]))
        return [window for _, window in ordered]

    def references(self) -> Mapping[tuple[str, str], Reference]:
        """Return the reference written last for each (model, version).

        Raises:
            StoreError: a place has become unreadable.
            ProfileError: a stored profile is damaged or too new.
        """
        rows = sorted(
            (row for place in self.places for row in place.references()), key=lambda row: (row.written_ns, row)
        )
        newest = {(row.model, row.version): row.document for row in rows}
        return {
            key: from_text(document, origin=f"the stored reference of {key[0]} {key[1]}")
            for key, document in newest.items()
        }
