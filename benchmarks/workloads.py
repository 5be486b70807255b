"""Workloads: seeded, so that a workload is the same today and in a year. Ids are permanent; a changed workload gets a new id.

No clock and no network here; numpy alone, so that `benchmarks.peers` can fly the same rows where Radiosonde is not installed.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    import radiosonde as rs

FEATURES = 30
BURST = 1000
"""Calls between two drains: an eighth of a default ring with 30 features."""

ANSWER = np.array([[0.3, 0.7]])
"""Results of the observed functions: the class probabilities of one row, as from scikit-learn."""

ATTRIBUTES = {"model.name": "delays", "model.version": "2.3.1", "outcome": "ok"}
"""The three attributes of the yardstick, one `Histogram.record`. One dict for all calls, which favours the yardstick."""


@functools.cache
def matrix(rows: int, features: int = FEATURES) -> NDArray[np.float64]:
    """Return `normal-v1`: independent standard normal values, shape (rows, features)."""
    return np.random.default_rng(20130301).standard_normal((rows, features))


def names(features: int = FEATURES) -> list[str]:
    """Return the feature names of `normal-v1`."""
    return [f"f{position}" for position in range(features)]


@functools.cache
def arrays(count: int = BURST, features: int = FEATURES) -> list[NDArray[np.float64]]:
    """Return the rows of `normal-v1` as matrices of one row."""
    return [row.reshape(1, -1) for row in matrix(count, features)]


@functools.cache
def dicts(count: int = BURST) -> list[dict[str, float]]:
    """Return the rows of `normal-v1` as dicts of floats by feature name."""
    return [dict(zip(names(), row.tolist(), strict=True)) for row in matrix(count)]


@functools.cache
def reference(features: int = FEATURES) -> rs.Reference:
    """Return the reference profile of `normal-v1`, fitted on 20 000 rows."""
    import radiosonde as rs

    columns = dict(zip(names(features), matrix(20_000, features).T, strict=True))
    label = np.where(columns["f0"] > 0, "late", "on time")
    return rs.Reference.fit({**columns, "label": label}, target="label", model="delays")


def model() -> Callable[[Any], Any]:
    """Return a model that costs nothing: a new function at each call, because observing marks no function twice."""

    def predict(features: Any) -> Any:  # noqa: ARG001 - answers the same to everything
        return ANSWER

    return predict
