"""Feature cells and retained values over event time, per grid: the input of the data checks.

Cells add only within one grid, so windows counted on different grids (a redeployed reference) make separate panels.
Retained values are those of the KLL sketches: up to 200 values per window they are the values themselves, beyond that a weighted sample.
Features marked ``pii`` have none, and the checks that need values report a gap.

Under load rows are sampled and weighted, so the cells of a window sum to an estimate of all rows. As numbers of independent rows, which
every test assumes, they would overstate the evidence by that weight; they are therefore multiplied by `FeatureCounts.evidence_ratio` first.
Shares do not change.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.spreading import add_spread, chunks
from radiosonde.errors import MergeError
from radiosonde.model import NULL, SPECIAL_CELLS, UNSEEN
from radiosonde.sketches.kll import retained, retained_of_many

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.panel import Axis
    from radiosonde.model import FeatureCounts, Window
    from radiosonde.reference.profile import FeatureProfile, Reference

KLL_KIND = "kll_double"


@dataclass(frozen=True, slots=True)
class Retained:
    """Distinct (step, version, value) of one feature with their weights, ordered by step."""

    steps: NDArray[np.int64]
    versions: NDArray[np.int64]
    values: NDArray[np.float64]
    rows: NDArray[np.float64]

    def only(self, version: int) -> Retained:
        """Return the part of one version."""
        return self._where(self.versions == version)

    def until(self, step: int, number: NDArray[np.int64]) -> Retained:
        """Return the part before *step*; *number* is the new index of each version, -1 for one that is left out."""
        early = self._where((self.steps < step) & (number[self.versions] >= 0))
        return replace(early, versions=number[early.versions])

    def _where(self, keep: NDArray[np.bool_]) -> Retained:
        return Retained(self.steps[keep], self.versions[keep], self.values[keep], self.rows[keep])


@dataclass(frozen=True, slots=True)
class FeaturePanel:
    """All feature counts of one model on one grid.

    Attributes:
        model: model name.
        axis: event time.
        names: features, in the order of the cells.
        profiles: reference of each feature; None without one.
        reference_rows: rows of the reference; 0 without one.
        provisional: the grid was made from the first rows seen.
        versions: version names, the first axis of *cells*.
        cells: rows as evidence (fewer than came, where rows were sampled), shape (versions, steps, features, body + 4).
        retained: values by feature name; absent for categorical and pii features.
        unreadable_sketches: sketches that could not be read and were left out.
    """

    model: str
    axis: Axis
    names: tuple[str, ...]
    profiles: tuple[FeatureProfile | None, ...]
    reference_rows: int
    provisional: bool
    versions: tuple[str, ...]
    cells: NDArray[np.float64]
    retained: Mapping[str, Retained]
    unreadable_sketches: int

    @property
    def pooled(self) -> NDArray[np.float64]:
        """The cells of all versions together, shape (steps, features, body + 4); of one version they are no copy. Not to be written to."""
        return self.cells[0] if len(self.cells) == 1 else np.asarray(self.cells.sum(axis=0), dtype=np.float64)

    def until(self, axis: Axis) -> FeaturePanel:
        """Return the panel over the first steps of its axis, which *axis* holds, with the versions that were there then."""
        cells = self.cells[:, : axis.size]
        held = np.flatnonzero(cells.any(axis=(1, 2, 3)))
        number = np.full(len(self.versions), -1)
        number[held] = np.arange(held.size)
        retained = {name: each.until(axis.size, number) for name, each in self.retained.items()}
        return replace(
            self,
            axis=axis,
            versions=tuple(self.versions[index] for index in held),
            cells=cells[held],
            retained={name: each for name, each in retained.items() if each.steps.size},
        )

    def is_categorical(self, feature: int) -> bool:
        """Return whether *feature* is categorical in the reference."""
        profile = self.profiles[feature]
        return profile is not None and profile.kind == "categorical"

    def cell_table(self, feature: int, rows: NDArray[np.float64]) -> tuple[list[str], list[float]]:
        """Return readable cell names and the shares of one feature from its summed cell row."""
        return cell_table(self.profiles[feature], rows)


def cell_table(profile: FeatureProfile | None, rows: NDArray[np.float64]) -> tuple[list[str], list[float]]:
    """Return readable cell names and shares of a feature from its summed cell row, in the order of the shares of *profile*."""
    body = profile.body if profile is not None else rows.size - len(SPECIAL_CELLS)
    shares = (rows / max(rows.sum(), 1)).tolist()
    if profile is None:
        names = [f"{index:02d}" for index in range(body)]
    elif profile.kind == "categorical":
        return [*profile.categories, "missing", "unseen"], [*shares[:body], shares[NULL], shares[UNSEEN]]
    else:
        names = [f"\u2264 {bound:.4g}" for bound in profile.bounds]
    return [*names, "below", "above", "missing", "unseen"], [*shares[:body], *shares[-len(SPECIAL_CELLS) :]]


def make_feature_panels(
    windows: Sequence[Window], references: Mapping[tuple[str, str], Reference], axis: Axis
) -> list[FeaturePanel]:
    """Return one panel per grid among *windows* (all of one model), the most used first."""
    by_grid: dict[str, list[Window]] = {}
    for window in windows:
        if window.features is not None and window.features.names:
            by_grid.setdefault(window.features.grid, []).append(window)
    groups = sorted(by_grid.values(), key=lambda group: -sum(window.rows for window in group))
    return [_make(group, references, axis) for group in groups]


def _make(windows: Sequence[Window], references: Mapping[tuple[str, str], Reference], axis: Axis) -> FeaturePanel:
    first = windows[0].features
    assert first is not None  # noqa: S101 -- narrowing; the caller only passes windows that have features
    versions = tuple(sorted({window.key.version for window in windows}))
    cells = np.zeros((len(versions), axis.size, *first.cells.shape), dtype=np.float64)
    parts: dict[str, list[tuple[int, int, bytes]]] = {}
    counted = [
        (window, part) for window in windows if (part := window.features) is not None and part.names == first.names
    ]
    number = {version: index for index, version in enumerate(versions)}
    lines = np.fromiter((number[window.key.version] for window, _ in counted), np.int64, len(counted))
    spans = axis.spans([window for window, _ in counted])
    for chosen in chunks(len(counted), first.cells.size):
        tables = np.stack([part.cells for _, part in counted[chosen]])
        add_spread(cells, lines[chosen], spans.of(chosen), _as_evidence(tables, [part for _, part in counted[chosen]]))
    for (_, part), version, step in zip(counted, lines.tolist(), spans.first.tolist(), strict=True):
        for (name, kind), body in part.sketches.items():
            if kind == KLL_KIND:
                parts.setdefault(name, []).append((step, version, body))
    retained, unreadable = {}, 0
    for name, bodies in parts.items():
        held, failed = _retained(bodies)
        unreadable += failed
        if held is not None:
            retained[name] = held
    key = (windows[0].key.model, windows[0].key.version)
    # Versions that share a grid share its reference: any of them will do.
    reference = references.get(key) or next((references[k] for k in references if k[0] == key[0]), None)
    known = {profile.name: profile for profile in reference.features} if reference else {}
    return FeaturePanel(
        key[0], axis, first.names, tuple(known.get(name) for name in first.names), reference.rows if reference else 0,
        first.provisional, versions, cells, retained, unreadable,
    )  # fmt: skip


def _as_evidence(tables: NDArray[np.int64], counts: Sequence[FeatureCounts]) -> NDArray[np.float64]:
    """Return the cells of windows, shape (windows, features, cells), as independent rows (`FeatureCounts.evidence_ratio`)."""
    squares = np.fromiter((each.weight_square_sum for each in counts), np.float64, len(counts))
    estimated = tables[:, 0].sum(axis=1)
    ratios = np.minimum(np.divide(estimated, squares, out=np.ones(len(counts)), where=squares > 0), 1.0)
    return np.asarray(ratios[:, None, None] * tables)


def _retained(bodies: Sequence[tuple[int, int, bytes]]) -> tuple[Retained | None, int]:
    """Return the values of a feature by step and version, and the number of unreadable sketches."""
    places: dict[tuple[int, int], list[tuple[NDArray[np.float64], NDArray[np.int64]]]] = {}
    readable = _readable([body for _, _, body in bodies])
    for members, values, weights in readable:
        for index, found in zip(members, values, strict=True):
            if found.size:
                places.setdefault(bodies[index][:2], []).append((found, weights))
    failed = len(bodies) - sum(len(members) for members, _, _ in readable)
    if not places:
        return None, failed
    held = sorted(places)
    columns = [_distinct(*map(np.concatenate, zip(*places[at], strict=True))) for at in held]
    sizes = [values.size for values, _ in columns]
    steps, versions = (np.repeat(np.array(each, dtype=np.int64), sizes) for each in zip(*held, strict=True))
    return Retained(steps, versions, *map(np.concatenate, zip(*columns, strict=True))), failed


def _readable(bodies: Sequence[bytes]) -> list[tuple[Sequence[int], NDArray[np.float64], NDArray[np.int64]]]:
    """Return the values of sketches as `retained_of_many` does, without those that cannot be read."""
    try:
        return list(retained_of_many(bodies))
    except MergeError:
        found: list[tuple[Sequence[int], NDArray[np.float64], NDArray[np.int64]]] = []
        for index, body in enumerate(bodies):
            with contextlib.suppress(MergeError):
                values, weights = retained(body)
                found.append(([index], values[None], weights))
        return found


def _distinct(values: NDArray[np.float64], rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distinct values in order, with the rows of each."""
    if rows.max() == 1:  # sketches of a minute hold each value itself; sorting them takes a fifth of ordering them
        found, held = np.unique(values, return_counts=True)
        return found, held.astype(np.float64)
    order = np.argsort(values)
    values = values[order]
    at = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    return values[at], np.add.reduceat(rows[order].astype(np.float64), at)
