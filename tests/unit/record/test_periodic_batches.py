"""Batches too large for all of their rows: those kept represent an order of any period, and rows that are lost are in no cell."""

from __future__ import annotations

import array
import collections
import dataclasses

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse

from radiosonde.model import losses
from radiosonde.model.cells import NULL
from radiosonde.testing import fly

ROWS = 24_000


@dataclasses.dataclass
class Flight:
    """A row."""

    a: float


CONTAINERS = {
    "numpy": lambda values: values.reshape(-1, 1),
    "numpy, structured": lambda values: values.view([("a", "f8")]),
    "numpy, masked": lambda values: np.ma.masked_array(values.reshape(-1, 1)),
    "pandas": lambda values: pd.DataFrame({"a": values}),
    "pandas, nullable": lambda values: pd.DataFrame({"a": pd.array(values, dtype="Float64")}),
    "pandas, categories": lambda values: pd.DataFrame({"a": pd.Categorical(values)}),
    "pandas, from an odd index": lambda values: pd.DataFrame({"a": values}, index=range(ROWS, 0, -1)),
    "polars": lambda values: pl.DataFrame({"a": values}),
    "arrow": lambda values: pa.table({"a": values}),
    "arrow, in chunks": lambda values: pa.table({"a": pa.chunked_array([values[:999], values[999:]])}),
    "sparse": lambda values: scipy.sparse.csr_matrix(values.reshape(-1, 1)),
    "sparse, by column": lambda values: scipy.sparse.csc_matrix(values.reshape(-1, 1)),
    "columns of a list": lambda values: {"a": values.tolist()},
    "columns of a buffer": lambda values: {"a": array.array("d", values)},
    "lists": lambda values: values.reshape(-1, 1).tolist(),
    "tuples": lambda values: tuple(zip(values.tolist(), strict=True)),
    "dicts": lambda values: [{"a": value} for value in values.tolist()],
    "a deque of dicts": lambda values: collections.deque({"a": value} for value in values.tolist()),
    "rows by key": lambda values: {f"k{place}": {"a": value} for place, value in enumerate(values.tolist())}.values(),
    "pairs": lambda values: [(place, {"a": value}) for place, value in enumerate(values.tolist())],
    "dataclasses": lambda values: [Flight(value) for value in values.tolist()],
    "a series of dicts": lambda values: pd.Series(
        [{"a": value} for value in values.tolist()], index=range(ROWS, 0, -1)
    ),
}


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS.keys())
@pytest.mark.parametrize("period", [2, 6, 18, 36])
def test_kept_rows_represent_a_batch_of_any_period(make, period):
    """Groups that alternate are kept in equal shares by one batch, also where the period divides the step (five standard errors)."""
    values = np.where(np.arange(ROWS) % period < period // 2, 1.0, 2.0)
    with fly(ring_bytes=65_536) as rs:
        rs.observe("m", features=["a"])(lambda rows: None)(make(values))
        rows = sum(window.rows for window in rs.windows())
        (features,) = [window.features for window in rs.windows() if window.features is not None]
        cells = features.cells[0]
        kept = features.counted_rows
        share = cells[cells > 0] / cells.sum()
        assert (rows, rs.losses(), len(share)) == (ROWS, {}, 2)
        assert kept < ROWS / 12
        assert abs(share[0] - 0.5) <= 5 * 0.5 / kept**0.5


class _Raises:
    """A row that raises when it is read."""

    def keys(self):
        raise RuntimeError("gone")

    def __getitem__(self, name):
        raise RuntimeError("gone")


UNREADABLE = {
    "of another width": ([3.0], losses.FEATURES_WIDTH, [1.0, 2.0]),
    "of a number": (7, losses.FEATURES_UNREADABLE, [1.0, 2.0]),
    "that is missing": (None, losses.FEATURES_UNREADABLE, [1.0, 2.0]),
    "that raises": (_Raises(), losses.FEATURES_UNREADABLE, {"a": 1.0, "b": 2.0}),
}


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("place", [1, 17, 39])
@pytest.mark.parametrize("rows", [40, 40_000])
def test_an_unreadable_row_is_a_loss_and_no_missing_value(name, place, rows):
    """Of a batch each row is in a cell or in a loss, once, thinned or whole; all answers count."""
    odd, loss, row = UNREADABLE[name]
    batch = [row] * rows
    batch[place::40] = [odd] * len(batch[place::40])
    with fly(ring_bytes=1 << 16 if rows > 40 else 1 << 20) as rs:
        predict = rs.observe("m", features=["a", "b"])(lambda given: ["yes"] * len(given))
        predict(batch)
        windows = rs.windows()
        counted = sum(window.features.cells.sum(axis=1) for window in windows)
        missing = sum(int(window.features.cells[:, NULL].sum()) for window in windows)
        lost = rs.losses()[loss]
        assert sum(int(window.output.class_counts.sum()) for window in windows) == rows
        assert missing == 0
        assert counted[0] == counted[1]
        if rows == 40:
            assert (lost, counted[0]) == (1, 39)
        else:
            assert abs(counted[0] + lost - rows) <= 40
            assert abs(lost - rows / 40) <= 5 * (40 * rows / 40) ** 0.5
