"""Features over time as a heat map: how far the values of each feature are from its reference, and how many are missing.

The distance is the total variation between the shares of the cells and those of the reference, less what chance alone makes of it
on average; 0 is the reference, 1 nothing in common with it. Without a reference, the mean of the time shown takes its place. It is an effect
size for people; findings come from the diagnosis, which weighs evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.feature_panel import make_feature_panels
from radiosonde.diagnose.panel import Axis
from radiosonde.model import NULL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.feature_panel import FeaturePanel
    from radiosonde.model import Window
    from radiosonde.reference.profile import FeatureProfile, Reference

COLUMNS = 120
"""Columns of a heat map; several steps share one."""
LEAST_ROWS = 20
"""Rows of a column below which nothing is shown."""


@dataclass(frozen=True, slots=True, eq=False)  # holds arrays
class HeatMap:
    """Distances of features from their reference.

    Attributes:
        axis: the columns.
        features: names of the features.
        distance: shape (features, columns), 0 to 1; NaN with too few rows.
        missing: share of missing values, same shape.
        has_reference: whether the distance is from a reference that is fitted from training data.
    """

    axis: Axis
    features: tuple[str, ...]
    distance: NDArray[np.float16]
    missing: NDArray[np.float16]
    has_reference: bool


def cells_over_time(
    windows: Sequence[Window], axis: Axis, references: Mapping[tuple[str, str], Reference]
) -> FeaturePanel | None:
    """Return the cells of *windows* in at most `COLUMNS` steps, of the grid with most rows; None without features."""
    every = -(-axis.size // COLUMNS)
    first = axis.start_ns // (axis.step_ns * every) * (axis.step_ns * every)
    size = -(-(axis.at_ns(axis.size) - first) // (axis.step_ns * every))
    coarse = Axis(first, axis.step_ns * every, max(size, 1))
    bare = [
        replace(window, features=replace(window.features, sketches={}))
        for window in windows
        if window.features is not None and window.features.names
    ]
    panels = make_feature_panels(bare, references, coarse)
    return panels[0] if panels else None


def make_heat_map(panel: FeaturePanel) -> HeatMap:
    """Return the heat map of the cells of all versions."""
    cells = panel.pooled
    distance = np.full(cells.shape[1::-1], np.nan, dtype=np.float16)
    missing = distance.copy()
    for feature, profile in enumerate(panel.profiles):
        table = cells[:, feature]
        rows = table.sum(axis=1)
        held = rows >= LEAST_ROWS
        if not held.any():
            continue
        distance[feature, held] = distances(table[held], reference_shares(table, profile))
        missing[feature, held] = table[held, NULL] / rows[held]
    is_fitted = not panel.provisional and panel.reference_rows > 0
    return HeatMap(panel.axis, panel.names, distance, missing, is_fitted)


def distances(table: NDArray[np.float64], base: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance of each line of *table*, counts by cell, from the shares *base*; every line holds rows."""
    rows = table.sum(axis=1)
    apart = np.abs(table / rows[:, None] - base).sum(axis=1) / 2
    chance = np.sqrt(base * (1 - base) * 2 / np.pi).sum() / 2 / np.sqrt(rows)
    return np.asarray(np.maximum(apart - chance, 0.0))


def reference_shares(table: NDArray[np.float64], profile: FeatureProfile | None) -> NDArray[np.float64]:
    """Return the shares that a feature is compared with, in the columns of *table*: those of all its lines without a reference."""
    width = table.shape[1]
    if profile is None or profile.body > width - 4:
        return np.asarray(table.sum(axis=0) / max(table.sum(), 1))
    base = np.zeros(width)
    special = 2 if profile.kind == "categorical" else 4
    base[: profile.body] = profile.p0[: profile.body]
    base[width - special :] = profile.p0[profile.body :]
    return base
