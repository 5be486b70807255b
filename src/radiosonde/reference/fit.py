"""Fitting a reference: two passes over the rows, the first for the geometry of the cells, the second for counts.

The second pass makes the reference shares exact even where the first one estimated quantiles out of core, and it
counts with the very `Grid` that will count production, so both sides agree on ties, bounds and missing values by
construction.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from radiosonde._clock import NS, wall_ns
from radiosonde._version import __version__
from radiosonde.errors import ConfigurationError
from radiosonde.model import name_of
from radiosonde.model.concealed import conceal, key_id
from radiosonde.model.fingerprints import fingerprints
from radiosonde.reference._columns import EXACT_VALUES, FeatureFit, counted
from radiosonde.reference._outcome import OutcomeCount, OutcomeFit, infer_task, regression_profile
from radiosonde.reference.frames import Column, Numbers, Texts, open_table
from radiosonde.reference.grid import ReferenceGrid
from radiosonde.reference.profile import FeatureProfile, OutputProfile, Reference, Task, safely_named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from radiosonde.reference.frames import ReferenceTable

Made = TypeVar("Made", bound=Reference)

_COUNTED_ROWS = 512
"""Rows of a block that are counted at once: 120 KB of 30 features."""


@dataclass(frozen=True, slots=True)
class FitOptions:
    """The arguments of `Reference.fit` beyond the frame; see there."""

    target: str | None = None
    prediction: str | None = None
    score: str | None = None
    model: str = ""
    task: Task | None = None
    features: Sequence[str] | None = None
    pii: Sequence[str] = ()
    pii_key: str = ""


def fit(
    kind: type[Made],
    frame: object,
    options: FitOptions,
    progress: Callable[[int, int], None] | None = None,
) -> Made:
    """Fit a reference of class *kind*; see `Reference.fit`.

    Raises:
        ConfigurationError: a named column is missing or cannot be used, or there is no row.
    """
    table = open_table(frame)
    names = _feature_names(table, options)
    tick = _Ticker(table.rows * 2, progress)
    profiles, outcomes = _first_pass(table, names, options, tick)
    task = options.task or infer_task(outcomes)
    classes = (
        tuple(dict.fromkeys(name for part in outcomes for name in part.classes())) if task == "classification" else ()
    )
    counter = OutcomeCount(classes, options.target, options.prediction, options.score) if classes else None
    counts = _second_pass(table, profiles, counter, tick)
    features = tuple(counted(profile, cells, table.rows) for profile, cells in zip(profiles, counts.cells, strict=True))
    output = counter.profile() if counter else regression_profile(outcomes) if task == "regression" else OutputProfile()
    if options.pii_key:
        features = tuple(_hashed(feature, options.pii_key) for feature in features)
    return _stamp(kind, features, counts, options.model, task=task, output=output)


def _hashed(feature: FeatureProfile, key: str) -> FeatureProfile:
    """Return a hidden categorical feature with hashed categories, other features unchanged."""
    if not feature.pii or feature.kind != "categorical":
        return feature
    return replace(feature, categories=tuple(conceal(name, key) for name in feature.categories), key_id=key_id(key))


def fit_rows(
    names: Sequence[str],
    block: NDArray[np.float64],
    *,
    categories: Mapping[str, Sequence[str]] | None = None,
    pii: Sequence[str] = (),
    model: str = "",
    between: Callable[[], object] = lambda: None,
) -> Reference:
    """Make a provisional reference from the first rows a model saw in production.

    Args:
        names: feature names, one per column.
        block: values, shape (rows, features); a categorical column holds indices into its list of categories.
        categories: the categories seen so far of each categorical feature; all other features are numeric.
        pii: features that get no sketch.
        model: model name.
        between: called between features, some milliseconds apart: for a thread that should offer the interpreter lock.

    Returns:
        A reference with ``provisional=True`` and unknown task. Categories are ranked again by frequency, so their codes
        are those of the new grid, not the indices in *block*.

    Raises:
        ConfigurationError: there is no row, or the block does not have one column per name.
    """
    vocabularies = {name: tuple(texts) for name, texts in (categories or {}).items()}
    if block.ndim != 2 or block.shape[1] != len(names) or not block.shape[0]:
        raise ConfigurationError(
            f"cannot make a reference from a block of shape {block.shape} for {len(names)} features"
        )
    profiles, columns = [], []
    for name, values in zip(names, block.T, strict=True):
        column: Column = Numbers(values)
        if name in vocabularies:
            known = (values >= 0) & (values < len(vocabularies[name]))
            column = Texts(np.where(known, values, -1).astype(np.int64), vocabularies[name])
        single = FeatureFit(name, exact=True, pii=name in pii)
        single.update(column)
        profiles.append(single.profile())
        columns.append(column)
        between()
    grid = ReferenceGrid(profiles)
    counts = _counts_of(grid, columns, block)
    features = []
    for profile, cells in zip(profiles, counts.cells, strict=True):
        features.append(counted(profile, cells, counts.rows))
        between()
    return _stamp(Reference, tuple(features), counts, model, provisional=True)


def _counts_of(grid: ReferenceGrid, columns: Sequence[Column], block: NDArray[np.float64]) -> _Counts:
    """Count a block whose columns are known, some rows at a time: in a model server the room for all would stay with the heap."""
    cells = np.zeros((len(grid.names), grid.width), dtype=np.int64)
    hashes = np.zeros(len(grid.names), dtype=np.uint64)
    for start in range(0, len(block), _COUNTED_ROWS):
        rows = block[start : start + _COUNTED_ROWS]
        parts = [column.part(start, start + len(rows)) for column in columns]
        coded = _coded_block(grid, parts)
        invalid = np.isinf(rows)
        for index, part in enumerate(parts):
            if isinstance(part, Texts):
                invalid[:, index] = (part.codes < 0) & ~np.isnan(rows[:, index])
        coded[invalid] = np.inf
        cells += grid.count(coded)
        hashes += fingerprints(coded)
    return _Counts(cells, hashes, len(block))


class _Counts(NamedTuple):
    cells: NDArray[np.int64]
    fingerprints: NDArray[np.uint64]
    rows: int


class _Ticker:
    """Reports rows done to a callback, never more than promised."""

    def __init__(self, total: int, report: Callable[[int, int], None] | None) -> None:
        self._total, self._report, self._done = total, report, 0

    def advance(self, rows: int) -> None:
        self._done = min(self._done + rows, self._total)
        if self._report is not None:
            self._report(self._done, self._total)


def _feature_names(table: ReferenceTable, options: FitOptions) -> list[str]:
    outcome = {name for name in (options.target, options.prediction, options.score) if name is not None}
    chosen = (
        [name for name in table.names if name not in outcome] if options.features is None else list(options.features)
    )
    missing = sorted({*outcome, *chosen, *options.pii} - set(table.names))
    if missing:
        raise ConfigurationError(f"there is no column {', '.join(missing)}; the columns are: {', '.join(table.names)}")
    if len(set(chosen)) < len(chosen):
        raise ConfigurationError("a feature is named twice; name each column once")
    if options.task not in {None, "classification", "regression", "unknown"}:
        raise ConfigurationError(f"unknown task {options.task!r}; use 'classification' or 'regression'")
    if not chosen:
        raise ConfigurationError("no column is left to be a feature; name at least one")
    if not table.rows:
        raise ConfigurationError("there are no rows to fit a reference from; give the training or validation rows")
    return chosen


def _first_pass(
    table: ReferenceTable, names: list[str], options: FitOptions, tick: _Ticker
) -> tuple[list[FeatureProfile], list[OutcomeFit]]:
    exact = table.rows * max(len(names), 1) <= EXACT_VALUES
    features = [FeatureFit(name, exact=exact, pii=name in options.pii) for name in names]
    outcomes = [OutcomeFit(name, exact=exact) for name in (options.target, options.prediction) if name is not None]
    wanted = list(dict.fromkeys([*names, *(outcome.name for outcome in outcomes)]))
    for batch in table.batches(wanted):
        for feature in features:
            feature.update(batch[feature.name])
        for outcome in outcomes:
            outcome.update(batch[outcome.name])
        tick.advance(_rows(batch))
    return [feature.profile() for feature in features], outcomes


def _second_pass(
    table: ReferenceTable, profiles: Sequence[FeatureProfile], counter: OutcomeCount | None, tick: _Ticker
) -> _Counts:
    grid = ReferenceGrid(profiles)
    cells = np.zeros((len(profiles), grid.width), dtype=np.int64)
    hashes = np.zeros(len(profiles), dtype=np.uint64)
    outcome = [] if counter is None else counter.columns
    for batch in table.batches(list(dict.fromkeys([*grid.names, *outcome]))):
        block = _coded_block(grid, [batch[name] for name in grid.names])
        cells += grid.count(block)
        hashes += fingerprints(block)
        if counter is not None:
            counter.update(batch)
        tick.advance(_rows(batch))
    return _Counts(cells, hashes, table.rows)


def _rows(batch: Mapping[str, Column]) -> int:
    return len(next(iter(batch.values()), ()))


def _coded_block(grid: ReferenceGrid, columns: Sequence[Column]) -> NDArray[np.float64]:
    """Return columns as a block of *grid*, column-major so that counting does not copy it again."""
    block = np.empty((len(columns), len(columns[0]) if columns else 0), dtype=np.float64)
    for row, column, codes in zip(block, columns, grid.codes, strict=True):
        if isinstance(column, Numbers):
            row[:] = column.values
        else:
            known = codes or {}
            # Missing is code -1, which picks the last entry of the table.
            table = np.array([*(known.get(text, len(known)) for text in column.vocabulary), np.nan])
            row[:] = table[column.codes]
    return block.T


def _stamp(
    kind: type[Made],
    features: tuple[FeatureProfile, ...],
    counts: _Counts,
    model: str,
    *,
    task: Task = "unknown",
    output: OutputProfile = OutputProfile(),  # noqa: B008  # frozen
    provisional: bool = False,
) -> Made:
    features, output = safely_named(features, output)
    schema = repr([(feature.name, feature.kind) for feature in features])
    return kind(
        model=name_of(model),
        task=task,
        features=features,
        output=output,
        rows=counts.rows,
        schema_hash=hashlib.sha256(schema.encode()).hexdigest()[:16],
        data_hash=hashlib.sha256(counts.fingerprints.astype("<u8").tobytes() + str(counts.rows).encode()).hexdigest()[
            :16
        ],
        code_version=__version__,
        created_at=datetime.fromtimestamp(wall_ns() // NS, UTC).isoformat(),
        provisional=provisional,
    )
