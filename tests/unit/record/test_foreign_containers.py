"""Containers of libraries that are not installed everywhere: read like the same matrix in numpy, or refused with a named loss.

`make test-matrix M=containers` runs these with the libraries; elsewhere those that are missing are skipped.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

import radiosonde
from radiosonde.model import losses
from radiosonde.testing import fly

MATRIX = np.array([[5.0, 0.0], [0.0, 50.0], [500.0, 3.0], [8.0, 1.0]])
FRAME = pd.DataFrame(MATRIX, columns=["f0", "f1"])
SQL = " union all ".join(f"select {a} as f0, {b} as f1" for a, b in MATRIX)
REFERENCE = radiosonde.Reference.fit({"f0": np.arange(100.0), "f1": np.arange(100.0)}, model="m")

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own


def rows_of_sqlalchemy(library):
    """Return the rows of a query."""
    with library.create_engine("sqlite://").connect() as connection:
        return connection.execute(library.text(SQL)).all()


READ = {
    **{f"torch {kind}": ("torch", lambda torch, kind=kind: torch.tensor(MATRIX).to(getattr(torch, kind)))
       for kind in ("float64", "float32", "float16", "bfloat16", "int32", "int64")},
    "torch with a gradient": ("torch", lambda torch: torch.tensor(MATRIX, requires_grad=True)),
    "torch parameter": ("torch", lambda torch: torch.nn.Parameter(torch.tensor(MATRIX))),
    "torch rows": ("torch", lambda torch: [torch.tensor(row) for row in MATRIX]),
    "torch columns": ("torch", lambda torch: {"f0": torch.tensor(MATRIX[:, 0]), "f1": torch.tensor(MATRIX[:, 1:])}),
    **{f"jax {kind}": ("jax.numpy", lambda jnp, kind=kind: jnp.array(MATRIX, dtype=kind))
       for kind in ("float32", "bfloat16", "float16", "int32")},
    "jax rows": ("jax.numpy", lambda jnp: [jnp.array(row) for row in MATRIX]),
    "XGBoost": ("xgboost", lambda xgboost: xgboost.DMatrix(MATRIX, feature_names=["f0", "f1"])),
    "narwhals over pandas": ("narwhals", lambda narwhals: narwhals.from_native(FRAME)),
    "narwhals over polars": ("narwhals", lambda narwhals: narwhals.from_native(pl.DataFrame(FRAME))),
    "xarray": ("xarray", lambda xarray: xarray.Dataset({name: ("row", FRAME[name].to_numpy()) for name in FRAME})),
    "SQLAlchemy": ("sqlalchemy", rows_of_sqlalchemy),
}  # fmt: skip

REFUSED = {
    "dask frame": ("dask.dataframe", lambda dask: dask.from_pandas(FRAME, npartitions=2)),
    "dask column": ("dask.dataframe", lambda dask: dask.from_pandas(FRAME, npartitions=2)["f0"]),
    "dask array": ("dask.array", lambda dask: dask.from_array(MATRIX)),
    "DuckDB": ("duckdb", lambda duckdb: duckdb.sql(SQL)),
    "narwhals over a query": ("narwhals", lambda narwhals: narwhals.from_native(pl.LazyFrame(FRAME))),
    "torch sparse": ("torch", lambda torch: torch.tensor(MATRIX).to_sparse()),
    "torch without data": ("torch", lambda torch: torch.empty(4, 2, device="meta")),
    "XGBoost quantised": ("xgboost", lambda xgboost: xgboost.QuantileDMatrix(MATRIX)),
}  # fmt: skip


def counted(value):
    """Return rows, cells and losses of one call."""
    with fly() as rs:
        rs.observe("m", reference=REFERENCE)(lambda _: ["a"] * 4)(value)
        (window,) = rs.windows()
        return window.rows, None if window.features is None else window.features.cells.tolist(), rs.losses()


@pytest.mark.parametrize(("library", "make"), READ.values(), ids=READ.keys())
def test_what_holds_numbers_has_the_cells_of_the_matrix(library, make):
    """For any type, on the CPU, with a gradient or without."""
    assert counted(make(pytest.importorskip(library))) == (4, counted(MATRIX)[1], {})


@pytest.mark.parametrize(("library", "make"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_a_query_or_holds_no_values_is_a_named_loss(library, make, caplog):
    """Nothing is computed; the rows are those of the answers, and the message says what to pass instead."""
    value = make(pytest.importorskip(library))
    assert counted(value) == (4, None, {losses.FEATURES_UNREADABLE: 4})
    assert any("observe(..., input=" in message for message in caplog.messages)


ANSWERS = {
    **{f"torch {kind}": ("torch", lambda torch, kind=kind: torch.tensor(SHARES).to(getattr(torch, kind)))
       for kind in ("float32", "float16", "bfloat16", "float8_e5m2")},
    **{f"jax {kind}": ("jax.numpy", lambda jnp, kind=kind: jnp.array(SHARES, dtype=kind)) for kind in ("float32", "bfloat16")},
    "torch rows": ("torch", lambda torch: list(torch.tensor(SHARES, requires_grad=True))),
    "torch under its name": ("torch", lambda torch: {"probabilities": torch.tensor(SHARES)}),
}  # fmt: skip
SHARES = [[0.125, 0.875], [0.75, 0.25], [0.5, 0.5], [0.25, 0.75]]


@pytest.mark.parametrize(("library", "make"), ANSWERS.values(), ids=ANSWERS.keys())
def test_probabilities_of_any_precision_are_read_as_numpy_reads_them(library, make):
    """The class of the largest and its probability."""
    answer = make(pytest.importorskip(library))
    with fly() as rs:
        rs.observe("m")(lambda _: answer)(MATRIX)
        (window,) = rs.windows()
        assert rs.losses() == {}
    assert window.output.class_counts.tolist() == np.bincount(np.argmax(SHARES, axis=1)).tolist()
    assert window.output.confidence_sums.sum() == np.max(SHARES, axis=1).sum()
