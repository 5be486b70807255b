"""Whole tables, cut into calls in any way, held against pandas, numpy and scikit-learn: cells, answers, labels and lags.

One example draws a table (numbers, times, categories and texts of some dtype, with and without missing values), the answers of a model
(2 to 300 classes, their distributions, or values, some missing), the container of each call, how the table is cut into calls, and the
labels: which carrier they take, in what order they come, and how late. Every row must be in a count or in a loss.

`make oracle` draws 5 000 examples; here it is `EXAMPLES`, or what the variable ``ORACLE_EXAMPLES`` says.
"""

from __future__ import annotations

import decimal
import math
import os
import uuid
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, mean_absolute_error, mean_squared_error

import radiosonde
from radiosonde.model import OVERFLOW_CLASS, losses
from radiosonde.testing import fly
from tests.property.drawn_answers import CARRIERS, MATRICES, answers, distribution
from tests.property.drawn_tables import REFERENCE, cells_of, expected_cells, tables
from tests.property.table_containers import CONTAINERS, SINGLE

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "60"))
START_S = 1_362_096_000
KEYS = "k1=" + "5a" * 32
NAMED = 100
"""Classes that are counted by name where none are declared."""

ORACLE = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def name_of(answer):
    """Return the name of a class."""
    return str(answer)


@st.composite
def runs(draw):
    """Draw a table, its answers, and the calls: rows of each, missing answers, container and carrier."""
    table, rng = draw(tables())
    rows = len(table.columns["n"])
    drawn = draw(answers(rows, rng))
    calls, place = [], 0
    most = draw(st.sampled_from([1, 5, 500]), label="rows of a call") if rows <= 12 else 500
    while place < rows:
        size = draw(st.integers(1, min(most, rows - place)), label="rows") if rows <= 12 else min(rows, rows // 2 + 1)
        size = min(size, rows - place)
        missing = [size // 2] if size > 1 and draw(st.booleans(), label="an answer is missing") else []
        is_row = size == 1 and draw(st.booleans(), label="as a row")
        container = draw(st.sampled_from(sorted(SINGLE if is_row else CONTAINERS)), label="container")
        carrier = draw(st.sampled_from(sorted(MATRICES if drawn.kind == "distribution" else CARRIERS)), label="carrier")
        calls.append((slice(place, place + size), missing, is_row, container, carrier))
        place += size
    return table, drawn, calls


@ORACLE
@given(runs())
def test_a_table_is_counted_alike_however_it_is_cut_and_carried(run):
    """Calls, rows, cells, classes and values are those of the whole table; a missing answer is a loss, and no other is lost."""
    table, drawn, calls = run
    known = [True] * len(drawn.values)
    with fly() as rs:
        said = []
        predict = rs.observe("m", task=drawn.task, reference=REFERENCE, classes=drawn.declared)(lambda _: said[-1])
        for rows, missing, is_row, container, carrier in calls:
            for place in missing:
                known[rows.start + place] = False
            if drawn.kind == "distribution":
                matrix = distribution(drawn, rows, missing)
                said.append(matrix[0].tolist() if is_row else MATRICES[carrier](matrix))
            else:
                mine = [None if at in missing else each for at, each in enumerate(drawn.values[rows])]
                said.append(mine[0] if is_row else CARRIERS[carrier](mine))
            predict((SINGLE if is_row else CONTAINERS)[container](table.part(rows)))
        windows = rs.windows()
        lost = rs.losses()
    assert (sum(w.calls for w in windows), sum(w.rows for w in windows)) == (len(calls), len(known))
    assert cells_of(windows) == expected_cells(table)
    answered = pd.Series(drawn.values, dtype=object)[known]
    absent = len(known) - len(answered)
    overflow = lost.pop(losses.CLASS_OVERFLOW, 0)
    assert lost == ({losses.OUTPUT_UNREADABLE: absent} if absent else {})
    assert sum(window.output.unreadable for window in windows) == absent
    counted = Counter()
    for window in windows:
        counted.update(dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)))
    counted = +counted
    if drawn.task == "regression":
        assert (counted, overflow) == ({}, 0)
        assert sum(int(window.output.value_counts.sum()) for window in windows) == len(answered)
        assert sum(window.output.value_sum for window in windows) == pytest.approx(answered.sum(), abs=1e-9)
        return
    expected = answered.map(name_of).value_counts().to_dict()
    other = counted.pop(OVERFLOW_CLASS, 0)
    named = len(expected) if drawn.declared else min(len(expected), NAMED)
    assert counted == {name: expected[name] for name in counted}
    assert (other, overflow) == (len(answered) - counted.total(),) * 2
    if drawn.kind == "distribution":
        assert len(counted) <= named  # columns of a distribution are classes, also those that are never the largest
        assert sum(window.output.confidence_sums.sum() for window in windows) == pytest.approx(
            drawn.sure[known].sum(), rel=1e-5
        )
    else:
        assert len(counted) == named


LAGS = [(3600.0, "1h"), (86_400.0, "1d"), (604_800.0, "7d"), (math.inf, "inf")]

SPELLINGS = {
    "value": [lambda each: each, lambda each: each, np.float64, decimal.Decimal, repr, np.float32],
    "integer": [lambda each: each, str, float, np.int64, decimal.Decimal, lambda each: f" {each} "],
    "text": [lambda each: each, np.str_, lambda each: f" {each}\n"],
    "truth": [lambda each: each, np.bool_, str, lambda each: str(each).lower(), int],
}
"""Ways to write a label, which all say the same."""

OWN_IDS = {
    "text": (lambda number: f"order-{number}", lambda each: f" {each} "),
    "integer": (int, str),
    "numpy": (np.int64, float),
    "UUID": (lambda number: uuid.UUID(int=number), lambda each: str(each).upper()),
}
"""Ids of an application's own, and another way to write each."""


@ORACLE
@given(tables(), st.data())
def test_labels_meet_their_predictions_in_any_order_by_any_carrier(drawn_table, data):
    """Correct and incorrect, errors, pairs and lags are those of scikit-learn and pandas; labels may be repeated and corrected."""
    table, rng = drawn_table
    count = min(len(table.columns["n"]), data.draw(st.sampled_from([12, 12, 12, 150]), label="most predictions"))
    drawn = data.draw(answers(count, rng))
    kind = "integer" if drawn.kind == "distribution" else drawn.kind
    said = drawn.values
    others = [said[each] for each in rng.integers(0, count, count)]
    truth = [a if chance < 0.6 else b for a, b, chance in zip(said, others, rng.uniform(size=count), strict=True)]
    lags_s = rng.choice([1, 59, 3599, 7200, 90_000, 700_000], count).tolist()
    own, other_own = OWN_IDS[data.draw(st.sampled_from(sorted(OWN_IDS)), label="own ids")]
    carriers = rng.choice(["id", "receipt", "own id"], count).tolist()
    spelled = [SPELLINGS[kind][each] for each in rng.integers(0, len(SPELLINGS[kind]), count)]
    is_corrected = data.draw(st.booleans(), label="some are corrected")
    with fly(receipt_keys=KEYS, labels="memory") as rs:
        predict = rs.observe("m", task=drawn.task, classes=drawn.declared, id=lambda row: own(row["n"]),
                             input=lambda row: row)(lambda row: said[row["n"]])  # fmt: skip
        places = []
        for number in range(count):
            with rs.at(START_S + number):
                predict({"n": number})
            made = radiosonde.current()
            own_id = own(number) if number % 2 else other_own(own(number))
            places.append({"id": made.id, "own id": own_id, "receipt": made.receipt()}[carriers[number]])
        labels = [(number, truth[number], lags_s[number]) for number in range(count)]
        if is_corrected:
            labels += [(number, others[number], lags_s[number] - 0.5) for number in range(0, count, 2)]
        labels += labels[::3]  # and some again
        for each in rng.permutation(len(labels)).tolist():
            number, label, lag_s = labels[each]
            rs.label(places[number], spelled[number](label), START_S + number + lag_s)
        rs.windows()
        windows = rs.windows()
        lost = rs.losses()
    outcomes, pairs, absolute, squared = Counter(), Counter(), 0.0, 0.0
    for window in windows:
        if window.labels is not None:
            outcomes.update(window.labels.outcomes)
            outcomes.subtract(window.labels.retractions)
            pairs.update({pair: int(cells[:, 0].sum()) for pair, cells in window.labels.joint.items()})
            absolute += window.labels.residual_absolute_sum
            squared += window.labels.residual_square_sum
    lost.pop(losses.CLASS_OVERFLOW, None)  # its rows are held below: all outcomes are there
    assert lost == {}
    late = pd.cut(lags_s, [0, *(bound for bound, _ in LAGS)], labels=[name for _, name in LAGS])
    if drawn.task == "regression":
        assert absolute / count == pytest.approx(mean_absolute_error(truth, said))
        assert squared / count == pytest.approx(mean_squared_error(truth, said))
        return
    right = [a == b for a, b in zip(said, truth, strict=True)]
    assert sum(right) == round(accuracy_score([str(t) for t in truth], [str(a) for a in said]) * count)
    assert +outcomes == Counter(("correct" if ok else "incorrect", lag) for ok, lag in zip(right, late, strict=True))
    if len({*said, *truth}) <= NAMED:
        crossed = pd.Series(list(zip(map(name_of, said), map(name_of, truth), strict=True))).value_counts()
        assert +pairs == Counter(crossed.to_dict())
