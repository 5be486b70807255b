"""The columns of each frame, from windows. Numbers are the counts of the windows; nothing is estimated but the quantiles of latencies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radiosonde.diagnose.tail import split_tail
from radiosonde.model import Window, cell_names

if TYPE_CHECKING:
    from radiosonde.model import FeatureCounts
    from radiosonde.reference.profile import FeatureProfile, Reference

Columns = dict[str, NDArray[Any]]
References = Mapping[tuple[str, str], "Reference"]

_RANKS = {"p50_s": 0.5, "p90_s": 0.9, "p99_s": 0.99}


def _keyed(windows: Sequence[Window], at: Sequence[int] | NDArray[np.int64]) -> Columns:
    """Return the columns that identify a window, for the windows at the indexes *at*."""
    index = np.asarray(at, dtype=np.int64)
    times = {"start": [window.start_ns for window in windows], "end": [window.end_ns for window in windows]}
    columns: Columns = {
        name: np.array(held, dtype=np.int64).view("datetime64[ns]")[index] for name, held in times.items()
    }
    for name in ("model", "version", "variant", "cohort"):
        columns[name] = _texts(getattr(window.key, name) for window in windows)[index]
    return columns


def _texts(texts: Iterable[str]) -> NDArray[Any]:
    held = list(texts)
    column = np.empty(len(held), dtype=object)
    column[:] = held
    return column


def _long(
    windows: Sequence[Window], entries: Sequence[tuple[Any, ...]], names: Sequence[str], kinds: Sequence[type]
) -> Columns:
    """Return a frame with one row per entry: (index of the window, value per name of *names*)."""
    columns = _keyed(windows, [entry[0] for entry in entries])
    for number, (name, kind) in enumerate(zip(names, kinds, strict=True), 1):
        held = [entry[number] for entry in entries]
        columns[name] = _texts(held) if kind is str else np.array(held, dtype=np.int64 if kind is int else np.float64)
    return columns


def _traffic(windows: Sequence[Window], _: References) -> Columns:
    entries = [(index, window.calls, window.rows, sum(window.errors.values())) for index, window in enumerate(windows)]
    return _long(windows, entries, ("calls", "rows", "failed"), (int, int, int))


def _errors(windows: Sequence[Window], _: References) -> Columns:
    entries = [
        (index, name, count)
        for index, window in enumerate(windows)
        for name, count in sorted(window.errors.items())
        if count
    ]
    return _long(windows, entries, ("type", "calls"), (str, int))


def _latency(windows: Sequence[Window], _: References) -> Columns:
    entries = []
    for index, window in enumerate(windows):
        counts, sums = window.latency.counts, window.latency.sums_s
        calls = int(counts.sum())
        tails = [split_tail(counts, sums[None], rank) for rank in _RANKS.values()]
        if calls:
            quantiles = [np.nan if tail is None else tail.quantile_s for tail in tails]
            entries.append((index, calls, float(sums.sum()) / calls, *quantiles))
    return _long(windows, entries, ("calls", "mean_s", *_RANKS), (int, float, *(float for _ in _RANKS)))


def _phases(windows: Sequence[Window], _: References) -> Columns:
    entries = []
    for index, window in enumerate(windows):
        sums = window.latency.phase_sums_s.sum(axis=1) if window.latency.phases else np.zeros(0)
        entries += [(index, name, seconds) for name, seconds in zip(window.latency.phases, sums.tolist(), strict=True)]
        if window.latency.phases:
            entries.append((index, "", float(window.latency.sums_s.sum() - sums.sum())))
    return _long(windows, entries, ("phase", "seconds"), (str, float))


def _features(windows: Sequence[Window], references: References) -> Columns:
    cells = _CellTexts(references)
    places, names, texts, values, rows, shares = ([] for _ in range(6))
    for index, window in enumerate(windows):
        part = window.features
        if part is None or not part.names:
            continue
        feature, column = np.nonzero(part.cells)
        known = cells.of(window, part)
        places.append(np.full(feature.size, index))
        rows.append(part.cells[feature, column].astype(np.int64))
        names.append(_texts(part.names)[feature])
        texts.append(known[0][feature, column])
        values.append(known[1][feature, column])
        shares.append(known[2][feature, column])
    nothing = np.zeros(0, dtype=object)
    columns = _keyed(windows, np.concatenate(places) if places else [])
    for name, held in (("feature", names), ("cell", texts), ("values", values)):
        columns[name] = np.concatenate(held) if held else nothing
    columns["rows"] = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
    columns["reference"] = np.concatenate(shares) if shares else np.zeros(0)
    return columns


class _CellTexts:
    """Names, values and reference shares of the cells of a grid, made once for each."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._known: dict[tuple[str, int], tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]] = {}

    def of(self, window: Window, part: FeatureCounts) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
        """Return name, values and reference share of each cell, shape (features, columns)."""
        key = (f"{window.key.model}\0{part.grid}", part.cells.shape[1])
        if key not in self._known:
            self._known[key] = self._made(window.key.model, part)
        return self._known[key]

    def _made(self, model: str, part: FeatureCounts) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
        reference = next(
            (each for (name, _), each in self._references.items() if name == model and each.grid_id == part.grid), None
        )
        profiles = {} if reference is None else {profile.name: profile for profile in reference.features}
        body = part.cells.shape[1] - 4
        names, values = np.full(part.cells.shape, "", dtype=object), np.full(part.cells.shape, "", dtype=object)
        shares = np.full(part.cells.shape, np.nan)
        for row, feature in enumerate(part.names):
            profile = profiles.get(feature)
            names[row] = cell_names(body, categorical=False)
            if profile is not None and profile.body <= body:
                _describe(profile, names[row], values[row], shares[row])
        return names, values, shares


def _describe(profile: FeatureProfile, names: NDArray[Any], values: NDArray[Any], shares: NDArray[np.float64]) -> None:
    """Fill in the cells of one feature, in the columns of a table whose last four are the special ones."""
    is_categorical = profile.kind == "categorical"
    special = (-2, -1) if is_categorical else (-4, -3, -2, -1)
    at = [*range(profile.body), *(len(names) + place for place in special)]
    for column, name, share in zip(at, cell_names(profile.body, categorical=is_categorical), profile.p0, strict=True):
        names[column], shares[column] = name, share
    if is_categorical:
        values[: profile.body] = profile.categories
        return
    lows = (profile.low, *profile.bounds)
    for column, bound in enumerate(profile.bounds):
        values[column] = f"{'(' if column else '['}{lows[column]:.6g}, {bound:.6g}]"
    if profile.bounds:
        values[-4], values[-3] = f"< {profile.low:.6g}", f"> {profile.bounds[-1]:.6g}"


def _answers(windows: Sequence[Window], _: References) -> Columns:
    entries = []
    for index, window in enumerate(windows):
        output = window.output
        entries += [
            (index, name, rows) for name, rows in zip(output.classes, output.class_counts.tolist(), strict=True) if rows
        ]
        edges = [f"{edge:.6g}" for edge in output.value_edges.tolist()]
        bins = [f"({low}, {high}]" for low, high in zip(["-inf", *edges], [*edges, "inf"], strict=True)]
        if edges:
            entries += [
                (index, name, rows) for name, rows in zip(bins, output.value_counts.tolist(), strict=True) if rows
            ]
    return _long(windows, entries, ("class", "rows"), (str, int))


def _outcomes(windows: Sequence[Window], _: References) -> Columns:
    entries = []
    for index, window in enumerate(windows):
        if window.labels is None:
            continue
        net = dict(window.labels.outcomes)
        for key, count in window.labels.retractions.items():
            net[key] = net.get(key, 0) - count
        entries += [(index, result, lag, rows) for (result, lag), rows in sorted(net.items()) if rows]
    return _long(windows, entries, ("result", "lag", "rows"), (str, str, int))


def _labels(windows: Sequence[Window], _: References) -> Columns:
    entries = [
        (index, name, rows)
        for index, window in enumerate(windows)
        if window.labels is not None
        for name, rows in zip(window.labels.classes, window.labels.class_counts.tolist(), strict=True)
        if rows
    ]
    return _long(windows, entries, ("label", "rows"), (str, int))


TABLES: Mapping[str, Callable[[Sequence[Window], References], Columns]] = {
    "traffic": _traffic,
    "errors": _errors,
    "latency": _latency,
    "phases": _phases,
    "features": _features,
    "answers": _answers,
    "outcomes": _outcomes,
    "labels": _labels,
}
