"""The cells and quantiles of all features of a model over time, in bounded memory: the input of a feature's page.

The cells of the heat map are kept by version and by cohort, in fewer steps, packed: at most `TABLE_BYTES` for each level before they are packed, a
third of it afterwards. A page unpacks what it shows. The busiest versions and cohorts have lines of their own, the others share one.

Quantiles come from the KLL sketches of the finest level alone: a month of minutes holds a million sketches, which no page needs. Cells
hold for any time.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.desk.heat import cells_over_time
from radiosonde.diagnose.feature_panel import make_feature_panels
from radiosonde.diagnose.panel import Axis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.feature_panel import FeaturePanel
    from radiosonde.model import Window
    from radiosonde.reference.profile import FeatureProfile, Reference

TABLE_BYTES = 400_000
LEAST_STEPS = 8
MOST_LINES = 6
"""Versions or cohorts of a table; the last line holds all others, if there are any."""
QUANTILE_STEPS, MOST_SKETCHED = 60, 2000
RANKS = (("p5", 0.05), ("p25", 0.25), ("median", 0.5), ("p75", 0.75), ("p95", 0.95))
OTHERS = "others"


@dataclass(frozen=True, slots=True, eq=False)  # its arrays are packed
class FeatureTables:
    """Rows by line (version or cohort), step, feature and cell.

    Attributes:
        axis: the steps.
        lines: the lines, the busiest first.
        names: names of the features.
        profiles: reference of each feature; None without one.
        reference_rows: rows of the reference; 0 without one.
        provisional: the reference is made from the first rows seen.
        cells: number of cells of a feature.
        packed: the table, see `of`.
    """

    axis: Axis
    lines: tuple[str, ...]
    names: tuple[str, ...]
    profiles: tuple[FeatureProfile | None, ...]
    reference_rows: int
    provisional: bool
    cells: int
    packed: bytes

    def of(self, feature: int) -> NDArray[np.float64]:
        """Return the rows of a feature, shape (lines, steps, cells)."""
        table = np.frombuffer(zlib.decompress(self.packed), np.float32)
        shape = (len(self.lines), self.axis.size, len(self.names), self.cells)
        return table.reshape(shape)[:, :, feature].astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)  # holds arrays
class FeatureQuantiles:
    """Quantiles of features over time.

    Attributes:
        axis: the steps.
        values: shape (`RANKS`, steps) by feature; NaN where nothing was kept.
    """

    axis: Axis
    values: Mapping[str, NDArray[np.float32]]


def tables_by_version(panel: FeaturePanel) -> FeatureTables:
    """Return the cells of *panel* by version."""
    order = np.argsort(-panel.cells[:, :, 0].sum(axis=(1, 2)), kind="stable").tolist()
    kept = order if len(order) <= MOST_LINES else order[: MOST_LINES - 1]
    tables = [panel.cells[line] for line in kept]
    names = [panel.versions[line] or "(no version)" for line in kept]
    if len(kept) < len(order):
        tables.append(panel.cells[order[len(kept) :]].sum(axis=0))
        names.append(OTHERS)
    return _packed(panel, names, np.stack(tables))


def tables_by_cohort(
    windows: Sequence[Window], panel: FeaturePanel, references: Mapping[tuple[str, str], Reference]
) -> FeatureTables | None:
    """Return the cells of *windows* by cohort, over the time of *panel* and for its features; None with fewer than two cohorts."""
    mine = [each for each in windows if each.features is not None and each.features.names == panel.names]
    rows: dict[str, int] = {}
    for window in mine:
        rows[window.key.cohort] = rows.get(window.key.cohort, 0) + window.rows
    order = sorted(rows, key=lambda cohort: (-rows[cohort], cohort))
    if len(order) < 2:
        return None
    kept = order if len(order) <= MOST_LINES else order[: MOST_LINES - 1]
    line_of = {cohort: str(index) for index, cohort in enumerate(kept)}
    # As versions, so that the cells are added up as everywhere else; the references are those of the panel.
    renamed = [
        replace(each, key=each.key._replace(version=line_of.get(each.key.cohort, str(len(kept))))) for each in mine
    ]
    made = cells_over_time(renamed, panel.axis, references)
    if made is None or made.cells.shape[2:] != panel.cells.shape[2:]:
        return None
    names = [(kept[int(line)] or "(no cohort)") if int(line) < len(kept) else OTHERS for line in made.versions]
    return _packed(replace(panel, axis=made.axis), names, made.cells)


def _packed(panel: FeaturePanel, lines: Sequence[str], cells: NDArray[np.float64]) -> FeatureTables:
    """Return *cells* in as many steps as `TABLE_BYTES` hold."""
    axis, step_bytes = panel.axis, max(cells[:, 0].size * 4, 1)
    steps = max(TABLE_BYTES // step_bytes, LEAST_STEPS)
    every = -(-axis.size // steps)
    size = -(-axis.size // every)
    padded = np.zeros((len(cells), size * every, *cells.shape[2:]))
    padded[:, : axis.size] = cells
    summed = padded.reshape(len(cells), size, every, *cells.shape[2:]).sum(axis=2).astype(np.float32)
    return FeatureTables(
        Axis(axis.start_ns, axis.step_ns * every, size), tuple(lines), panel.names, panel.profiles, panel.reference_rows,
        panel.provisional, cells.shape[3], zlib.compress(summed.tobytes(), 1),
    )  # fmt: skip


def make_quantiles(
    windows: Sequence[Window], axis: Axis, references: Mapping[tuple[str, str], Reference]
) -> FeatureQuantiles | None:
    """Return the quantiles of the newest windows that hold sketches, in at most `QUANTILE_STEPS` steps of *axis*."""
    sketched = [
        each for each in windows if each.end_ns > axis.start_ns and each.features is not None and each.features.sketches
    ]
    sketched = sorted(sketched, key=lambda each: each.start_ns)[-MOST_SKETCHED:]
    if not sketched:
        return None
    every = -(-axis.size // QUANTILE_STEPS)
    coarse = Axis(axis.start_ns, axis.step_ns * every, -(-axis.size // every))
    panels = make_feature_panels(sketched, references, coarse)
    if not panels:
        return None
    ranks = np.array([rank for _, rank in RANKS])
    made = {}
    for name, held in panels[0].retained.items():
        table = np.full((len(RANKS), coarse.size), np.nan, dtype=np.float32)
        for step in np.unique(held.steps).tolist():
            chosen = (held.steps == step) & np.isfinite(held.values)
            if chosen.any():
                table[:, step] = _weighted_quantiles(held.values[chosen], held.rows[chosen], ranks)
        made[name] = table
    return FeatureQuantiles(coarse, made) if made else None


def _weighted_quantiles(
    values: NDArray[np.float64], rows: NDArray[np.float64], ranks: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the smallest values of which at least the share *ranks* of the rows are no larger."""
    order = np.argsort(values, kind="stable")
    summed = np.cumsum(rows[order])
    at = np.searchsorted(summed, ranks * summed[-1], side="left")
    return np.asarray(values[order][np.minimum(at, values.size - 1)])
