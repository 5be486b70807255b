"""Simulated features, hour by hour, as cells on the grid of a reference of ten equal parts, with changes planted into them."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from radiosonde.diagnose.feature_panel import FeaturePanel
from radiosonde.diagnose.panel import Axis
from radiosonde.model import NULL, SPECIAL_CELLS
from radiosonde.reference.profile import FeatureProfile

HOUR_NS, BODY, ROWS = 3_600_000_000_000, 10, 400
_NORMAL = NormalDist()
_EDGES = [_NORMAL.inv_cdf(part / BODY) for part in range(1, BODY)]


def feature_panel(rng: np.random.Generator, *, days: int = 20, features: int = 3) -> FeaturePanel:
    """Return a panel of normal features whose level wanders a little by the hour; one in a hundred values is missing."""
    size = 24 * days
    levels = rng.normal(0, 0.05, (size, features))
    cells = np.zeros((1, size, features, BODY + len(SPECIAL_CELLS)))
    for feature in range(features):
        for step in range(size):
            cells[0, step, feature, :BODY] = rng.multinomial(ROWS, _shares(levels[step, feature]))
    lost = rng.binomial(cells[..., :BODY].astype(int), 0.01)
    cells[..., :BODY] -= lost
    cells[..., NULL] = lost.sum(axis=-1)
    names = tuple(f"x{number}" for number in range(features))
    profiles = tuple(_profile(name) for name in names)
    return FeaturePanel("m", Axis(0, HOUR_NS, size), names, profiles, 50_000, False, ("v1",), cells, {}, 0)


def with_missing(rng: np.random.Generator, panel: FeaturePanel, feature: int, share: float, hours: int) -> FeaturePanel:
    """Return *panel* where *share* more of the values of *feature* are missing in the last *hours*."""
    cells = panel.cells.copy()
    body = cells[0, -hours:, feature, :BODY]
    lost = rng.binomial(body.astype(int), min(share / 0.99, 1.0))
    cells[0, -hours:, feature, :BODY] -= lost
    cells[0, -hours:, feature, NULL] += lost.sum(axis=-1)
    return replace(panel, cells=cells)


def shifted(rng: np.random.Generator, panel: FeaturePanel, level_sd: float, hours: int) -> FeaturePanel:
    """Return *panel* with new rows in the last *hours*, all features *level_sd* reference standard deviations higher."""
    cells = panel.cells.copy()
    for feature in range(len(panel.names)):
        for step in range(panel.axis.size - hours, panel.axis.size):
            rows = int(cells[0, step, feature, :BODY].sum())
            cells[0, step, feature, :BODY] = rng.multinomial(rows, _shares(level_sd + rng.normal(0, 0.05)))
    return replace(panel, cells=cells)


def _shares(level_sd: float) -> NDArray[np.float64]:
    return np.diff([0.0, *(_NORMAL.cdf(edge - level_sd) for edge in _EDGES), 1.0])


def _profile(name: str) -> FeatureProfile:
    """Return a reference of ten equal parts of a normal variable."""
    counts = (*[5000] * BODY, 0, 0, 500, 0)
    p0 = np.array(counts) + 0.5
    return FeatureProfile(name, "numeric", -6.0, (*_EDGES, 6.0), (), counts, tuple((p0 / p0.sum()).tolist()))
