from __future__ import annotations

import dataclasses
import enum
import math
from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest

from radiosonde._guard import Guard
from radiosonde._record.outputs import OutputReader
from radiosonde._ring.layout import OUTPUT_CLASS, OUTPUT_NONE, OUTPUT_SCORE, OUTPUT_UNREADABLE
from radiosonde.model import losses
from radiosonde.testing import fly
from tests.unit.record.slots import last_header, last_token

NAN = math.nan


class Verdict(pydantic.BaseModel):
    label: str
    confidence: float | None = None


@dataclasses.dataclass
class Scored:
    score: float


class Named(NamedTuple):
    prediction: str
    probability: float


class Tensor:
    def __init__(self, values):
        self._values = values

    def detach(self):
        return self

    def numpy(self):
        return np.array(self._values)


class Hostile:
    """Raises on any access."""

    def __getattr__(self, name):
        raise RuntimeError(name)


def answered(result, **options):
    """Return (kind, class name or None, confidence, score) recorded for *result*, and the losses."""
    with fly() as rs:
        predict = rs.observe("m", **options)(lambda features: result)
        assert predict([1.0]) is result
        header, writer = last_header(), last_token()[0]
        code = int(header["class_code"])
        name = writer.outputs.classes.names[code] if code >= 0 else None
        summary = (int(header["output_kind"]), name, float(header["confidence"]), float(header["score"]))
        (window,) = rs.windows()
        assert (window.calls, window.rows, dict(window.errors)) == (1, 1, {})
        return summary, rs.losses()


LABELS = {
    "text": ("late", "late"),
    "integer": (3, "3"),
    "negative integer": (-1, "-1"),
    "numpy integer": (np.int64(3), "3"),
    "numpy text": (np.str_("late"), "late"),
    "array of one label": (np.array(["late"]), "late"),
    "array of one integer": (np.array([3]), "3"),
    "array of one row and column": (np.array([[3]]), "3"),
    "list of one label": (["late"], "late"),
    "pandas series": (pd.Series(["late"], index=[17]), "late"),
    "polars series": (pl.Series(["late"]), "late"),
    "dict": ({"label": "late"}, "late"),
    "dict of numpy label": ({"class": np.int32(3)}, "3"),
    "pydantic": (Verdict(label="late"), "late"),
}


@pytest.mark.parametrize(("result", "name"), LABELS.values(), ids=LABELS.keys())
def test_a_label(result, name):
    """A label of any kind is its class, without confidence."""
    summary, lost = answered(result)
    np.testing.assert_equal(summary, (OUTPUT_CLASS, name, NAN, NAN))
    assert lost == {}


@pytest.mark.parametrize("result", [True, np.True_])
def test_a_boolean_label(result):
    """A boolean of Python or numpy is one class."""
    truth, lost = answered(result)
    falsity, _ = answered(not result)
    assert (truth[0], lost) == (OUTPUT_CLASS, {})
    assert truth[1] != falsity[1]
    assert answered(bool(result))[0][1] == truth[1]


CONFIDENT = {
    "probability row": (np.array([0.25, 0.75]), "1", 0.75),
    "probability matrix of one row": (np.array([[0.75, 0.25]]), "0", 0.75),
    "a tie": (np.array([0.5, 0.5]), "0", 0.5),
    "three classes": (np.array([[0.25, 0.25, 0.5]]), "2", 0.5),
    "float32": (np.array([[0.25, 0.75]], dtype=np.float32), "1", 0.75),
    "list": ([0.25, 0.75], "1", 0.75),
    "nested list": ([[0.25, 0.75]], "1", 0.75),
    "tensor": (Tensor([[0.25, 0.75]]), "1", 0.75),
    "pandas frame": (pd.DataFrame({"no": [0.25], "yes": [0.75]}), "1", 0.75),
    "one-hot integers": (np.array([[0, 0, 1]]), "2", 1.0),
    "pair": (("late", 0.75), "late", 0.75),
    "named tuple": (Named("late", 0.75), "late", 0.75),
    "dict": ({"label": "late", "confidence": 0.75}, "late", 0.75),
    "dict of probability": ({"prediction": 1, "probability": np.float32(0.75)}, "1", 0.75),
    "dict of probabilities by name": ({"probabilities": {"late": 0.75, "early": 0.25}}, "late", 0.75),
    "dict of probability list": ({"probabilities": [0.25, 0.75]}, "1", 0.75),
    "pydantic": (Verdict(label="late", confidence=0.75), "late", 0.75),
}


@pytest.mark.parametrize(("result", "name", "confidence"), CONFIDENT.values(), ids=CONFIDENT.keys())
def test_a_class_with_its_confidence(result, name, confidence):
    """Probabilities are the class of the largest; pairs and dicts name class and confidence."""
    summary, lost = answered(result)
    np.testing.assert_equal(summary, (OUTPUT_CLASS, name, confidence, NAN))
    assert lost == {}


def test_rounding_above_one_is_confidence_one():
    """A probability that rounding carried above 1 counts in the highest bin."""
    with fly() as rs:
        rs.observe("m")(lambda features: np.array([0.0, 1.0000001]))([1.0])
        output = rs.windows()[0].output
        assert (output.class_counts.tolist(), output.confidence[1, 19], output.unreadable) == ([0, 1], 1, 0)


def test_classes_name_the_columns():
    """`classes=` names the columns of a probability row, and labels of these names share the codes."""
    with fly() as rs:
        answers = iter([np.array([0.25, 0.75]), "late", [0.75, 0.25]])
        predict = rs.observe("m", classes=["early", "late"])(lambda features: next(answers))
        for _ in range(3):
            predict([1.0])
        output = rs.windows()[0].output
        assert dict(zip(output.classes, output.class_counts.tolist(), strict=True)) == {"early": 1, "late": 2}


SCORES = {
    "float": (2.5, 2.5),
    "negative": (-3.25, -3.25),
    "numpy float": (np.float32(2.5), 2.5),
    "array": (np.array([2.5]), 2.5),
    "matrix": (np.array([[2.5]]), 2.5),
    "tensor": (Tensor(2.5), 2.5),
    "dict": ({"score": 2.5}, 2.5),
    "dict of value": ({"value": 2}, 2.0),
    "dict of a float prediction": ({"prediction": 2.5}, 2.5),
    "dataclass": (Scored(2.5), 2.5),
}


@pytest.mark.parametrize(("result", "score"), SCORES.values(), ids=SCORES.keys())
def test_a_score(result, score):
    """A number is a value where nothing says classifier."""
    summary, lost = answered(result)
    np.testing.assert_equal(summary, (OUTPUT_SCORE, None, NAN, score))
    assert lost == {}


@pytest.mark.parametrize(
    ("result", "name", "confidence"), [(0.75, "1", 0.75), (0.25, "0", 0.75), (0.5, "0", 0.5), (np.array([1.0]), "1", 1)]
)
def test_a_number_of_a_classifier_is_the_probability_of_the_second_class(result, name, confidence):
    """With task="classification", a number is P(second class)."""
    summary, lost = answered(result, task="classification")
    np.testing.assert_equal(summary, (OUTPUT_CLASS, name, confidence, NAN))
    assert lost == {}


UNREADABLE = {
    "margins": np.array([-1.5, 0.5]),
    "probability and a negative": np.array([0.75, -0.25]),
    "logits": [3.0, 4.0],
    "NaN first": np.array([NAN, 0.5]),
    "empty list": [],
    "empty array": np.array([]),
    "object": object(),
    "empty dict": {},
    "foreign dict": {"text": "hello"},
    "dict of unhashable label": {"label": {"late": 1}},
    "dict of text score": {"score": "high"},
    "dict of text probabilities": {"probabilities": ["a", "b"]},
    "hostile": Hostile(),
    "complex": 1j,
    "set": {1, 2},
    "matrix of two rows": np.array([[0.25, 0.75], [0.25, 0.75]]),
}


@pytest.mark.parametrize("result", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_a_named_loss(result):
    """An output that is none of the known shapes is lost by name; the prediction counts."""
    summary, lost = answered(result)
    np.testing.assert_equal(summary, (OUTPUT_UNREADABLE, None, NAN, NAN))
    assert lost == {losses.OUTPUT_UNREADABLE: 1}


@pytest.mark.parametrize("result", [1.5, -0.25, NAN])
def test_a_number_that_is_no_probability_is_unreadable_of_a_classifier(result):
    """A classifier's number outside of [0, 1] is not a probability."""
    assert answered(result, task="classification") == (
        (OUTPUT_UNREADABLE, None, pytest.approx(NAN, nan_ok=True), pytest.approx(NAN, nan_ok=True)),
        {losses.OUTPUT_UNREADABLE: 1},
    )


def test_none_is_no_output():
    """A function that returns nothing has no output, and nothing is lost."""
    summary, lost = answered(None)
    np.testing.assert_equal(summary, (OUTPUT_NONE, None, NAN, NAN))
    assert lost == {}


@pytest.mark.parametrize("confidence", [1.5, -0.1, NAN])
def test_a_confidence_outside_of_its_range_is_none(confidence):
    """The label counts, its impossible confidence does not."""
    summary, lost = answered({"label": "late", "confidence": confidence})
    np.testing.assert_equal(summary, (OUTPUT_CLASS, "late", NAN, NAN))
    assert lost == {}


def test_output_callable_turns_anything_into_something_readable():
    """`output=` is called with the result; its return value is read, and the function's result is returned."""
    summary, lost = answered({"deep": [{"verdict": "late"}]}, output=lambda result: result["deep"][0]["verdict"])
    np.testing.assert_equal(summary, (OUTPUT_CLASS, "late", NAN, NAN))
    assert lost == {}


def counted(results, rows=3, **options):
    """Return the output table and the losses of one batch of *rows* rows that returned *results*."""
    with fly() as rs:
        predict = rs.observe("m", **options)(lambda features: results)
        assert predict(np.zeros((rows, 2))) is results
        (window,) = rs.windows()
        assert (window.calls, window.rows) == (1, rows)
        return window.output, rs.losses()


BATCH_LABELS = {
    "list": ["b", "a", "b"],
    "array": np.array(["b", "a", "b"]),
    "object array": np.array(["b", "a", "b"], dtype=object),
    "column": np.array([["b"], ["a"], ["b"]]),
    "pandas": pd.Series(["b", "a", "b"]),
    "category": pd.Series(["b", "a", "b"], dtype="category"),
    "polars": pl.Series(["b", "a", "b"]),
    "dicts": [{"label": "b"}, {"label": "a"}, {"label": "b"}],
    "pydantic": [Verdict(label="b"), Verdict(label="a"), Verdict(label="b")],
}


@pytest.mark.parametrize("results", BATCH_LABELS.values(), ids=BATCH_LABELS.keys())
def test_labels_of_a_batch(results):
    """Labels of a batch are counted by class."""
    output, lost = counted(results)
    assert dict(zip(output.classes, output.class_counts.tolist(), strict=True)) == {"b": 2, "a": 1}
    assert (output.confidence.sum(), output.unreadable, lost) == (0, 0, {})


BATCH_PROBABILITIES = {
    "matrix": np.array([[0.25, 0.75], [0.75, 0.25], [0.0, 1.0]]),
    "float32": np.array([[0.25, 0.75], [0.75, 0.25], [0.0, 1.0]], dtype=np.float32),
    "column-major": np.asfortranarray([[0.25, 0.75], [0.75, 0.25], [0.0, 1.0]]),
    "list of lists": [[0.25, 0.75], [0.75, 0.25], [0.0, 1.0]],
    "list of arrays": [np.array([0.25, 0.75]), np.array([0.75, 0.25]), np.array([0.0, 1.0])],
    "tensor": Tensor([[0.25, 0.75], [0.75, 0.25], [0.0, 1.0]]),
    "pandas": pd.DataFrame([[0.25, 0.75], [0.75, 0.25], [0.0, 1.0]]),
    "polars": pl.DataFrame({"n": [0.25, 0.75, 0.0], "y": [0.75, 0.25, 1.0]}),
    "pairs": [("1", 0.75), ("0", 0.75), ("1", 1.0)],
}


@pytest.mark.parametrize("results", BATCH_PROBABILITIES.values(), ids=BATCH_PROBABILITIES.keys())
def test_probabilities_of_a_batch(results):
    """Rows of probabilities are counted by class and confidence bin."""
    output, lost = counted(results)
    by_class = dict(zip(output.classes, output.confidence.tolist(), strict=True))
    assert {name: [(i, n) for i, n in enumerate(row) if n] for name, row in by_class.items()} == {
        "0": [(15, 1)],
        "1": [(15, 1), (19, 1)],
    }
    assert (sorted(output.confidence_sums.sum(axis=1).tolist()), output.unreadable, lost) == ([0.75, 1.75], 0, {})


def test_columns_of_a_batch():
    """Labels and confidences by name are read row by row; a value outside [0, 1] is not a confidence."""
    output, lost = counted({"label": np.array(["b", "a", "b"]), "confidence": np.array([0.75, 1.5, 0.25])})
    assert (dict(zip(output.classes, output.class_counts.tolist(), strict=True)), lost) == ({"a": 1, "b": 2}, {})
    assert output.confidence_sums.sum() == 1.0
    assert counted({"label": ["b", "a", "b"]})[0].class_counts.sum() == 3


def test_scores_of_a_batch():
    """Numbers of a batch are values; of a classifier they are probabilities of the second class."""
    output, lost = counted(np.array([1.5, 2.5, -4.0]))
    assert (output.value_sum, output.value_counts.sum(), output.classes, lost) == (0.0, 3, (), {})
    output, lost = counted(np.array([0.25, 0.75, 1.0]), task="classification")
    assert (output.classes, output.class_counts.tolist(), lost) == (("0", "1"), [1, 2], {})


BATCH_BAD = {
    "another length": ([0.5, 0.75], 3, {losses.OUTPUT_UNREADABLE: 3}),
    "margins": (np.array([[-1.0, 1.0], [0.5, 0.5], [2.2, 0.8]]), 3, {losses.OUTPUT_UNREADABLE: 3}),
    "a broken row": (np.array([[-1.0, 1.0], [0.5, 0.5], [0.2, 0.8]]), 1, {losses.OUTPUT_UNREADABLE: 1}),
    "a NaN row": (np.array([[NAN, 0.5], [0.75, 0.25], [0.25, NAN]]), 2, {losses.OUTPUT_UNREADABLE: 2}),
    "only NaN": (np.full((3, 2), NAN), 3, {losses.OUTPUT_UNREADABLE: 3}),
    "dict": ({"answer": ["a", "b", "c"]}, 3, {losses.OUTPUT_UNREADABLE: 3}),
    "short columns": ({"label": ["a", "b"]}, 3, {losses.OUTPUT_UNREADABLE: 3}),
    "ragged": ([[0.25, 0.75], [0.25, 0.75, 0.0], {1, 2}], 1, {losses.OUTPUT_UNREADABLE: 1}),
    "objects": ([object(), object(), object()], 3, {losses.OUTPUT_UNREADABLE: 3}),
    "one object": ([{"label": "a"}, object(), {"label": "b"}], 1, {losses.OUTPUT_UNREADABLE: 1}),
    "labels and scores": ([{"label": "a"}, {"score": 1.5}, {"label": "b"}], 1, {losses.OUTPUT_UNREADABLE: 1}),
    "three dimensions": (np.zeros((3, 2, 2)), 3, {losses.OUTPUT_UNREADABLE: 3}),
    "text matrix": (np.array([["a", "b"]] * 3), 3, {losses.OUTPUT_UNREADABLE: 3}),
    "hostile": (Hostile(), 3, {losses.OUTPUT_UNREADABLE: 3}),
}


@pytest.mark.parametrize(("results", "unreadable", "lost"), BATCH_BAD.values(), ids=BATCH_BAD.keys())
def test_bad_outputs_of_a_batch(results, unreadable, lost):
    """Rows whose output cannot be read are counted and lost by name; the readable rest of a matrix is kept."""
    output, found = counted(results)
    assert (output.unreadable, output.unreadable + output.class_counts.sum()) == (unreadable, 3)
    assert found == lost


def test_no_output_of_a_batch():
    """A batch that returns nothing has no outputs; one that returns nothing for each of its rows lacks as many answers."""
    output, lost = counted(None)
    assert (output.classes, output.unreadable, lost) == ((), 0, {})
    for results in (
        [None, None, None],
        (pd.NA, None, pd.NaT),
        np.array([None] * 3),
        pd.Series([None] * 3),
        pa.nulls(3),
    ):
        output, lost = counted(results)
        assert (output.classes, output.unreadable, lost) == ((), 3, {losses.OUTPUT_UNREADABLE: 3})


@pytest.mark.parametrize(
    "answer",
    [[None], (None,), np.array([None]), pd.Series([None]), pa.nulls(1), [pd.NA]],
    ids=["list", "tuple", "array", "series", "Arrow", "list of pandas"],
)
def test_a_batch_of_one_row_lacks_its_answer_like_any_other(answer):
    """What holds nothing is a missing answer, and nothing at all is none."""
    with fly() as rs:
        rs.observe("m")(lambda _: answer)([{"a": 1.0}])
        (window,) = rs.windows()
        assert (window.rows, window.output.classes, window.output.unreadable) == (1, (), 1)
        assert rs.losses() == {losses.OUTPUT_UNREADABLE: 1}


def test_classes_beyond_the_bound_share_one_code():
    """The 101st class and all after it are counted under __other__, each row of them as a loss."""
    with fly() as rs:
        predict = rs.observe("m")(lambda features: f"c{int(features[0])}")
        for number in range(103):
            predict([float(number)])
        predict([7.0])
        batch = rs.observe("b")(lambda features: [f"c{i % 102}" for i in range(len(features))])
        batch(np.zeros((204, 1)))
        counts = {w.key.model: dict(zip(w.output.classes, w.output.class_counts, strict=True)) for w in rs.windows()}
        assert (len(counts["m"]), counts["m"]["c7"], counts["m"]["__other__"]) == (101, 2, 3)
        assert (len(counts["b"]), counts["b"]["__other__"]) == (101, 4)
        assert rs.losses() == {losses.CLASS_OVERFLOW: 7}


def test_columns_learned_twice_at_once_are_learned_once():
    """A second thread that learns the columns while the first one does comes to the same ones."""
    reader = OutputReader((), Guard(reraise=True), task=None)
    add, interruptions = reader.classes.add, []

    def add_interrupted(value, lose, name):
        if not interruptions:
            interruptions.append(None)
            interruptions[0] = reader.read([0.2, 0.2, 0.6])
        return add(value, lose, name=name)

    reader.classes.add = add_interrupted
    first = reader.read([0.1, 0.7, 0.2])
    summaries = [first, *interruptions, reader.read([0.7, 0.1, 0.2])]
    assert [reader.classes.names[code] for _, code, _, _ in summaries] == ["1", "2", "0"]
    assert [confidence for _, _, confidence, _ in summaries] == [0.7, 0.6, 0.7]


@pytest.mark.parametrize(("classes", "task"), [(("no", "yes"), "classification"), ((), "regression")])
def test_a_row_that_is_no_row_of_probabilities_is_unreadable(classes, task):
    """Another number of values than there are classes, or several for a regression: no class is made up."""
    guard = Guard()
    reader = OutputReader(classes, guard, task=task)
    summaries = [reader.read(np.array([0, 1, 1, 0, 1])), reader.read([0.25, 0.5, 0.25])]
    assert [kind for kind, *_ in summaries] == [OUTPUT_UNREADABLE, OUTPUT_UNREADABLE]
    assert guard.losses()[losses.OUTPUT_UNREADABLE] == 2


class Unknown(enum.Enum):
    """An answer whose value is missing."""

    NOTHING = None


MISSING = {
    "a moment of numpy's": np.datetime64("NaT"), "a duration of numpy's": np.timedelta64("NaT"), "of pandas": pd.NA,
    "a moment of pandas": pd.NaT, "not a number": NAN, "masked": np.ma.masked, "of Arrow": pa.scalar(None),
    "a number of Arrow": pa.scalar(None, pa.float64()), "in a list": [None], "in a tuple": (None,), "in lists": [[None]],
    "in an array": np.array([None]), "in an Arrow array": pa.array([None]), "in a Series": pd.Series([None]),
    "in a dict": {"label": None}, "as probabilities": {"probabilities": np.datetime64("NaT")}, "an enum": Unknown.NOTHING,
}  # fmt: skip


@pytest.mark.parametrize("answer", MISSING.values(), ids=MISSING)
@pytest.mark.parametrize("task", [None, "classification", "regression"])
def test_a_missing_value_is_an_answer_that_cannot_be_read(answer, task):
    """In any container it is counted, and by its name; only None itself is no answer."""
    with fly() as rs:
        rs.observe("m", task=task)(lambda _: answer)(np.ones((1, 2)))
        rs.observe("n", task=task)(lambda _: None)(np.ones((1, 2)))
        windows = {window.key.model: window.output for window in rs.windows()}
        assert {model: output.unreadable for model, output in windows.items()} == {"m": 1, "n": 0}
        assert rs.losses() == {losses.OUTPUT_UNREADABLE: 1}


@pytest.mark.parametrize(
    "answer",
    [[0, 0.0], [3, 2.5], (1, 0.9), [0.4, 0.6], np.array([0.4, 0.6]), pd.Series([0.25, 0.75]), [True, 0.5]],
    ids=repr,
)
def test_two_numbers_of_a_regression_are_two_rows(answer):
    """They are neither a class with its confidence nor a distribution, for any values."""
    with fly() as rs:
        rs.observe("m", task="regression")(lambda rows: answer)(np.zeros((2, 2)))
        (window,) = rs.windows()
    assert (window.rows, int(window.output.value_counts.sum()), window.output.unreadable) == (2, 2, 0)
    assert window.output.value_sum == pytest.approx(float(np.sum(answer)))
