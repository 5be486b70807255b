"""Rows that a benchmark calls a model with: as its signature takes them, or refused with what to pass."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic
import pytest
from sklearn.linear_model import LogisticRegression

import radiosonde as rs
from radiosonde.bench.rows import Call, calls, read
from radiosonde.bench.target import Target
from radiosonde.errors import ConfigurationError

ROWS = [{"wind": 1.0, "carrier": "UA"}, {"wind": 2.0, "carrier": "AA"}, {"wind": 3.0, "carrier": "DL"}]


@dataclasses.dataclass
class Flight:
    """A row as a dataclass."""

    wind: float
    carrier: str


class Model(pydantic.BaseModel):
    """A row as a pydantic model."""

    wind: float
    carrier: Literal["UA", "AA", "DL"]


class Plan(enum.Enum):
    """A feature of a few values."""

    FREE = "free"


def target(function, **options):
    """Return a target whose function is never called."""
    return Target(function, function, "m", options.get("reference"), options.get("owner"))


@pytest.mark.parametrize("name", ["rows.parquet", "rows.json", "rows.jsonl", "rows.csv"])
def test_rows_are_read_from_files(tmp_path, name):
    """As pandas wrote them."""
    path, frame = tmp_path / name, pd.DataFrame(ROWS)
    {
        "rows.parquet": lambda: frame.to_parquet(path),
        "rows.json": lambda: frame.to_json(path, orient="records"),
        "rows.jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "rows.csv": lambda: frame.to_csv(path, index=False),
    }[name]()
    assert read(path) == ROWS


@pytest.mark.parametrize(
    ("name", "text"), [("gone.json", None), ("a.json", "{"), ("a.json", "[]"), ("a.parquet", "x"), ("a.csv", "a\n")]
)
def test_a_file_without_rows_is_refused(tmp_path, name, text):
    """For any mistake, the message says what to pass."""
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=r"give Parquet, JSON, JSON lines or CSV|holds no rows"):
        read(tmp_path / name)


def two(wind, carrier):
    """Take features by name."""


def some(row: dict[str, Any]):
    """Take a dict."""


def untyped(row):
    """Say nothing."""


def record(row: Flight):
    """Take a dataclass."""


def model(row: Model):
    """Take a pydantic model."""


def listed(row: list[float]):
    """Take a list."""


def framed(row: pd.DataFrame):
    """Take a frame of pandas."""


def polar(row: pl.DataFrame):
    """Take a frame of polars."""


def array(row: np.ndarray):
    """Take an array."""


@pytest.mark.parametrize(
    ("function", "call"),
    [
        (two, Call((), ROWS[0])), (some, Call((ROWS[0],), {})), (untyped, Call((ROWS[0],), {})),
        (record, Call((Flight(1.0, "UA"),), {})), (model, Call((Model(wind=1.0, carrier="UA"),), {})),
        (listed, Call(([1.0, "UA"],), {})),
    ],
)  # fmt: skip
def test_a_row_becomes_what_the_signature_asks_for(function, call):
    """Keyword arguments, a dict, a list, a dataclass, a pydantic model."""
    given = calls(target(function), ROWS, "auto", 1)
    assert len(given) == 3
    assert given[0] == call


@pytest.mark.parametrize(("function", "kind"), [(framed, pd.DataFrame), (polar, pl.DataFrame)])
def test_frames_are_made_of_rows(function, kind):
    """A frame of one row, or of as many as a batch has."""
    for batch, shape in ((1, (1, 2)), (2, (2, 2))):
        ((frame,), _) = calls(target(function), ROWS, "auto", batch)[0]
        assert isinstance(frame, kind)
        assert frame.shape == shape


def test_arrays_have_two_dimensions():
    """Whatever a row is."""
    for rows in ([[1, 2], [3, 4]], [{"a": 1, "b": 2}, {"a": 3, "b": 4}]):
        assert [call.args[0].tolist() for call in calls(target(array), rows, "auto", 1)] == [[[1.0, 2.0]], [[3.0, 4.0]]]
    assert calls(target(untyped), [[1, 2]], "array", 3)[0].args[0].shape == (3, 2)


def test_arguments_can_be_given_whole():
    """A row of args and kwargs is passed as it is."""
    assert calls(target(untyped), [{"args": [1], "kwargs": {"b": 2}}], "auto", 1) == [Call((1,), {"b": 2})]


def typed(
    *, a: float, b: int, c: bool, d: str | None, e: Literal["x"], f: Plan, g: Annotated[float, "m/s"], h: Flight, i=3
):
    """Say everything."""


def test_rows_are_made_up_from_a_signature():
    """Of the types that its parameters have; defaults are left alone."""
    kinds = {"a": float, "b": int, "c": bool, "d": str, "e": str, "f": Plan, "g": float, "h": Flight}
    for call in calls(target(typed), None, "auto", 1)[:20]:
        assert {name: type(value) for name, value in call.kwargs.items()} == kinds
    assert isinstance(calls(target(model), None, "auto", 1)[0].args[0], Model)
    assert calls(target(lambda: 1), None, "auto", 1) == [Call((), {})]


def test_rows_are_made_up_from_a_reference():
    """Within the bounds that it knows, of the categories that it has."""
    frame = pd.DataFrame({"wind": np.linspace(5, 9, 100), "carrier": ["UA", "AA"] * 50})
    reference = rs.Reference.fit(frame)
    rows = [call.args[0] for call in calls(target(untyped, reference=reference), None, "auto", 1)]
    assert all(5 <= row["wind"] <= 9 for row in rows)
    assert {row["carrier"] for row in rows} == {"UA", "AA"}


def test_rows_are_made_up_for_an_estimator():
    """An array, or a frame where it was fitted on one."""
    values = np.random.default_rng(1).normal(size=(20, 3))
    for data in (values, pd.DataFrame(values, columns=["a", "b", "c"])):
        estimator = LogisticRegression().fit(data, values[:, 0] > 0)
        ((row,), _) = calls(target(estimator.predict_proba, owner=estimator), None, "auto", 1)[0]
        assert estimator.predict_proba(row).shape == (1, 2)
        assert isinstance(row, type(data))


@pytest.mark.parametrize("function", [untyped, some, array, lambda a, b: 1])
def test_what_nobody_says_is_not_guessed(function):
    """The message says what to pass."""
    with pytest.raises(ConfigurationError, match=r"--input rows.parquet .*--reference"):
        calls(target(function), None, "auto", 1)


def test_rows_of_parquet_are_bounded(tmp_path):
    """A thousand are enough to take in turns."""
    pq.write_table(pa.table({"a": list(range(5000))}), tmp_path / "a.parquet")
    assert len(read(tmp_path / "a.parquet")) == 1000
    (tmp_path / "a.json").write_text(json.dumps(list(range(5000))))
    assert len(read(tmp_path / "a.json")) == 1000
