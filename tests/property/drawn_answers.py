"""Answers drawn for `test_table_oracle`, and the objects that carry them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import strategies as st


class Answers(NamedTuple):
    """The answers of a model to a table.

    Attributes:
        task: classification or regression.
        kind: type of the answers: a class, the row of a distribution, a value.
        values: one a row; of distributions the class of the largest.
        classes: how many there are.
        declared: their names, empty if they are learned.
        sure: the confidence of each row, of distributions.
    """

    task: Any
    kind: str
    values: list[Any]
    classes: int
    declared: list[str]
    sure: np.ndarray[Any, Any]


@st.composite
def answers(draw: Any, rows: int, rng: np.random.Generator) -> Answers:
    """Draw as many answers."""
    task = draw(st.sampled_from(["classification", "classification", "regression"]), label="task")
    sure = np.round(rng.uniform(0.6, 0.99, rows), 3)
    if task == "regression":
        return Answers(task, "value", (rng.integers(-1000, 1000, rows) / 8).tolist(), 0, [], sure)
    kind = draw(st.sampled_from(["integer", "text", "truth", "distribution"]), label="answers are")
    classes = 2 if kind == "truth" else draw(st.integers(2, 300), label="classes")
    drawn = rng.integers(0, classes, rows).tolist()
    make = {"integer": int, "text": "class {}".format, "truth": bool, "distribution": int}[kind]
    declared = [str(make(each)) for each in range(classes)] if draw(st.booleans(), label="declared") else []
    return Answers(task, kind, [make(each) for each in drawn], classes, declared, sure)


def distribution(answers: Answers, rows: slice, missing: list[int]) -> np.ndarray[Any, Any]:
    """Return the distributions of some rows, shape (rows, classes); a missing one is NaN."""
    chosen, sure = np.array(answers.values[rows]), answers.sure[rows]
    made = np.repeat(((1.0 - sure) / (answers.classes - 1))[:, None], answers.classes, axis=1)
    made[np.arange(len(chosen)), chosen] = sure
    made[missing] = np.nan
    return made


def objects(values: list[Any]) -> np.ndarray[Any, Any]:
    """Return an array of objects of one axis."""
    return np.array([*values, None], dtype=object)[:-1]


CARRIERS = {
    "list": list,
    "tuple": tuple,
    "array": lambda values: objects(values) if None in values else np.array(values),
    "column": lambda values: objects(values)[:, None],
    "objects": objects,
    "scalars of numpy": lambda values: [each if each is None else np.array([each])[0] for each in values],
    "pandas objects": lambda values: pd.Series(values, dtype=object),
    "pandas nullable": lambda values: pd.Series(values, dtype=object).convert_dtypes(),
    "pandas category": lambda values: pd.Series(values, dtype="category"),
    "pandas arrow": lambda values: pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values))),
    "frame": lambda values: pd.DataFrame({"output": pd.Series(values, dtype=object)}),
    "polars": pl.Series,
    "polars frame": lambda values: pl.DataFrame({"prediction": values}),
    "arrow": pa.array,
    "arrow dictionary": lambda values: pa.array(values).dictionary_encode(),
    "dict": lambda values: {"prediction": list(values)},
    "dicts": lambda values: [{"prediction": each} for each in values],
}

MATRICES = {
    "array": lambda matrix: matrix,
    "halves": lambda matrix: matrix.astype("f4"),
    "lists": lambda matrix: matrix.tolist(),
    "arrays": list,
    "frame": pd.DataFrame,
    "polars": lambda matrix: pl.DataFrame(matrix, schema=[f"c{each}" for each in range(matrix.shape[1])]),
    "dict": lambda matrix: {"probabilities": matrix},
}
