"""The two sides of a comparison: stores, tables and files of fingerprints, as fingerprints by group.

A key is the start of a window, if both sides have times, and the values of the columns or cohort dimensions to group by, as the text that a
category has. Windows of stores are added up to longer ones where asked for; they are never cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from radiosonde.errors import ConfigurationError
from radiosonde.forensics.files import WINDOW, TableFile
from radiosonde.forensics.tables import Fingerprints, Key, grouped
from radiosonde.model import Window, parse_cohort
from radiosonde.model.feature_names import number_text
from radiosonde.model.fingerprints import DEFINITION
from radiosonde.sources import open_source

_COLUMNS = frozenset({"feature", "fingerprint", "rows", "row_fingerprint", "definition"})
"""Columns of a file of fingerprints that are no part of its keys."""

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Grouping:
    """How to group both sides.

    Attributes:
        by: columns of tables, and dimensions of cohorts.
        time: column of event times in tables; None: tables have none.
        window_s: length of windows in seconds; None: that of the windows of stores, or 60.
        features: features to compare; empty: all.
        since_ns: only windows that start at this time or later; None for no bound.
        until_ns: only windows that start before this time; None for no bound.
        model: model in stores; None for all.
    """

    by: tuple[str, ...] = ()
    time: str | None = None
    window_s: float | None = None
    features: tuple[str, ...] = ()
    since_ns: int | None = None
    until_ns: int | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class HashedGroup:
    """The rows of one key.

    Attributes:
        prints: their fingerprints.
        rows: number of rows; more than those of *prints* if not all were hashed.
        is_whole: whether the fingerprints cover all rows, by the present definition.
    """

    prints: Fingerprints
    rows: int
    is_whole: bool

    def __add__(self, other: HashedGroup) -> HashedGroup:
        """Return both together."""
        return HashedGroup(self.prints + other.prints, self.rows + other.rows, self.is_whole and other.is_whole)


Groups = dict[Key, HashedGroup]


class ComparedSide(Protocol):
    """One side of a comparison.

    Attributes:
        path: where it lies.
        has_times: whether its rows can be grouped by window.
        native_s: length of its windows; None if it has none of its own.
        features: names of its features; None if any column may be one.
        columns: what it can be grouped by; None: anything.
    """

    path: Path
    has_times: bool
    native_s: float | None
    features: tuple[str, ...] | None
    columns: tuple[str, ...] | None

    def names(self, request: Grouping) -> tuple[str, ...]:
        """Return the features that it can be asked for."""
        ...

    def groups(self, request: Grouping, names: Sequence[str], window_s: float | None) -> Groups:
        """Return the fingerprints of the features *names* by key; by windows of *window_s*, or without any.

        Raises:
            ConfigurationError: a column is missing, or the windows do not fit.
        """
        ...


def open_side(path: Path, request: Grouping) -> ComparedSide:
    """Open a store, a table or a file of fingerprints.

    Raises:
        ConfigurationError: it is neither.
        StoreError: the store cannot be read.
    """
    is_table = path.suffix.lower() in {".parquet", ".pq", ".csv", ".tsv"}
    if path.is_dir():
        is_table = not (any(path.glob("process=*")) or any(path.glob("*.sqlite")) or (path / "sealed").is_dir())
    if not is_table:
        return StoredSide(path, request)
    file = TableFile(path)
    return PrintedSide(path, file) if {*file.names} >= _COLUMNS else TableSide(path, file, request)


class StoredSide:
    """The windows of a store, or of sealed hours."""

    columns: tuple[str, ...] | None = None
    has_times = True

    def __init__(self, path: Path, request: Grouping) -> None:
        self.path = path
        found = open_source(path, sketches=False, label_cells=False, batched=True)
        windows = found.windows(request.since_ns, request.until_ns, request.model)
        self._windows = [window for window in windows if window.features is not None and not window.is_of_sketches]
        models = sorted({window.key.model for window in self._windows})
        if len(models) > 1:
            raise ConfigurationError(f"{path} holds several models: {', '.join(models)}; choose one with --model")
        self.native_s = max(((w.end_ns - w.start_ns) / NS for w in self._windows), default=None)
        names: dict[str, bool] = {}
        for features in (window.features for window in self._windows):
            for name, value in zip(features.names, features.fingerprints.tolist(), strict=True) if features else ():
                names[name] = names.get(name, False) or value != 0
        # A sum of hashes is zero by chance once in 2**64 times: these are hidden, and no part of the hash of a row.
        self.hidden = tuple(name for name, is_shown in names.items() if not is_shown)
        self.features: tuple[str, ...] | None = tuple(name for name, is_shown in names.items() if is_shown)

    def names(self, request: Grouping) -> tuple[str, ...]:
        """Return its features, but for hidden ones."""
        return self.features or ()

    def groups(self, request: Grouping, names: Sequence[str], window_s: float | None) -> Groups:
        """Return the fingerprints of the windows by key; see `ComparedSide.groups`."""
        found: Groups = {}
        for window in self._windows:
            start_ns = None
            if window_s is not None:
                start_ns = _start(window.start_ns, window_s)
                if window.end_ns > start_ns + round(window_s * NS):
                    length_s = (window.end_ns - window.start_ns) / NS
                    raise ConfigurationError(
                        f"windows of {self.path} last {length_s:g} seconds, and --window is {window_s:g}; give a multiple of {length_s:g}"
                    )
            cohort = parse_cohort(window.key.cohort)
            key = (*(() if start_ns is None else (start_ns,)), *(cohort.get(name) for name in request.by))
            if _is_in(start_ns if start_ns is not None else window.start_ns, request):
                _add(found, key, _group(window, names))
        return found


def _group(window: Window, names: Sequence[str]) -> HashedGroup:
    features = window.features
    if features is None:
        raise ValueError("a window without features has no fingerprints")
    held = dict(zip(features.names, features.fingerprints.tolist(), strict=True))
    rows = max(window.rows, int(features.cells[0].sum()) if len(features.cells) else 0)
    prints = Fingerprints(
        {name: held.get(name, 0) for name in names}, features.row_fingerprint, features.fingerprinted_rows
    )
    return HashedGroup(prints, rows, window.is_fingerprinted and all(name in held for name in names))


class TableSide:
    """A table, hashed as it is read."""

    native_s: float | None = None
    features: tuple[str, ...] | None = None

    def __init__(self, path: Path, file: TableFile, request: Grouping) -> None:
        self.path, self._file = path, file
        self.has_times = request.time is not None
        self.columns: tuple[str, ...] | None = file.names

    def names(self, request: Grouping) -> tuple[str, ...]:
        """Return its columns but those of keys."""
        return tuple(name for name in self._file.names if name not in {*request.by, request.time})

    def groups(self, request: Grouping, names: Sequence[str], window_s: float | None) -> Groups:
        """Return the fingerprints of the rows by key; see `ComparedSide.groups`."""
        keys = [*request.by, *([request.time] if request.time is not None else [])]
        self._file.require([*names, *keys])
        window = (request.time, window_s) if request.time is not None and window_s is not None else None
        *_, sums = grouped(self._file.batches([*names, *keys]), names, request.by, window)
        found: Groups = {}
        for key in sums.groups:
            start = key[:1] if window else ()
            if not window or _is_in(key[0], request):
                prints = sums.of(key)
                _add(
                    found, (*start, *map(key_text, key[len(start) :])), HashedGroup(prints, prints.rows, is_whole=True)
                )
        return found


class PrintedSide:
    """A file of fingerprints."""

    native_s: float | None = None

    def __init__(self, path: Path, file: TableFile) -> None:
        self.path = path
        self._rows = [row for batch in file.batches(file.names) for row in batch.to_pylist()]
        self.has_times = WINDOW in file.names
        self.columns: tuple[str, ...] | None = tuple(name for name in file.names if name not in {*_COLUMNS, WINDOW})
        self.features: tuple[str, ...] | None = tuple(dict.fromkeys(row["feature"] for row in self._rows))

    def names(self, request: Grouping) -> tuple[str, ...]:
        """Return its features."""
        return self.features or ()

    def groups(self, request: Grouping, names: Sequence[str], window_s: float | None) -> Groups:
        """Return the fingerprints of its groups, those that agree in the key added up; see `ComparedSide.groups`."""
        kept = self.columns or ()
        missing = [name for name in request.by if name not in kept]
        if missing:
            raise ConfigurationError(f"{self.path} is not grouped by {', '.join(missing)}; make it again with --by")
        held: dict[Key, list[dict[str, Any]]] = {}
        for row in self._rows:
            held.setdefault((row.get(WINDOW), *(row[name] for name in kept)), []).append(row)
        found: Groups = {}
        for rows in held.values():
            first = rows[0]
            start_ns = first.get(WINDOW)
            if self.has_times and not _is_in(start_ns, request):
                continue
            start = (None if start_ns is None else _start(start_ns, window_s),) if window_s is not None else ()
            prints = {row["feature"]: row["fingerprint"] for row in rows}
            is_whole = all(row["definition"] == DEFINITION for row in rows) and all(name in prints for name in names)
            group = Fingerprints({name: prints.get(name, 0) for name in names}, first["row_fingerprint"], first["rows"])
            _add(
                found,
                (*start, *(key_text(first[name]) for name in request.by)),
                HashedGroup(group, group.rows, is_whole),
            )
        return found


def key_text(value: Any) -> str | None:
    """Return the text of a part of a key: that of a category, so that the number 1 and the text ``"1"`` are one."""
    if value is None or isinstance(value, str):
        return value
    return number_text(value) if isinstance(value, int | float) and value == value else str(value)  # noqa: PLR0124


def window_of(sides: Iterable[ComparedSide], request: Grouping) -> float | None:
    """Return the length of the windows to compare by, in seconds; None if a side has no times.

    Raises:
        ConfigurationError: bounds of time are given, and a side has no times.
    """
    sides = list(sides)
    timeless = [side for side in sides if not side.has_times]
    if timeless:
        if request.since_ns is not None or request.until_ns is not None:
            raise ConfigurationError(f"{timeless[0].path} has no times to select by; name its column with --time")
        return None
    natives = [side.native_s for side in sides if side.native_s is not None]
    return request.window_s if request.window_s is not None else max(natives, default=60.0)


def with_default_keys(sides: Sequence[ComparedSide], request: Grouping) -> Grouping:
    """Return *request*, grouped by what files of fingerprints are grouped by, if nothing else is asked for."""
    if request.by or not all(isinstance(side, PrintedSide) for side in sides):
        return request
    first, *others = [side.columns or () for side in sides]
    return replace(request, by=tuple(name for name in first if all(name in other for other in others)))


def _start(start_ns: int, window_s: float | None) -> int:
    length_ns = round((window_s or 1.0) * NS)
    return start_ns - start_ns % length_ns


def _is_in(start_ns: int | None, request: Grouping) -> bool:
    if start_ns is None:
        return request.since_ns is None and request.until_ns is None
    return (request.since_ns is None or start_ns >= request.since_ns) and (
        request.until_ns is None or start_ns < request.until_ns
    )


def _add(groups: Groups, key: Key, group: HashedGroup) -> None:
    groups[key] = groups[key] + group if key in groups else group
