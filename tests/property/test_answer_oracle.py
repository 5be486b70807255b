"""Answers and labels of any type, container and number of classes, held against scikit-learn, pandas and numpy."""

from __future__ import annotations

import decimal
import enum
import math
from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, mean_absolute_error

import radiosonde
from radiosonde.model import losses
from radiosonde.testing import fly

KEYS = "k1=" + "5a" * 32


def merged(windows):
    """Return (correct, incorrect, rows in joint pairs of equals) of all windows."""
    found = Counter()
    for window in windows:
        if window.labels is not None:
            for (result, _), rows in window.labels.outcomes.items():
                found[result] += rows
            for (predicted, label), table in window.labels.joint.items():
                found["joint", predicted == label] += int(table[:, 0].sum())
    return found


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(2, 300),
    declared=st.sampled_from([0, 2, 60, 150]),
    seed=st.integers(0, 999),
    as_row=st.booleans(),
)
def test_right_and_wrong_are_exact_with_any_number_of_classes(count, declared, seed, as_row):
    """Learned and declared classes, new ones after a declared list, labels never predicted: as scikit-learn counts them."""
    draw = np.random.default_rng(seed)
    declared = 0 if as_row else min(declared, count)
    classes = [str(number) for number in range(count)]
    answers = draw.integers(0, count, 120)
    truth = np.where(draw.uniform(size=120) < 0.6, answers, draw.integers(0, count + 5, 120))
    with fly() as rs:
        options = {"classes": classes[:declared]} if declared else {}
        answer = (lambda row: np.eye(count)[int(row[0])]) if as_row else (lambda row: classes[int(row[0])])
        predict = rs.observe("m", **options)(answer)
        for said, label in zip(answers.tolist(), truth.tolist(), strict=True):
            predict([float(said)])
            rs.label(radiosonde.current().id, str(label))
        found = merged(rs.windows())
    right = round(accuracy_score(truth, answers) * 120)
    assert (found["correct"], found["incorrect"]) == (right, 120 - right)
    assert (found["joint", True], found["joint", False]) == (right, 120 - right)


def test_a_corrected_label_beyond_the_bound_takes_its_former_count_back():
    """From wrong to right and back, of a class that has no code of its own."""
    with fly() as rs:
        predict = rs.observe("m")(lambda row: f"c{int(row[0])}")
        for number in range(150):
            predict([float(number)])
        made = radiosonde.current().id
        for time_s, label in enumerate(("c7", "c149", "c148", "c149"), start=2_000_000_000):
            rs.label(made, label, time_s)
        rs.windows()
        found = merged(rs.windows())
        assert found["joint", True] == 1
        assert found["joint", False] == 0


@pytest.mark.parametrize("later", ["c120", 120, 120.0, np.int64(120), np.float32(120)])
def test_a_class_beyond_the_bound_is_right_by_receipt_too(later):
    """The receipt of an answer of any type names its class, which has no code of its own."""
    with fly(receipt_keys=KEYS) as rs:
        predict = rs.observe("m", task="classification", input=False)(lambda answer: answer)
        for number in range(110):
            predict(number)
        predict(later)
        receipt = radiosonde.current().receipt()
        rs.label(receipt, later.item() if isinstance(later, np.generic) else later)
        found = merged(rs.windows())
        assert (found["correct"], found["incorrect"], found["joint", True]) == (1, 0, 1)
        assert rs.losses() == {losses.CLASS_OVERFLOW: 11}


# Batches -------------------------------------------------------------------------------------------------------------

MISSING = object()

CONTAINERS = {
    "list": lambda values: [None if value is MISSING else value for value in values],
    "tuple": lambda values: tuple(None if value is MISSING else value for value in values),
    "object array": lambda values: np.array([None if v is MISSING else v for v in values] + [0], dtype=object)[:-1],
    "object column with NaN": lambda values: pd.Series([math.nan if v is MISSING else v for v in values], dtype=object),
    "object column with NA": lambda values: pd.Series([pd.NA if v is MISSING else v for v in values], dtype=object),
    "pandas nullable": lambda values: pd.Series([None if v is MISSING else v for v in values]).convert_dtypes(),
    "pandas category": lambda values: pd.Series([None if v is MISSING else v for v in values], dtype=object).astype("category"),
    "frame of one column": lambda values: pd.DataFrame({"y": pd.Series([None if v is MISSING else v for v in values], dtype=object)}),
    "polars": lambda values: pl.Series([None if value is MISSING else value for value in values]),
    "polars frame": lambda values: pl.DataFrame({"y": [None if value is MISSING else value for value in values]}),
    "arrow": lambda values: pa.array([None if value is MISSING else value for value in values]),
    "arrow chunks": lambda values: pa.chunked_array([[None if value is MISSING else value for value in values]]),
    "arrow dictionary": lambda values: pa.array([None if v is MISSING else v for v in values]).dictionary_encode(),
    "arrow table": lambda values: pa.table({"y": [None if value is MISSING else value for value in values]}),
    "dict of a column": lambda values: {"label": [None if value is MISSING else value for value in values]},
    "dicts": lambda values: [None if value is MISSING else {"label": value} for value in values],
}  # fmt: skip

LABELS = {
    "text": st.sampled_from(["a", "b", "late", "x" * 100]),
    "integers": st.integers(-3, 400),
    "truth values": st.booleans(),
}


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(sorted(CONTAINERS)), st.sampled_from(sorted(LABELS)), st.booleans())
def test_labels_of_a_batch_are_counted_as_pandas_counts_them(data, container, kind, has_missing):
    """Each row separately, in every container, with and without missing entries; other values are a loss."""
    value = LABELS[kind] | st.just(MISSING) if has_missing else LABELS[kind]
    values = data.draw(
        st.lists(value, min_size=2, max_size=12).filter(lambda each: any(v is not MISSING for v in each))
    )
    with fly() as rs:
        predict = rs.observe("m", task="classification")(lambda rows: CONTAINERS[container](values))
        predict(np.zeros((len(values), 2)))
        (window,) = rs.windows()
        lost = rs.losses()
    expected = pd.Series([str(each) for each in values if each is not MISSING]).value_counts().to_dict()
    found = dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True))
    assert {name: rows for name, rows in found.items() if rows} == expected
    missing = values.count(MISSING)
    assert window.output.unreadable == missing
    assert lost.get(losses.OUTPUT_UNREADABLE, 0) == missing


VALUES = {
    "integers": st.integers(-1000, 1000),
    "floats": st.floats(-1000, 1000),
    "truth values": st.booleans(),
    "mixed": st.integers(-1000, 1000) | st.floats(-1000, 1000),
}


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(sorted(CONTAINERS)), st.sampled_from(sorted(VALUES)), st.booleans())
def test_values_of_a_regression_add_up_as_in_numpy(data, container, kind, has_missing):
    """Whole numbers and truth values are values too; a missing one is a loss and costs no other."""
    value = VALUES[kind] | st.just(MISSING) if has_missing else VALUES[kind]
    values = data.draw(
        st.lists(value, min_size=2, max_size=12).filter(lambda each: any(v is not MISSING for v in each))
    )
    if kind == "mixed" and container in (
        "polars",
        "polars frame",
        "arrow",
        "arrow chunks",
        "arrow dictionary",
        "arrow table",
    ):
        values = [each if each is MISSING else float(each) for each in values]  # they take one type a column
    with fly() as rs:
        predict = rs.observe("m", task="regression")(lambda rows: CONTAINERS[container](values))
        predict(np.zeros((len(values), 2)))
        (window,) = rs.windows()
        lost = rs.losses()
    known = [float(each) for each in values if each is not MISSING]
    assert window.output.classes == ()
    assert window.output.value_counts.sum() == len(known)
    assert window.output.value_sum == pytest.approx(np.sum(known))
    assert window.output.value_parts[0] - window.output.value_parts[1] == pytest.approx(np.sum(known))
    assert (window.output.value_parts >= 0).all()
    missing = values.count(MISSING)
    assert (window.output.unreadable, lost.get(losses.OUTPUT_UNREADABLE, 0)) == (missing, missing)


SINGLE = {
    "int": int,
    "float": float,
    "numpy int": np.int64,
    "numpy half": np.float32,
    "truth value": lambda value: bool(value % 2),
    "array": lambda value: np.array([value]),
    "matrix": lambda value: np.array([[value]]),
    "list": lambda value: [value],
    "dict of value": lambda value: {"value": value},
    "dict of prediction": lambda value: {"prediction": value},
    "decimal": decimal.Decimal,
    "enumeration": lambda value: enum.IntEnum("Answer", {"IT": value}).IT,
    "series": lambda value: pd.Series([value]),
}


@pytest.mark.parametrize("source", ["task", "reference"])
@pytest.mark.parametrize("form", SINGLE)
def test_whole_numbers_of_a_regression_have_a_mean_absolute_error(form, source):
    """For any declaration of the regression and any type of answers: scikit-learn's error."""
    reference = radiosonde.Reference.fit({"x": np.arange(500.0), "y": np.arange(500)}, target="y", model="m")
    options = {"task": "regression"} if source == "task" else {"reference": reference}
    answers, truth = [SINGLE[form](number) for number in (3, 7, 12)], [4.0, 7.0, 14.5]
    with fly() as rs:
        predict = rs.observe("m", input=lambda answer: {"x": 1.0}, **options)(lambda answer: answer)
        for answer, label in zip(answers, truth, strict=True):
            predict(answer)
            rs.label(radiosonde.current().id, label)
        (window,) = rs.windows()
    numbers = [float(bool(n % 2)) if form == "truth value" else float(n) for n in (3, 7, 12)]
    assert window.output.classes == ()
    assert window.labels.residual_absolute_sum / 3 == pytest.approx(mean_absolute_error(truth, numbers))


FLOAT_CLASSES = {
    "three declared": ({"classes": ["0", "1", "2"]}, [0.0, 1.0, 2.0, 1.0]),
    "three in the reference": ({"reference": 3}, [0.0, 1.0, 2.0, 2.0]),
    "two in the reference": ({"reference": 2}, [0.0, 1.0, 1.0]),
    "two that are not 0 and 1": ({"classes": ["1", "2"]}, [1.0, 2.0, 1.0]),
    "minus one and one": ({"classes": ["-1", "1"]}, [-1.0, 1.0, 1.0]),
    "in another order": ({"classes": ["1", "0"]}, [1.0, 0.0, 1.0]),
    "only the task": ({"task": "classification"}, [0.0, 1.0, 2.0, 7.0]),
}


@pytest.mark.parametrize("is_batch", [False, True], ids=["row by row", "batch"])
@pytest.mark.parametrize(("options", "answers"), FLOAT_CLASSES.values(), ids=FLOAT_CLASSES.keys())
def test_whole_floats_of_a_classifier_are_its_classes(options, answers, is_batch):
    """As models fitted on a float column answer; declared, in the reference, or neither."""
    if "reference" in options:
        target = np.arange(300) % options["reference"] * 1.0
        options = {"reference": radiosonde.Reference.fit({"x": np.arange(300.0), "y": target}, target="y", model="m")}
    with fly() as rs:
        if is_batch:
            rs.observe("m", **options)(lambda frame: np.array(answers))(pd.DataFrame({"x": np.ones(len(answers))}))
        else:
            predict = rs.observe("m", input=lambda answer: {"x": 1.0}, **options)(lambda answer: answer)
            for answer in answers:
                predict(answer)
        (window,) = rs.windows()
        assert rs.losses() == {}
    found = dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True))
    assert {name: rows for name, rows in found.items() if rows} == Counter(f"{answer:g}" for answer in answers)


def test_probabilities_of_two_declared_classes_are_no_labels():
    """A float between 0 and 1 is the probability of the second declared class, alone and among whole ones."""
    with fly() as rs:
        predict = rs.observe("m", classes=["no", "yes"], input=False)(lambda answer: answer)
        for answer in (0.75, 1.0, 0.0, np.float32(0.25)):
            predict(answer)
        rs.observe("b", classes=["no", "yes"])(lambda rows: np.array([0.75, 1.0, 0.0, 0.25, 1.5, np.nan]))(
            np.zeros((6, 2))
        )
        counts = {w.key.model: (w.output.class_counts.tolist(), w.output.unreadable) for w in rs.windows()}
        assert counts == {"m": ([2, 2], 0), "b": ([2, 2], 2)}
        assert rs.losses() == {losses.OUTPUT_UNREADABLE: 2}


def test_a_truth_value_is_the_class_of_its_number_where_the_model_has_that():
    """A threshold that answers True for a model trained on 0 and 1; and whole numbers for one trained on truth values."""
    for classes, answers in ((["0", "1"], [True, False, np.True_]), (["False", "True"], [1, 0, 1.0])):
        with fly() as rs:
            predict = rs.observe("m", classes=classes)(lambda answer: answer)
            for answer in answers:
                predict(answer)
                rs.label(radiosonde.current().id, answer == 1)
            (window,) = rs.windows()
            assert window.output.classes == tuple(classes)
            assert window.output.class_counts.tolist() == [1, 2]
            assert window.labels.outcomes == {("correct", "1h"): 3}


# The first answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "classes", "values", "unreadable"),
    [
        ([3, 7, 3], {"3": 2, "7": 1}, 0, 0),
        ([2.5, 7, 3], {}, 3, 0),
        ([3, 2.5, 4.0], {"3": 1, "4": 1}, 0, 1),
        (["a", 3, 2.5], {"a": 1, "3": 1}, 0, 1),
        ([2.5, "a", 3], {}, 2, 1),
        ([[0.25, 0.75], 1.5, 1], {"1": 2}, 0, 1),
        ([math.nan, 3, 3.5], {"3": 1}, 0, 2),
        ([True, 1, "x"], {"True": 2, "x": 1}, 0, 0),
    ],
)
def test_the_first_answers_say_what_numbers_are_where_nothing_else_does(answers, classes, values, unreadable):
    """Later answers of the other kind are unreadable and counted, never mixed in."""
    with fly() as rs:
        predict = rs.observe("m")(lambda features: answers[int(features[0])])
        for place in range(len(answers)):
            predict([float(place)])
        (window,) = rs.windows()
        found = dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True))
        assert {name: rows for name, rows in found.items() if rows} == classes
        assert (window.output.value_counts.sum(), window.output.unreadable) == (values, unreadable)
        assert rs.losses().get(losses.OUTPUT_UNREADABLE, 0) == unreadable


@pytest.mark.parametrize(
    ("answer", "is_told"),
    [(3, True), (0.7, True), (np.array([1, 2, 1]), True), (7.5, False), ("a", False), (True, False)],
)
def test_numbers_that_could_mean_either_are_told_of_once(answer, is_told, caplog):
    """The message names the model and the argument that settles it; nothing is said where nothing is in doubt."""
    with fly() as rs:
        predict = rs.observe("prices")(lambda features: answer)
        for _ in range(3):
            predict(np.zeros((3, 2)) if isinstance(answer, np.ndarray) else [1.0])
        rs.observe("other", task="regression")(lambda features: 3)([1.0])
    said = [each.getMessage() for each in caplog.records if "no task is declared" in each.getMessage()]
    assert len(said) == is_told
    assert all("'prices'" in each and "task=" in each for each in said)


# Other matrices ---------------------------------------------------------------------------------------------

NO_DISTRIBUTION = {
    "sigmoid per label": [0.9, 0.8, 0.1],
    "interval": (0.2, 0.5, 0.9),
    "two targets": [0.2, 0.7],
    "embedding": np.array([0.1, 0.2, 0.3]),
    "half-precision embedding": np.array([0.1, 0.2, 0.3], dtype=np.float16),
    "bounding box": [0.1, 0.2, 0.5, 0.6],
    "zeros": [0.0, 0.0, 0.0],
    "labels per class": np.array([1, 0, 1]),
    "truth value per class": np.array([True, False, True]),
    "logits": [-2.0, 3.0],
    "percent": [25.0, 75.0],
    "just beyond the slack": [0.5, 0.502],
    "infinite": [math.inf, -math.inf],
    "named and independent": {"probabilities": {"a": 0.9, "b": 0.8}},
    "a sum of one with a negative": [1.5, -0.5],
}


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("answer", NO_DISTRIBUTION.values(), ids=NO_DISTRIBUTION.keys())
def test_what_does_not_add_up_to_one_makes_no_class(answer, rows):
    """In one row and in a batch: unreadable, counted, and no class or confidence is made up."""
    for container in (lambda each: [each] * rows, lambda each: np.array([each] * rows)):
        if rows > 1 and isinstance(answer, dict) and container([0]).__class__ is np.ndarray:
            continue
        with fly() as rs:
            predict = rs.observe("m")(lambda features, container=container: answer if rows == 1 else container(answer))
            predict(np.zeros((rows, 2)))
            (window,) = rs.windows()
            assert (window.output.class_counts.sum(), window.output.unreadable) == (0, rows)
            assert rs.losses() == {losses.OUTPUT_UNREADABLE: rows}


@pytest.mark.parametrize("answer", [[0.25, 0.75], np.array([0.2, 0.3, 0.5]), (1, 0), {"probabilities": [0.5, 0.5]}])
def test_several_numbers_are_no_value_of_a_regression(answer):
    """Under task="regression" a row of numbers is unreadable even where it adds up to one, alone and in a batch."""
    with fly() as rs:
        rs.observe("m", task="regression")(lambda features: answer)([1.0])
        rs.observe("b", task="regression")(lambda features: [answer] * 3)(np.zeros((3, 2)))
        assert rs.losses() == {losses.OUTPUT_UNREADABLE: 4}
        assert all(window.output.classes == () for window in rs.windows())


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.floats(0.001, 1.0), min_size=3, max_size=3), min_size=2, max_size=8),
    st.sampled_from([np.float64, np.float32, np.float16]),
)
def test_distributions_of_any_precision_are_read_as_numpy_reads_them(rows, dtype):
    """The class of the largest and its probability, row by row and as a matrix."""
    matrix = np.array(rows)
    matrix = (matrix / matrix.sum(axis=1, keepdims=True)).astype(dtype)
    with fly() as rs:
        rs.observe("batch")(lambda features: matrix)(np.zeros((len(matrix), 2)))
        single = rs.observe("single")(lambda features: matrix[int(features[0])])
        for place in range(len(matrix)):
            single([float(place)])
        found = {window.key.model: window.output for window in rs.windows()}
        assert rs.losses() == {}
    expected = np.bincount(matrix.argmax(axis=1), minlength=3)
    for output in found.values():
        counts = np.zeros(3)
        counts[[int(name) for name in output.classes]] = output.class_counts
        assert counts.tolist() == expected.tolist()
        assert output.confidence_sums.sum() == pytest.approx(matrix.max(axis=1).sum(dtype=np.float64), rel=1e-5)


def test_one_row_that_is_no_distribution_costs_no_other():
    """Of a matrix whose rows mostly add up to one the others are unreadable by themselves."""
    matrix = np.array([[0.25, 0.75], [0.0, 0.0], [0.75, 0.25], [np.nan, 0.5], [1.0, 0.0]])
    with fly() as rs:
        rs.observe("m")(lambda features: matrix)(np.zeros((5, 2)))
        (window,) = rs.windows()
        assert (window.output.class_counts.tolist(), window.output.unreadable) == ([2, 1], 2)
        assert rs.losses() == {losses.OUTPUT_UNREADABLE: 2}


@pytest.mark.parametrize("budget", [math.inf, 1e-9], ids=["counted", "thinned"])
@pytest.mark.parametrize(
    ("task", "made"),
    [
        ("classification", lambda is_bad: [None if bad else "a" for bad in is_bad]),
        ("classification", lambda is_bad: pd.Series(np.where(is_bad, None, "a"))),
        ("classification", lambda is_bad: np.where(is_bad[:, None], [0.5, 0.9], [0.25, 0.75])),
        ("regression", lambda is_bad: np.where(is_bad, np.nan, 1.5)),
        ("regression", lambda is_bad: pa.array([None if bad else 1.5 for bad in is_bad])),
    ],
    ids=["list", "series", "matrix", "array", "arrow"],
)
def test_unreadable_answers_of_a_thinned_batch_are_exact(task, made, budget):
    """However few rows of a batch have room, or are paid for, every answer that cannot be read is in the count and in the loss."""
    is_bad = np.random.default_rng(2).uniform(size=6000) < 0.3
    with fly(ring_bytes=65_536, cpu_budget=budget) as rs:
        predict = rs.observe("m", task=task)(lambda rows: made(is_bad))
        for _ in range(2):
            predict(np.zeros((6000, 4)))
        windows = rs.windows()
        lost = rs.losses()
    assert lost == {losses.OUTPUT_UNREADABLE: 2 * is_bad.sum()}
    assert sum(window.output.unreadable for window in windows) == 2 * is_bad.sum()
    readable = sum(int(w.output.class_counts.sum() + w.output.value_counts.sum()) for w in windows)
    assert readable == 2 * (~is_bad).sum()


COLUMNS_OF_ONE = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "matrix": lambda entries: np.array([entries]).T,
    "series": pd.Series,
    "polars": pl.Series,
    "arrow": pa.array,
    "chunks": lambda entries: pa.chunked_array([entries]),
}


@pytest.mark.parametrize("made", COLUMNS_OF_ONE.values(), ids=COLUMNS_OF_ONE.keys())
@pytest.mark.parametrize(
    "rows", [np.zeros((1, 2)), pd.DataFrame({"x": [1.0]}), {"x": 1.0}], ids=["array", "frame", "dict"]
)
def test_a_dict_of_columns_of_one_row_is_its_answer(made, rows):
    """A batch that happens to have one row answers as larger ones do: labels, confidences and values."""
    with fly() as rs:
        rs.observe("label")(lambda _: {"label": made(["late"]), "confidence": made([0.75])})(rows)
        rs.observe("number", task="classification")(lambda _: {"prediction": made([3])})(rows)
        rs.observe("value", task="regression")(lambda _: {"prediction": made([3])})(rows)
        rs.observe("score")(lambda _: {"value": made([2.5])})(rows)
        found = {window.key.model: window.output for window in rs.windows()}
        assert rs.losses() == {}
    assert (found["label"].classes, found["label"].confidence_sums.sum()) == (("late",), 0.75)
    assert found["number"].classes == ("3",)
    assert (found["value"].value_sum, found["score"].value_sum) == (3.0, 2.5)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (pa.array(["late"]), "late"),
        (pa.array([True]), "True"),
        (pa.array([3]), "3"),
        (pa.array(["late"]).dictionary_encode(), "late"),
        (pa.chunked_array([["late"]]), "late"),
        (pa.table({"label": ["late"]}), "late"),
        (pa.scalar("late"), "late"),
        (pl.DataFrame({"label": ["late"]}), "late"),
        (pl.Series([True]), "True"),
        (pd.DataFrame({"label": ["late"]}), "late"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_one_row_of_any_library_is_a_class(answer, expected):
    """Texts, truth values and dictionaries too, which Arrow turns into no array of numpy's without a copy."""
    with fly() as rs:
        rs.observe("m", task="classification")(lambda _: answer)(np.zeros((1, 2)))
        (window,) = rs.windows()
        assert rs.losses() == {}
    assert dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)) == {expected: 1}


def test_masked_answers_are_missing():
    """Values under a numpy mask are not answers."""
    answers = np.ma.masked_array([1, 2, 1, 9], mask=[False, False, False, True])
    values = np.ma.masked_array([1.5, 2.5, -999.0, 4.0], mask=[False, False, True, False])
    with fly() as rs:
        rs.observe("a", task="classification")(lambda features: answers)(np.zeros((4, 2)))
        rs.observe("b")(lambda features: values)(np.zeros((4, 2)))
        found = {window.key.model: window.output for window in rs.windows()}
        assert dict(zip(found["a"].classes, found["a"].class_counts.tolist(), strict=True)) == {"1": 2, "2": 1}
        assert (found["b"].value_sum, found["a"].unreadable, found["b"].unreadable) == (8.0, 1, 1)
        assert rs.losses() == {losses.OUTPUT_UNREADABLE: 2}
