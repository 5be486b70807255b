"""Predicts recorded rows again: does a model still give the answers it gave, and what would other features or another model have given?

Two comparisons are made by row. *Reproduction*: the recorded answers (A) against those of the model now (B). *Effect*: the answers of the
model (A) against those of another model, or to corrected features (B); its mean is the bias. The effect is taken from the
model's answers of now, not from the recorded ones, so that it holds nothing but the change of features or model.

First the same rows are predicted again, and in halves: where answers change between calls, or with the other rows of a batch, equality of
rows means nothing. Tables are read batch by batch; memory is bounded by a batch, the groups, and the table of corrections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from radiosonde.errors import ConfigurationError
from radiosonde.forensics.answers import Column, recorded_column
from radiosonde.forensics.corrections import Corrections
from radiosonde.forensics.files import TableFile
from radiosonde.forensics.paired import Difference, Paired
from radiosonde.forensics.replay_folder import ReplayFolder
from radiosonde.forensics.sides import key_text
from radiosonde.forensics.tables import Key, group_places

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

LEAST_ROWS = 1000
"""Rows that are read in one go, in as many calls as the model needs."""

MOST_DURATIONS = 65_536
"""Durations of calls that are kept; of more, every second, fourth, eighth."""


class Model(Protocol):
    """A model that can be asked.

    Attributes:
        name: as it was named.
        identity: changes with its code.
        batch_rows: rows per call.
    """

    name: str
    identity: str
    batch_rows: int

    def predict(self, batch: pa.RecordBatch, call_rows: int) -> tuple[Column, list[float]]:
        """Return the answers to the rows, given in calls of *call_rows*, and the seconds that each call took."""
        ...


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What to replay.

    Attributes:
        table: Parquet or CSV file, or folder of Parquet files.
        columns: columns that the model is given, in this order.
        recorded: column of the recorded answers; None: there is none.
        by: columns to group by.
        time: column of event times; None: no windows.
        window_s: length of windows in seconds.
        key: column that identifies a row.
        tolerance: of numbers, absolute and relative to the larger one.
    """

    table: Path
    columns: tuple[str, ...]
    recorded: str | None = None
    by: tuple[str, ...] = ()
    time: str | None = None
    window_s: float = 3600.0
    key: str | None = None
    tolerance: float = 1e-9


class Determinism(NamedTuple):
    """Whether a model gives the same answers again.

    Attributes:
        rows: rows that were tried.
        repeated: differences between two calls with the same rows.
        halved: differences between one call and two with half of the rows each.
    """

    rows: int
    repeated: Difference
    halved: Difference

    @property
    def is_given(self) -> bool:
        """Whether two calls with the same rows agree within the tolerance."""
        return not self.repeated.different


@dataclass(slots=True)
class Durations:
    """Durations of calls, thinned evenly.

    Attributes:
        rows: number of rows.
        total_s: seconds of all calls.
        calls: number of calls.
    """

    rows: int = 0
    total_s: float = 0.0
    calls: int = 0
    _kept: list[float] = field(default_factory=list)
    _stride: int = 1

    def add(self, rows: int, seconds: Sequence[float]) -> None:
        """Add calls."""
        self.rows += rows
        self.total_s += sum(seconds)
        for duration in seconds:
            if self.calls % self._stride == 0:
                self._kept.append(duration)
            self.calls += 1
        while len(self._kept) > MOST_DURATIONS:
            self._kept = self._kept[::2]
            self._stride *= 2

    def quantile(self, share: float) -> float:
        """Return a quantile in seconds; NaN without calls."""
        return float(np.quantile(self._kept, share)) if self._kept else float("nan")


@dataclass(slots=True)
class ReplayResult:
    """The result of a replay.

    Attributes:
        request: as given.
        rows: rows replayed.
        resumed: those of them that were predicted by an earlier run.
        determinism: of the model; None for a table without rows.
        reproduction: recorded answers against the model's; None without recorded ones.
        effect: the model's answers against those of the other model or to corrected features; None without either.
        uncorrected: rows without corrected features.
        durations: of the calls of the model.
    """

    request: ReplayRequest
    reproduction: Paired | None
    effect: Paired | None
    rows: int = 0
    resumed: int = 0
    determinism: Determinism | None = None
    uncorrected: int = 0
    durations: Durations = field(default_factory=Durations)

    @property
    def differs(self) -> bool:
        """Whether a row of a comparison differs."""
        return any(each.total().different for each in (self.reproduction, self.effect) if each is not None)

    @property
    def is_comparable(self) -> bool:
        """Whether there were rows, and the model is deterministic."""
        return self.determinism is not None and self.determinism.is_given


def replay(
    request: ReplayRequest,
    model: Model,
    *,
    other: Model | None = None,
    corrected: Path | None = None,
    out: Path | None = None,
    progress: Callable[[int, int | None], None] = lambda _done, _all: None,
) -> ReplayResult:
    """Replay a table.

    Args:
        request: what to replay.
        model: the model that is asked.
        other: another model to compare it with.
        corrected: table of corrected features.
        out: folder for the answers; an interrupted replay goes on from it.
        progress: called with the number of rows done, and of all if it is known.

    Returns:
        The result; without comparisons if the model is not deterministic.

    Raises:
        ConfigurationError: a table cannot be read, does not fit, or a model fails.
    """
    file = TableFile(request.table)
    named = [request.recorded, request.time, request.key]
    names = list(dict.fromkeys([*request.columns, *request.by, *(name for name in named if name is not None)]))
    file.require(names)
    fixes = None if corrected is None else Corrections(corrected, request.columns, request.key, file.rows)
    folder = None if out is None else ReplayFolder(out, _identity(request, model, other, corrected))
    has_effect = other is not None or fixes is not None
    found = ReplayResult(
        request,
        None if request.recorded is None else Paired(request.tolerance),
        Paired(request.tolerance) if has_effect else None,
    )
    for batch in _pieces(file.batches(names), model.batch_rows):
        given = batch.select(list(request.columns))
        if found.determinism is None:
            found.determinism = _determinism(model, given, request.tolerance)
            if not found.determinism.is_given:
                return found
        known = None if folder is None else folder.read(found.rows, batch.num_rows)
        fixed = None if fixes is None else fixes.applied(batch, found.rows).select(list(request.columns))
        if known is not None:
            replayed, changed = known
            found.resumed += batch.num_rows
        else:
            replayed, seconds = model.predict(given, model.batch_rows)
            found.durations.add(batch.num_rows, seconds)
            changed = None
            if has_effect:
                changed, _ = (other or model).predict(given if fixed is None else fixed, model.batch_rows)
            if folder is not None:
                folder.write(found.rows, replayed, changed, _key_column(request, batch))
        _compare(found, batch, replayed, changed)
        found.rows += batch.num_rows
        found.uncorrected = 0 if fixes is None else fixes.uncorrected
        progress(found.rows, file.rows)
    return found


def _compare(found: ReplayResult, batch: pa.RecordBatch, replayed: Column, changed: Column | None) -> None:
    request = found.request
    places, keys = _groups(request, batch)
    if found.reproduction is not None and request.recorded is not None:
        recorded = recorded_column(batch.column(request.recorded))
        found.reproduction.update(recorded, replayed, places, keys)
    if found.effect is not None and changed is not None:
        found.effect.update(replayed, changed, places, keys)


def _groups(request: ReplayRequest, batch: pa.RecordBatch) -> tuple[NDArray[np.intp] | None, list[Key]]:
    window = None if request.time is None else (request.time, request.window_s)
    places, keys = group_places(batch, request.by, window)
    start = 0 if window is None else 1
    return places, [(*key[:start], *map(key_text, key[start:])) for key in keys]


def _determinism(model: Model, batch: pa.RecordBatch, tolerance: float) -> Determinism:
    rows = min(batch.num_rows, max(model.batch_rows, LEAST_ROWS))
    batch = batch.slice(0, rows)
    half = max(1, model.batch_rows // 2)
    first, _ = model.predict(batch, model.batch_rows)
    compared = []
    for call_rows in (model.batch_rows, half):
        again, _ = model.predict(batch, call_rows)
        paired = Paired(tolerance)
        paired.update(first, again)
        compared.append(paired.total())
    return Determinism(rows, *compared)


def _pieces(batches: Iterator[pa.RecordBatch], call_rows: int) -> Iterator[pa.RecordBatch]:
    """Cut batches into whole numbers of calls, alike in each run."""
    rows = call_rows * -(-LEAST_ROWS // call_rows)
    for batch in batches:
        for first in range(0, batch.num_rows, rows):
            yield batch.slice(first, rows)


def _key_column(request: ReplayRequest, batch: pa.RecordBatch) -> tuple[str, Any] | None:
    return None if request.key is None else (request.key, batch.column(request.key))


def _identity(request: ReplayRequest, model: Model, other: Model | None, corrected: Path | None) -> dict[str, Any]:
    """Return the inputs and options that the answers of a replay depend on."""
    return {
        "table": _state(request.table),
        "columns": list(request.columns),
        "key": request.key,
        "model": model.identity,
        "batch_rows": model.batch_rows,
        "against": None if other is None else other.identity,
        "features": None if corrected is None else _state(corrected),
    }


def _state(path: Path) -> list[Any]:
    """Return the name, size and time of change of each file."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    try:
        return [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()]
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}; check the path") from error
