"""Whole tables, cut into calls in any way, held against pandas, numpy and scikit-learn: cells, answers, labels and lags.

One example draws a table (numbers, categories and texts of some dtype, with and without missing values), the answers of a model
(classes from 2 to 300 or values, some missing), the container of each call, how the table is cut into calls, and the labels: which
carrier they take, in what order they come, and how late. Every row must be in a count or in a loss.

`make oracle` draws 5 000 examples; here it is `EXAMPLES`, or what the variable ``ORACLE_EXAMPLES`` says.
"""

from __future__ import annotations

import math
import os
from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, mean_absolute_error

import radiosonde
from radiosonde.model import losses
from radiosonde.testing import fly

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "60"))
START_S = 1_362_096_000
KEYS = "k1=" + "5a" * 32

REFERENCE = radiosonde.Reference.fit(
    {"n": np.arange(100.0), "k": ["0", "1", "2", "3"] * 25, "t": ["a", "b", "ü", "long " * 9] * 25}, model="m"
)
LOW, BOUNDS = REFERENCE.features[0].low, np.array(REFERENCE.features[0].bounds)
CATEGORIES = {feature.name: feature.categories for feature in REFERENCE.features[1:]}

# Quarters, which halves of 16 bits hold exactly; each kind with the dtypes that hold it in numpy.
NUMBERS = {
    "float": (st.integers(-80, 480).map(lambda each: each / 4) | st.just(math.inf), ["f8", "f4", "f2"]),
    "integer": (st.integers(-20, 120), ["i8", "i4", "i2", "i1", "f8"]),
    "unsigned": (st.integers(0, 120), ["u8", "u4", "u2", "u1", "i4"]),
    "truth": (st.booleans(), ["?"]),
}
CATEGORY_KINDS = {
    "integer": st.integers(0, 4),
    "float": st.integers(0, 4).map(float),
    "text": st.integers(0, 4).map(str),
    "truth": st.booleans(),
}
TEXTS = st.sampled_from(["a", "b", "ü", "long " * 9, "", "new"])


def category_of(value):
    """Return the text of a category by the documented rule: 1, 1.0, True and "1" are one."""
    return value if isinstance(value, str) else str(int(value))


def _arrow_type(dtype):
    return pa.from_numpy_dtype(np.dtype(dtype))


def pandas_numpy(columns, dtype):
    """Plain numpy dtypes where nothing is missing, else NaN and None."""
    numbers = columns["n"]
    made = {name: pd.Series(column, dtype=object) for name, column in columns.items()}
    if None not in numbers:
        made["n"] = pd.Series(np.array(numbers, dtype=dtype))
    elif dtype != "?":
        made["n"] = pd.Series([math.nan if each is None else each for each in numbers], dtype="f8")
    return pd.DataFrame(made)


def polars_frame(columns, dtype):
    """Native dtypes of polars; it has no float of 16 bits everywhere."""
    frame = pl.DataFrame({name: pl.Series(name, column) for name, column in columns.items()})
    return frame.with_columns(pl.col("n").cast(pl.Float32)) if dtype == "f4" else frame


def arrow_table(columns, dtype):
    """The very dtype in Arrow, categories as a dictionary."""
    made = {name: pa.array(column) for name, column in columns.items()}
    made["n"] = pa.array(np.array([0 if each is None else each for each in columns["n"]], dtype=dtype),
                         type=_arrow_type(dtype), mask=np.array([each is None for each in columns["n"]]))  # fmt: skip
    return pa.table({**made, "t": made["t"].cast(pa.string()).dictionary_encode()})


CONTAINERS = {
    "dicts": lambda columns, dtype: [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
    "dict of lists": lambda columns, dtype: dict(columns),
    "pandas objects": lambda columns, dtype: pd.DataFrame({n: pd.Series(c, dtype=object) for n, c in columns.items()}),
    "pandas numpy": pandas_numpy,
    "pandas nullable": lambda columns, dtype: pd.DataFrame(columns).convert_dtypes(),
    "pandas category": lambda columns, dtype: pandas_numpy(columns, dtype).astype({"k": "category", "t": "category"}),
    "pandas arrow": lambda columns, dtype: arrow_table(columns, dtype).to_pandas(types_mapper=pd.ArrowDtype),
    "polars": polars_frame,
    "polars category": lambda columns, dtype: polars_frame(columns, dtype).with_columns(pl.col("t").cast(pl.Categorical)),
    "arrow": arrow_table,
    "arrow batch": lambda columns, dtype: arrow_table(columns, dtype).combine_chunks().to_batches()[0],
}  # fmt: skip

ANSWERS = {
    "list": list,
    "tuple": tuple,
    "array": lambda answers: np.array(answers, dtype=object if None in answers else None),
    "objects": lambda answers: np.array([*answers, None], dtype=object)[:-1],
    "pandas": lambda answers: pd.Series(answers, dtype=object),
    "polars": pl.Series,
    "arrow": pa.array,
    "dict": lambda answers: {"prediction": list(answers)},
}


@st.composite
def tables(draw):
    """Draw the columns of a table, the dtype of its numbers, answers, labels, cuts and carriers."""
    rows = draw(st.integers(1, 12))
    kind = draw(st.sampled_from(sorted(NUMBERS)))
    values, dtypes = NUMBERS[kind]
    nulls = draw(st.booleans())

    def column(each):
        return draw(st.lists(each | st.none() if nulls else each, min_size=rows, max_size=rows))

    columns = {"n": column(values), "k": column(CATEGORY_KINDS[draw(st.sampled_from(sorted(CATEGORY_KINDS)))]),
               "t": column(TEXTS)}  # fmt: skip
    task = draw(st.sampled_from(["classification", "regression"]))
    classes = draw(st.integers(2, 300))
    answer = st.integers(0, classes - 1) if task == "classification" else st.integers(-1000, 1000).map(lambda x: x / 8)
    answers = draw(st.lists(answer, min_size=rows, max_size=rows))
    as_text = task == "classification" and draw(st.booleans())
    answers = [f"c{each}" for each in answers] if as_text else answers
    return columns, draw(st.sampled_from(dtypes)), task, answers


def expected_cells(columns):
    """Return the cells of each feature as Counters of places: body cells by number, the others by name."""
    numbers = pd.Series(columns["n"], dtype=object)
    found = {"n": Counter({"null": int(numbers.isna().sum())})}
    known = np.array([float(each) for each in numbers[~numbers.isna()]])
    finite = known[np.isfinite(known)]
    found["n"]["unseen"] += len(known) - len(finite)
    found["n"]["below"] += int((finite < LOW).sum())
    found["n"]["above"] += int((finite > BOUNDS[-1]).sum())
    inside = finite[(finite >= LOW) & (finite <= BOUNDS[-1])]
    found["n"].update(np.searchsorted(BOUNDS, inside, side="left").tolist())
    for name, known_texts in CATEGORIES.items():
        counted = pd.Series([None if each is None else category_of(each) for each in columns[name]], dtype=object)
        found[name] = Counter({"null": int(counted.isna().sum())})
        for text, rows in counted.value_counts().items():
            found[name][known_texts.index(text) if text in known_texts else "unseen"] += int(rows)
    return {name: +counts for name, counts in found.items()}


def cells_of(windows):
    """Return the cells that were counted, in the form of `expected_cells`."""
    total = sum(window.features.cells for window in windows if window.features is not None)
    names = ("below", "above", "null", "unseen")
    return {
        feature.name: +Counter(
            {**dict(enumerate(row[:-4].tolist())), **dict(zip(names, row[-4:].tolist(), strict=True))}
        )
        for feature, row in zip(REFERENCE.features, total, strict=True)
    }


ORACLE = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@ORACLE
@given(tables(), st.data())
def test_a_table_is_counted_alike_however_it_is_cut_and_carried(table, data):
    """Calls, rows, cells, classes and values are those of the whole table; a missing answer is a loss, and no other is lost."""
    columns, dtype, task, answers = table
    rows, made, place = len(answers), 0, 0
    missing = Counter()
    with fly() as rs:
        said = []
        predict = rs.observe("m", task=task, reference=REFERENCE)(lambda _: said[-1])
        while place < rows:
            size = data.draw(st.integers(1, rows - place), label="rows of a call")
            part = {name: column[place : place + size] for name, column in columns.items()}
            kind = data.draw(st.sampled_from(sorted(CONTAINERS)), label="container")
            mine = list(answers[place : place + size])
            if size > 1 and data.draw(st.booleans(), label="an answer is missing"):
                mine[data.draw(st.integers(1, size - 1))] = None
            said.append(ANSWERS[data.draw(st.sampled_from(sorted(ANSWERS)), label="answers")](mine))
            missing.update(["answers"] * mine.count(None))
            for offset, each in enumerate(mine):
                if each is None:
                    answers = [*answers[: place + offset], None, *answers[place + offset + 1 :]]
            predict(CONTAINERS[kind](part, dtype))
            place, made = place + size, made + 1
        windows = rs.windows()
        lost = rs.losses()
    assert (sum(w.calls for w in windows), sum(w.rows for w in windows)) == (made, rows)
    assert cells_of(windows) == expected_cells(columns)
    counted, known = Counter(), [each for each in answers if each is not None]
    for window in windows:
        counted.update(dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)))
    overflow = lost.pop(losses.CLASS_OVERFLOW, 0)
    assert lost == ({losses.OUTPUT_UNREADABLE: missing["answers"]} if missing["answers"] else {})
    assert sum(window.output.unreadable for window in windows) == missing["answers"]
    if task == "regression":
        assert not +counted
        assert sum(int(window.output.value_counts.sum()) for window in windows) == len(known)
        assert sum(window.output.value_sum for window in windows) == pytest.approx(np.sum(known))
    else:
        assert overflow == 0  # at most 12 classes at a time
        assert +counted == Counter(pd.Series([str(each) for each in known], dtype=object).value_counts().to_dict())


LAGS = [(3600.0, "1h"), (86_400.0, "1d"), (604_800.0, "7d"), (math.inf, "inf")]


@ORACLE
@given(tables(), st.data())
def test_labels_meet_their_predictions_in_any_order_by_any_carrier(table, data):
    """Correct and incorrect, the mean absolute error and the lags are those of scikit-learn and pandas; labels may come twice."""
    _, _, task, answers = table
    count = len(answers)
    truth = [
        answer if data.draw(st.booleans()) else data.draw(st.sampled_from(answers), label="label") for answer in answers
    ]
    lags_s = data.draw(st.lists(st.sampled_from([1, 59, 3599, 7200, 90_000, 700_000]), min_size=count, max_size=count))
    carriers = data.draw(st.lists(st.sampled_from(["id", "receipt", "own id"]), min_size=count, max_size=count))
    order = data.draw(st.permutations(range(count)))
    with fly(receipt_keys=KEYS, labels="memory") as rs:
        predict = rs.observe("m", task=task, id=lambda row: f"order-{row['n']}", input=lambda row: row)(
            lambda row: answers[row["n"]]
        )
        places = []
        for number in range(count):
            with rs.at(START_S + number):
                predict({"n": number})
            made = radiosonde.current()
            places.append({"id": made.id, "own id": f"order-{number}", "receipt": made.receipt()}[carriers[number]])
        for number in order:
            for _ in range(data.draw(st.integers(1, 2), label="how often")):
                rs.label(places[number], truth[number], START_S + number + lags_s[number])
        rs.windows()
        windows = rs.windows()
        lost = rs.losses()
    outcomes, absolute = Counter(), 0.0
    for window in windows:
        if window.labels is not None:
            outcomes.update(window.labels.outcomes)
            absolute += window.labels.residual_absolute_sum
    assert lost == {}
    late = pd.cut(lags_s, [0, *(bound for bound, _ in LAGS)], labels=[name for _, name in LAGS])
    if task == "regression":
        assert absolute / count == pytest.approx(mean_absolute_error(truth, answers))
        return
    right = [a == b for a, b in zip(answers, truth, strict=True)]
    assert sum(right) == round(accuracy_score([str(t) for t in truth], [str(a) for a in answers]) * count)
    expected = Counter(("correct" if ok else "incorrect", lag) for ok, lag in zip(right, late, strict=True))
    assert outcomes == expected
